//! Totals are exact to the last unit, whatever happens to the threads.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use percid::{Counter, Source, backend};
use support::{Random, allowed_cpus, counters, handle, pin_to, under_signals};

const THREADS: u64 = 16;

#[test]
fn many_threads_on_few_cpus() {
    const ADDS: u64 = 200_000;
    for (name, counter) in counters() {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let counter = &counter;
                scope.spawn(move || {
                    for add in 0..ADDS {
                        if add % 2 == 0 {
                            counter.inc()
                        } else {
                            counter.add(thread)
                        }
                    }
                });
            }
        });
        let expected = ADDS / 2 * (THREADS + (0..THREADS).sum::<u64>());
        assert_eq!(counter.sum(), expected, "{name}");
    }
}

#[test]
fn threads_that_are_moved_at_random() {
    const ADDS: u64 = 2_000;
    const MOVES: u64 = 50;
    let cpus = allowed_cpus();
    for (name, counter) in counters() {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (counter, cpus) = (&counter, &cpus);
                scope.spawn(move || {
                    let mut random = Random::new(thread + 1);
                    for _ in 0..MOVES {
                        pin_to(cpus[random.below(cpus.len())]);
                        for _ in 0..ADDS {
                            counter.inc();
                        }
                    }
                });
            }
        });
        assert_eq!(counter.sum(), THREADS * MOVES * ADDS, "{name}");
    }
}

#[test]
fn signal_handlers_that_count_too() {
    static COUNTERS: [Counter; 2] = [const { Counter::new() }; 2];
    static HANDLED: AtomicU64 = AtomicU64::new(0);
    extern "C" fn on_signal(_: i32) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
        COUNTERS.iter().for_each(Counter::inc);
    }
    const ADDS: u64 = 100_000;
    handle(libc::SIGUSR1, on_signal);
    let adds: u64 = std::thread::scope(|scope| {
        let signalled = [(); 4].map(|()| {
            scope.spawn(|| {
                let add = || COUNTERS.iter().for_each(Counter::inc);
                ADDS * under_signals(libc::SIGUSR1, || (0..ADDS).for_each(|_| add()))
            })
        });
        signalled
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let handled = HANDLED.load(Ordering::Relaxed);
    assert!(handled > 0, "no signal arrived");
    for counter in &COUNTERS {
        assert_eq!(counter.sum(), adds + handled);
    }
}

/// The very first use of percid's memory may be in a handler, in the middle of a
/// first use outside.
#[test]
fn handlers_that_count_first() {
    const ROUNDS: usize = 300;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static COUNTERS: [Counter; ROUNDS] = [const { Counter::new() }; ROUNDS];
    static HANDLED: [AtomicU64; ROUNDS] = [const { AtomicU64::new(0) }; ROUNDS];
    extern "C" fn on_signal(_: i32) {
        let next = NEXT.load(Ordering::Relaxed) as usize;
        HANDLED[next].fetch_add(1, Ordering::Relaxed);
        COUNTERS[next].add(1000);
    }
    handle(libc::SIGUSR2, on_signal);
    let times = under_signals(libc::SIGUSR2, || {
        for (round, counter) in COUNTERS.iter().enumerate() {
            NEXT.store(round as u64, Ordering::Relaxed);
            std::thread::yield_now();
            counter.inc();
        }
    });
    for (counter, handled) in COUNTERS.iter().zip(&HANDLED) {
        assert_eq!(
            counter.sum(),
            times + 1000 * handled.load(Ordering::Relaxed)
        );
    }
}

#[test]
fn takes_against_adds_lose_and_double_nothing() {
    const ADDS: u64 = 300_000;
    const ADDERS: u64 = 4;
    for (name, counter) in counters() {
        let adding = AtomicBool::new(true);
        let start = Barrier::new(ADDERS as usize + 2);
        let take = || {
            start.wait();
            let mut taken = 0;
            while adding.load(Ordering::Relaxed) {
                let share = counter.take();
                // A share that wrapped would be almost 2^64.
                assert!(share <= ADDERS * ADDS, "{name}: a share of {share}");
                taken += share;
            }
            taken
        };
        let taken: u64 = std::thread::scope(|scope| {
            let takers = [scope.spawn(take), scope.spawn(take)];
            let adders: Vec<_> = (0..ADDERS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        (0..ADDS).for_each(|_| counter.inc());
                    })
                })
                .collect();
            adders.into_iter().for_each(|adder| adder.join().unwrap());
            adding.store(false, Ordering::Relaxed);
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken + counter.take(), ADDERS * ADDS, "{name}");
        assert_eq!(counter.sum(), 0, "{name}");
    }
}

