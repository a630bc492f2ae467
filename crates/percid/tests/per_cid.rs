//! Values per cid: each is one caller's at a time, and none is lost.
#![cfg(target_os = "linux")]

#[path = "support/mod.rs"]
mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;

use percid::{Bound, Domain, PerCid, PerCidError, Scope};

use support::{handle, under_signals};

/// A sum in two halves, which differ while somebody is inside.
#[derive(Default)]
struct Sum(u64, u64);

#[test]
fn sums_are_exact_and_never_seen_half_done() {
    exact_and_never_half_done(PerCid::new(Sum::default), || ());
}

/// The ids of a domain move between CPUs, with the values that they lead to; one id is
/// robbed of its holder all the time.
#[test]
fn so_they_are_in_domains() {
    for bound in [Bound::Strict, Bound::Relaxed, Bound::At(1)] {
        let domain = Domain::builder().bound(bound).build().expect("a domain");
        let sums = PerCid::in_domain(&domain, Sum::default).expect("memory");
        exact_and_never_half_done(sums, || domain.join());
        assert_eq!(percid::domain_arena_stats(&domain).words, 0);
    }
}

fn exact_and_never_half_done<I: Fn() -> Sum + Sync, S: Scope, J>(
    sums: PerCid<Sum, I, S>,
    join: impl Fn() -> J + Sync,
) {
    const THREADS: u64 = 4;
    const TURNS: u64 = 5_000;
    let torn = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let _joined = join();
                for turn in 0..TURNS {
                    let outcome = sums.with(|sum| {
                        torn.fetch_add(u64::from(sum.0 != sum.1), Ordering::Relaxed);
                        sum.0 += 1;
                        if turn % 64 == 0 {
                            thread::yield_now();
                        }
                        sum.1 += 1;
                    });
                    torn.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
                    if turn % 500 == 0 {
                        let _ = sums.for_each(|sum| {
                            torn.fetch_add(u64::from(sum.0 != sum.1), Ordering::Relaxed);
                        });
                    }
                }
            });
        }
    });
    assert_eq!(torn.load(Ordering::Relaxed), 0);
    let mut total = 0;
    match sums.for_each(|sum| total += sum.1) {
        Ok(()) => assert_eq!(total, THREADS * TURNS),
        Err(why) => assert!(matches!(why, PerCidError::NoFence(_)), "{why}"),
    }
    let total: u64 = sums.into_iter().map(|sum| sum.0).sum();
    assert_eq!(total, THREADS * TURNS);
}

#[test]
fn entering_again_is_an_error() {
    let cells = PerCid::new(|| 0);
    let other = PerCid::new(|| 0);
    let outcome = cells.with(|value| {
        *value += 1;
        assert_eq!(cells.with(|_| ()), Err(PerCidError::Entered));
        assert_eq!(cells.for_each(|_| ()), Err(PerCidError::Entered));
        // Another one is another matter.
        other.with(|value| *value += 1)
    });
    assert_eq!(outcome, Ok(Ok(())));
    assert_eq!(cells.with(|_| ()), Ok(()), "and it is left again");
    let walked = cells.for_each(|_| assert_eq!(cells.with(|_| ()), Err(PerCidError::Entered)));
    assert!(matches!(walked, Ok(()) | Err(PerCidError::NoFence(_))));
}

#[test]
fn a_panic_inside_leaves_it() {
    let cells = PerCid::new(|| 0);
    for _ in 0..3 {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            cells.with(|value| {
                *value += 1;
                panic!("inside");
            })
        }));
        assert!(outcome.is_err());
    }
    assert_eq!(cells.into_iter().sum::<i32>(), 3);
    let fails = Cell::new(true);
    let cells = PerCid::new(|| assert!(!fails.get(), "made in vain"));
    assert!(catch_unwind(AssertUnwindSafe(|| cells.with(|()| ()))).is_err());
    fails.set(false);
    assert_eq!(cells.with(|()| ()), Ok(()));
}

struct Counted(Arc<AtomicI64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn every_value_is_dropped_once() {
    let living: Arc<AtomicI64> = Arc::default();
    let make = || {
        living.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&living))
    };
    for take in [false, true] {
        let cells = PerCid::new(make);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..100).for_each(|_| {
                        let _ = cells.with(|_| thread::yield_now());
                    })
                });
            }
        });
        assert!(living.load(Ordering::Relaxed) >= 1);
        if take {
            drop(cells.into_iter().next());
        } else {
            drop(cells);
        }
        assert_eq!(living.load(Ordering::Relaxed), 0);
    }
}

static IN_HANDLERS: PerCid<Sum> = PerCid::new(Sum::default);
static WRONG: AtomicU64 = AtomicU64::new(0);
static SUCCEEDED: AtomicU64 = AtomicU64::new(0);

fn add() -> bool {
    let outcome = IN_HANDLERS.with(|sum| {
        WRONG.fetch_add(u64::from(sum.0 != sum.1), Ordering::Relaxed);
        sum.0 += 1;
        std::hint::black_box(&mut *sum);
        sum.1 += 1;
    });
    SUCCEEDED.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
    matches!(outcome, Ok(()) | Err(PerCidError::Entered))
}

extern "C" fn adds(_: i32) {
    // The first use allocates, which a handler must not: this one comes later.
    WRONG.fetch_add(u64::from(!add()), Ordering::Relaxed);
}

#[test]
fn handlers_are_told_that_they_interrupt() {
    // A spare value, so that handlers need not make one.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope
                .spawn(|| IN_HANDLERS.with(|_| thread::sleep(std::time::Duration::from_millis(5))));
        }
    });
    handle(libc::SIGUSR1, adds);
    under_signals(libc::SIGUSR1, || assert!(add()));
    let mut total = 0;
    if IN_HANDLERS.for_each(|sum| total += sum.0).is_ok() {
        assert_eq!(total, SUCCEEDED.load(Ordering::Relaxed));
    }
    assert_eq!(WRONG.load(Ordering::Relaxed), 0);
}

#[test]
fn a_child_of_fork_does_not_touch_what_others_had() {
    let cells = PerCid::new(|| 0_u32);
    let (inside, leave) = (AtomicU64::new(0), AtomicU64::new(0));
    let status = thread::scope(|scope| {
        scope.spawn(|| {
            cells.with(|value| {
                *value = 7;
                inside.store(1, Ordering::Release);
                while leave.load(Ordering::Acquire) == 0 {
                    thread::yield_now();
                }
            })
        });
        while inside.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        // SAFETY: the child uses values that are made, or makes one: glibc lets a child
        // allocate.
        let status = match unsafe { libc::fork() } {
            0 => {
                // SAFETY: a child that waits for a thread that it does not have is ended.
                unsafe { libc::alarm(60) };
                let mut seen = 0;
                let walked = cells.for_each(|value| seen = seen.max(*value));
                let right = match walked {
                    Err(PerCidError::Poisoned(1)) => seen < 7,
                    Err(PerCidError::NoFence(_)) => true,
                    _ => false,
                };
                let works = cells.with(|value| *value < 7) == Ok(true);
                // SAFETY: ends the child without running this program's exit.
                unsafe { libc::_exit(i32::from(!(right && works))) }
            }
            child => {
                let mut status = 0;
                // SAFETY: a child of this process and a valid place.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                status
            }
        };
        leave.store(1, Ordering::Release);
        status
    });
    assert_eq!(
        status, 0,
        "the child saw what was half done, or waited for it"
    );
    assert_eq!(cells.into_iter().max(), Some(7));
}
