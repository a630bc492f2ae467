//! The pattern of page faults: many readers of objects at random, and a rare writer.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use percid::LockSpace;

use super::placement::Placement;
use crate::error::expect;
use crate::suite::Fresh;
use crate::{Error, cpus};

/// Threads that read.
pub(super) const READERS: usize = 2;

/// So few that readers are often on neighbours, and so many that they are seldom on the
/// same.
const OBJECTS: usize = 64;

/// Reads of each thread.
const READS: u64 = 1_000_000;

/// How often the writer comes, and how many objects it locks.
const PERIOD: Duration = Duration::from_micros(500);
const WRITTEN: usize = 4;

/// What a run took.
struct Took {
    elapsed: Duration,
    on_cpus: Duration,
}

/// The implementation for the case `faults`.
pub(super) const fn elapsed<P: Placement>() -> Fresh {
    Fresh {
        name: P::NAME,
        measure: || Ok(each(run::<P>()?.elapsed)),
    }
}

/// The implementation for the case `faults_cpu`.
pub(super) const fn on_cpu<P: Placement>() -> Fresh {
    Fresh {
        name: P::NAME,
        measure: || Ok(each(run::<P>()?.on_cpus / READERS as u32)),
    }
}

/// Nanoseconds of a thread for each of its reads.
fn each(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / READS as f64
}

/// Objects of one thread, whose locks are flags: the floor.
pub(super) const OF_THREAD_ELAPSED: Fresh = Fresh {
    name: OF_THREAD,
    measure: || Ok(each(run_own()?.elapsed)),
};

/// As [`OF_THREAD_ELAPSED`].
pub(super) const OF_THREAD_ON_CPU: Fresh = Fresh {
    name: OF_THREAD,
    measure: || Ok(each(run_own()?.on_cpus / READERS as u32)),
};

const OF_THREAD: &str = "thread_local";

thread_local! {
    static OWN: [RefCell<u64>; OBJECTS] = const { [const { RefCell::new(0) }; OBJECTS] };
}

fn run<P: Placement>() -> Result<Took, Error> {
    let (space, placed) = (LockSpace::new(), P::new(OBJECTS));
    let read = |objects: Objects| {
        let mut sum = 0;
        for object in objects {
            let (lock, body) = placed.at(object);
            let _guard = lock.read(&space);
            sum += body.start.load(Ordering::Relaxed);
        }
        sum
    };
    let mut number = 0;
    let write = || {
        let section = space.begin_write();
        for _ in 0..WRITTEN {
            number = (number + 7) % OBJECTS;
            let (lock, body) = placed.at(number);
            section.lock(lock);
            body.start.fetch_add(1, Ordering::Relaxed);
        }
    };
    timed(P::NAME, read, write)
}

fn run_own() -> Result<Took, Error> {
    let read = |objects: Objects| {
        OWN.with(|own| {
            let read = |object: usize| own[object].try_borrow().map_or(0, |body| *body);
            objects.map(read).sum()
        })
    };
    timed(OF_THREAD, read, || ())
}

/// What a thread reads, one after the other.
struct Objects {
    random: u64,
    left: u64,
}

impl Objects {
    fn of(reader: usize) -> Objects {
        Objects {
            random: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(reader as u64 + 1),
            left: READS,
        }
    }
}

impl Iterator for Objects {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Some(self.random as usize % OBJECTS)
    }
}

/// Runs the readers beside a thread that writes now and then.
fn timed(
    name: &'static str,
    read: impl Fn(Objects) -> u64 + Sync,
    mut write: impl FnMut() + Send,
) -> Result<Took, Error> {
    let (reads, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let allowed = cpus::allowed();
    let reader = |number: usize| {
        if let Some(&cpu) = allowed.get(number % allowed.len().max(1)) {
            cpus::go_to(cpu);
        }
        std::hint::black_box(read(Objects::of(number)));
        reads.fetch_add(READS, Ordering::Relaxed);
    };
    let start = (Instant::now(), on_cpus());
    std::thread::scope(|scope| {
        let done = &done;
        let writer = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(PERIOD);
                write();
            }
        });
        let reader = &reader;
        let readers: Vec<_> = (0..READERS)
            .map(|number| scope.spawn(move || reader(number)))
            .collect();
        // One that panicked has not counted.
        readers.into_iter().for_each(|reader| drop(reader.join()));
        done.store(true, Ordering::Relaxed);
        drop(writer.join());
    });
    let took = Took {
        elapsed: start.0.elapsed(),
        on_cpus: on_cpus() - start.1,
    };
    expect(name, reads.load(Ordering::Relaxed), READS * READERS as u64)?;
    Ok(took)
}

/// Time that this process has spent on CPUs.
#[cfg(unix)]
fn on_cpus() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[cfg(not(unix))]
fn on_cpus() -> Duration {
    Duration::from_nanos(1)
}