/// Sections and read-modify-writes in one program: a thread that is not
/// registered counts on stripes of its own.
#[test]
fn threads_that_are_not_registered() {
    const ADDS: u64 = 300_000;
    let counter = Counter::new();
    let unregistered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (counter, unregistered) = (&counter, &unregistered);
            scope.spawn(move || {
                counter.inc(); // registers it, where libc does not
                // SAFETY: nothing follows a pointer here.
                if thread % 2 == 0 && unsafe { percid_rseq::testing::unregister_thread() } {
                    unregistered.fetch_add(1, Ordering::Relaxed);
                }
                (1..ADDS).for_each(|_| counter.inc());
            });
        }
    });
    assert_eq!(counter.sum(), 8 * ADDS);
    if backend().source == Source::MmCid {
        assert_eq!(unregistered.into_inner(), 4);
    }
}

#[test]
fn a_child_of_fork_counts_on_by_itself() {
    for (name, counter) in counters() {
        counter.add(5);
        // SAFETY: the child calls only what may be called after fork: counting
        // takes no lock and allocates nothing.
        match unsafe { libc::fork() } {
            0 => {
                let before = counter.sum();
                counter.add(2);
                let exact = before == 5 && counter.sum() == 7 && counter.take() == 7;
                // SAFETY: ends the child without running this program's exit.
                unsafe { libc::_exit(i32::from(!exact)) };
            }
            child => {
                assert!(child > 0, "fork");
                let mut status = 0;
                // SAFETY: a child of this process and a valid place.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                assert_eq!(status, 0, "{name}: the child counted wrong");
            }
        }
        counter.inc();
        assert_eq!(counter.sum(), 6, "{name}");
    }
}

#[test]
fn destructors_of_thread_locals_may_count() {
    static COUNTER: Counter = Counter::new();
    struct AtExit;
    impl Drop for AtExit {
        fn drop(&mut self) {
            COUNTER.inc();
        }
    }
    thread_local!(static AT_EXIT: AtExit = const { AtExit });
    for _ in 0..200 {
        std::thread::spawn(|| AT_EXIT.with(|_| COUNTER.inc()))
            .join()
            .unwrap();
    }
    assert_eq!(COUNTER.sum(), 400);
}

#[test]
fn words_that_are_reused_read_zero() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let mut random = Random::new(thread + 100);
                let mut counters: Vec<Counter> = Vec::new();
                for _ in 0..5_000 {
                    if counters.len() < 100 && random.below(2) == 0 {
                        let counter = Counter::new();
                        counter.add(3);
                        assert_eq!(counter.sum(), 3);
                        if random.below(2) == 0 {
                            assert_eq!(counter.take(), 3);
                            counter.add(3);
                        }
                        counters.push(counter);
                    } else if !counters.is_empty() {
                        let counter = counters.swap_remove(random.below(counters.len()));
                        assert_eq!(counter.sum(), 3);
                    }
                }
            });
        }
    });
}

#[test]
fn the_small_things() {
    let counter = Counter::default();
    assert_eq!((counter.sum(), counter.take()), (0, 0));
    assert_eq!(format!("{counter:?}"), "Counter(0)");
    counter.add(u64::MAX);
    counter.add(2);
    assert_eq!(counter.sum(), 1, "totals wrap");
    assert_eq!(format!("{counter:?}"), "Counter(1)");
    assert_eq!(size_of::<Counter>(), 4);
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&counter);
    let moved = counter;
    assert_eq!(moved.sum(), 1);
}
