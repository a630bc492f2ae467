//! Builds that compare twice find what the kernel or a neighbour did to a section.
#![cfg(all(target_os = "linux", percid_inject, percid_compare_twice))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{self, Cpu, WordAddress};
use percid_rseq::{Refusal, enter_thread, inject, possible_cpus};

/// Stripes of one cache line each.
const SHIFT: u32 = 6;

#[repr(align(64))]
struct Line(AtomicU64);

struct Stripes {
    limit: AtomicU32,
    lines: Vec<Line>,
}

impl Stripes {
    fn new() -> Stripes {
        Stripes {
            limit: AtomicU32::new(possible_cpus()),
            lines: (0..possible_cpus())
                .map(|_| Line(AtomicU64::new(0)))
                .collect(),
        }
    }

    fn parts(&self) -> (Cpu<'_>, WordAddress) {
        let word = self.lines.as_ptr().cast::<u64>().cast_mut();
        (Cpu { limit: &self.limit }, WordAddress::new(word))
    }

    fn sum(&self) -> u64 {
        let words = self.lines.iter();
        words.map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}

/// Delays and arms are the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Sections as a test wants them, until it ends.
struct Injected;

impl Injected {
    fn new(point: usize, rounds: u32, disarmed: bool) -> Injected {
        inject::set_delay(point, rounds);
        inject::disarm(disarmed);
        Injected
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        inject::disarm(false);
        (1..=inject::POINTS).for_each(|point| inject::set_delay(point, 0));
    }
}

/// The first two CPUs that this process may use.
fn two_cpus() -> Option<[usize; 2]> {
    // SAFETY: zeroed is an empty set, and the call fills it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(
            libc::sched_getaffinity(0, size_of_val(&set), &raw mut set),
            0
        );
        set
    };
    // SAFETY: numbers within the set.
    let mut cpus =
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) });
    Some([cpus.next()?, cpus.next()?])
}

fn move_to(thread: i32, cpu: usize) {
    // SAFETY: a set with one CPU that exists.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(thread, size_of_val(&set), &raw const set);
    }
}

/// Runs `work` in a thread that is moved between two CPUs all the time, until it ends;
/// how it panicked, if it did.
fn while_moved(cpus: [usize; 2], work: impl FnOnce() + Send) -> Option<String> {
    let (thread, done) = (AtomicI32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            enter_thread().expect("sections work here");
            // SAFETY: no preconditions.
            thread.store(unsafe { libc::gettid() }, Ordering::Relaxed);
            let outcome = catch_unwind(AssertUnwindSafe(work));
            done.store(true, Ordering::Relaxed);
            outcome.err().map(|panic| {
                *panic
                    .downcast::<String>()
                    .or_else(|panic| {
                        panic
                            .downcast::<&str>()
                            .map(|text| Box::new(text.to_string()))
                    })
                    .expect("a message")
            })
        });
        let mut turn = 0;
        while !done.load(Ordering::Relaxed) {
            match thread.load(Ordering::Relaxed) {
                0 => std::thread::yield_now(),
                thread => move_to(thread, cpus[turn % 2]),
            }
            turn += 1;
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        worker.join().unwrap()
    })
}

/// Adds until a section has been moved without an abort, or many times.
fn add_often(stripes: &Stripes, adds: u64) {
    let (index, word) = stripes.parts();
    for _ in 0..adds {
        // SAFETY: there is a line for every CPU below the limit.
        while unsafe { section::add::<_, SHIFT>(index, word, 1) } == Err(Refusal::Aborted) {}
    }
}

#[test]
fn sections_that_are_restarted_never_differ() {
    let _alone = ALONE.lock();
    let Some(cpus) = enter_thread().ok().and_then(|()| two_cpus()) else {
        println!("no sections, or one CPU, here");
        return;
    };
    let (_injected, stripes) = (Injected::new(3, 2_000, false), Stripes::new());
    let aborts = inject::aborts();
    assert_eq!(while_moved(cpus, || add_often(&stripes, 20_000)), None);
    assert_eq!(stripes.sum(), 20_000);
    assert!(inject::aborts() > aborts, "none was restarted");
}

/// What a kernel does that does not restart sections.
#[test]
fn a_section_that_moves_without_an_abort_is_found() {
    let _alone = ALONE.lock();
    let Some(cpus) = enter_thread().ok().and_then(|()| two_cpus()) else {
        println!("no sections, or one CPU, here");
        return;
    };
    let (_injected, stripes) = (Injected::new(3, 20_000, true), Stripes::new());
    let (index, word) = stripes.parts();
    let add: &(dyn Fn() -> Result<(), Refusal> + Sync) =
        // SAFETY: there is a line for every CPU below the limit.
        &|| unsafe { section::add::<_, SHIFT>(index, word, 1) };
    // One with a result, for it leaves by another door.
    let swap: &(dyn Fn() -> Result<(), Refusal> + Sync) =
        // SAFETY: as above.
        &|| unsafe { section::swap::<_, SHIFT>(index, word, 1) }.map(drop);
    for operation in [add, swap] {
        let panic = while_moved(cpus, || {
            for _ in 0..200_000 {
                let _ = operation();
            }
        });
        let message = panic.expect("a section that moved was not found");
        assert!(message.contains("does not restart sections"), "{message}");
    }
}

/// Somebody writes a word that only sections may write.
#[test]
fn a_word_that_changes_under_a_section_is_found() {
    let _alone = ALONE.lock();
    if enter_thread().ok().and_then(|()| two_cpus()).is_none() {
        println!("no sections, or one CPU, here");
        return;
    }
    let (_injected, stripes) = (Injected::new(3, 20_000, false), Stripes::new());
    let (index, word) = stripes.parts();
    let done = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for line in &stripes.lines {
                    line.0.fetch_xor(2, Ordering::Relaxed);
                }
            }
        });
        let found = catch_unwind(|| {
            let mut stores = 0;
            while stores < 2_000_000 {
                // Whoever changes it may sleep: then neither its zero says anything.
                if stores % 1000 == 0 {
                    std::thread::yield_now();
                }
                // SAFETY: there is a line for every CPU below the limit.
                match unsafe { section::compare_store::<_, SHIFT>(index, word, 0, 0) } {
                    // It sleeps with the word changed: let it run.
                    Err(Refusal::Mismatch) => std::thread::yield_now(),
                    _ => stores += 1,
                }
            }
        });
        done.store(true, Ordering::Relaxed);
        found.is_err()
    });
    assert!(found, "a word that changed was not found");
}
