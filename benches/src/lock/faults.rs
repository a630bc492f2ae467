//! The pattern of page faults: many readers of objects at random, and a rare writer.

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

fn run<P: Placement>() -> Result<Took, Error> {
    let (space, placed) = (LockSpace::new(), P::new(OBJECTS));
    let (reads, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let allowed = cpus::allowed();
    let read = |reader: usize| {
        if let Some(&cpu) = allowed.get(reader % allowed.len().max(1)) {
            cpus::go_to(cpu);
        }
        let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(reader as u64 + 1);
        let mut sum = 0;
        for _ in 0..READS {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (lock, body) = placed.at(random as usize % OBJECTS);
            let _guard = lock.read(&space);
            sum += body.start.load(Ordering::Relaxed);
        }
        reads.fetch_add(READS, Ordering::Relaxed);
        std::hint::black_box(sum);
    };
    let write = || {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            std::thread::sleep(PERIOD);
            let section = space.begin_write();
            for _ in 0..WRITTEN {
                number = (number + 7) % OBJECTS;
                let (lock, body) = placed.at(number);
                section.lock(lock);
                body.start.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let start = (Instant::now(), on_cpus());
    std::thread::scope(|scope| {
        let writer = scope.spawn(write);
        let readers = [0; READERS].map(|_| 0).into_iter().enumerate();
        let readers: Vec<_> = readers
            .map(|(reader, _)| {
                let read = &read;
                scope.spawn(move || read(reader))
            })
            .collect();
        let all = readers.into_iter().map(|reader| reader.join().is_ok());
        let all = all.fold(true, |one, other| one & other);
        done.store(true, Ordering::Relaxed);
        drop(writer.join());
        all
    });
    let took = Took {
        elapsed: start.0.elapsed(),
        on_cpus: on_cpus() - start.1,
    };
    let due = READS * READERS as u64;
    expect(P::NAME, reads.load(Ordering::Relaxed), due)?;
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
