//! Signals, timers and migrations land *inside* sections, and the totals stay
//! exact. Needs `RUSTFLAGS="--cfg percid_inject"`, which opens the sections wide.
#![cfg(all(percid_inject, target_os = "linux"))]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use percid::{Counter, Operation, Ref, Room, Source, backend};
use percid_rseq::inject::{POINTS, aborts, disarm, set_delay};
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, portable};
use support::{allowed_cpus, handle, pin_to, under_signals, wait_for};

/// Delays are the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs `work` with a delay at each point in turn; each must see aborts.
fn at_each_point(work: impl Fn() -> (u64, u64)) {
    let _alone = ALONE.lock();
    if backend().source != Source::MmCid {
        println!("no sections here: {}", backend().reason);
        return;
    }
    for point in 1..=POINTS {
        set_delay(point, 2_000);
        let before = aborts();
        let (total, expected) = work();
        let aborted = aborts() - before;
        set_delay(point, 0);
        assert_eq!(total, expected, "point {point}, {aborted} aborts");
        assert!(
            aborted > 0,
            "point {point}: nothing was aborted, so nothing was tested"
        );
        println!("point {point}: {expected} adds, {aborted} aborts");
    }
}

extern "C" fn ignore(_: i32) {}

#[test]
fn signals_inside_sections() {
    handle(libc::SIGUSR1, ignore);
    at_each_point(|| {
        const ADDS: u64 = 5_000;
        let counter = Counter::new();
        let times = under_signals(libc::SIGUSR1, || {
            for add in 0..ADDS {
                if add % 2 == 0 {
                    counter.inc()
                } else {
                    counter.add(1)
                }
            }
        });
        (counter.sum(), times * ADDS)
    });
}

#[test]
fn preemption_inside_sections() {
    at_each_point(|| {
        const ADDS: u64 = 30_000;
        const THREADS: u64 = 6;
        let counter = Counter::new();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for add in 0..ADDS {
                        if add % 2 == 0 {
                            counter.inc()
                        } else {
                            counter.add(1)
                        }
                    }
                });
            }
        });
        (counter.sum(), THREADS * ADDS)
    });
}

#[test]
fn migration_inside_sections() {
    let cpus = allowed_cpus();
    if cpus.len() < 2 {
        println!("one CPU: nowhere to move to");
        return;
    }
    at_each_point(|| {
        const ADDS: u64 = 20_000;
        const THREADS: u64 = 4;
        let counter = Counter::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let adders: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| (0..ADDS).for_each(|_| counter.inc())))
                .collect();
            // Threads are moved from outside, wherever they are in a section.
            scope.spawn(|| {
                let mut turn = 0;
                while !done.load(Ordering::Relaxed) {
                    move_all_threads(cpus[turn % cpus.len()]);
                    turn += 1;
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
            adders.into_iter().for_each(|adder| adder.join().unwrap());
            done.store(true, Ordering::Relaxed);
        });
        (counter.sum(), THREADS * ADDS)
    });
}

/// Pins every thread of this process to one CPU.
fn move_all_threads(cpu: usize) {
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu).unwrap();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let name = task.unwrap().file_name();
        let thread: i32 = name.to_str().unwrap().parse().unwrap();
        // It may have ended since.
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(thread), &set);
    }
}

/// An add that can be cut in two on every architecture.
struct AddInSteps;

impl Operation for AddInSteps {
    type Output = ();

    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        static FLAG: AtomicU32 = AtomicU32::new(1);
        // SAFETY: the caller's contract.
        unsafe { section::add_if::<I, SHIFT>(index, first, &FLAG, 1, 1) }
    }
}

/// The negative control: such adds without the kernel's protection lose updates, so the
/// tests above could have failed.
#[test]
fn unprotected_sections_lose_updates() {
    let _alone = ALONE.lock();
    if backend().source != Source::MmCid {
        return;
    }
    const ADDS: u64 = 10_000;
    // With fewer threads than CPUs some kernels give each an id of its own (6.19).
    let threads = 2 * u64::from(percid_rseq::possible_cpus()) + 4;
    const ROUNDS: u64 = 50;
    set_delay(3, 2_000);
    disarm(true);
    // All on one CPU, where they get in each other's way on any machine.
    let round = || {
        pin_to(allowed_cpus()[0]);
        let room = Room::new(1);
        let add = || {
            // SAFETY: the room has a word, which nobody else changes.
            if unsafe { room.run(&AddInSteps) }.is_err() {
                portable::add(&room.fallback().expect("memory").words()[0], 1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..ADDS).for_each(|_| add()));
            }
        });
        let words = room
            .stripes()
            .map(|stripe| portable::load(&stripe.words()[0]));
        (threads * ADDS)
            .checked_sub(words.sum())
            .filter(|&lost| lost > 0)
    };
    let rounds = || (0..ROUNDS).find_map(|_| round());
    let lost = std::thread::scope(|scope| scope.spawn(rounds).join().unwrap());
    disarm(false);
    set_delay(3, 0);
    println!("lost {lost:?} updates without protection");
    assert!(
        lost.is_some(),
        "unprotected sections lost nothing in {ROUNDS} rounds"
    );
}

/// The other control: with nothing that disturbs it, and a pinned thread alone, a
/// section is hardly ever aborted. So the counts above mean something.
#[test]
fn undisturbed_sections_commit() {
    let _alone = ALONE.lock();
    if backend().source != Source::MmCid {
        return;
    }
    pin_to(allowed_cpus()[0]);
    const ADDS: u64 = 100_000;
    let before = aborts();
    let counter = Counter::new();
    (0..ADDS).for_each(|_| counter.inc());
    assert_eq!(counter.sum(), ADDS);
    assert!(aborts() - before < ADDS / 100);
}

/// Kills fence sections that are held open: what they had not committed counts once, on
/// the word, and what they had is in the sum.
#[test]
fn kills_against_open_sections() {
    /// Ends the other threads when it goes, and so when a check fails.
    struct Until<'a>(&'a AtomicBool);
    impl Drop for Until<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    at_each_point(|| {
        const KILLS: u64 = 300;
        let releases = AtomicU64::new(0);
        let count = Ref::new(|| {
            releases.fetch_add(1, Ordering::Relaxed);
        });
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let until = Until(&done);
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        for _ in 0..8 {
                            drop(count.try_get_live());
                        }
                        std::thread::yield_now();
                    }
                });
            }
            for kill in 1..=KILLS {
                for _ in 0..10 {
                    count.get();
                    count.put();
                }
                count.kill().unwrap();
                wait_for("released", || releases.load(Ordering::Relaxed) >= kill);
                count.reinit().unwrap();
            }
            drop(until);
        });
        count.kill().unwrap();
        (releases.load(Ordering::Relaxed), KILLS + 1)
    });
}
