//! When drop runs, and what a reader that stays inside keeps from it.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use percid_shootdown::CopyCell;

use super::copy::Copied;
use super::{Object, Reclaiming, Tracked};
use crate::suite::Fresh;

const READERS: usize = 2;

/// The readers and the thread that replaces.
pub(crate) const THREADS: usize = READERS + 1;

/// A reader and the thread that replaces.
pub(crate) const STALLED_THREADS: usize = 2;

/// Objects that are replaced, one a millisecond.
const OBJECTS: u64 = 250;

const STALLED_OBJECTS: u64 = 200_000;

/// How long after the last one it is counted.
const STALLED_WAIT: Duration = Duration::from_secs(1);

/// What one reader keeps, whatever the way: no more than this is final, for it only falls.
const FINAL: u64 = 1;

/// The implementation for the case `free`.
pub(crate) const fn median<R: Reclaiming<Tracked>>() -> Fresh {
    Fresh {
        name: R::NAME,
        measure: || {
            let start = Instant::now();
            let now = move || start.elapsed().as_nanos() as u64;
            let times = || (0..=OBJECTS).map(|_| AtomicU64::new(u64::MAX)).collect();
            let (retired, freed): (Vec<AtomicU64>, Arc<Vec<AtomicU64>>) =
                (times(), Arc::new(times()));
            let at_drop = Arc::clone(&freed);
            let dropped: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(move |number| {
                at_drop[number as usize].store(now(), Ordering::Relaxed);
            });
            let tracked = |number| Tracked {
                number,
                dropped: Arc::clone(&dropped),
            };
            let object = R::new(tracked(0))?;
            under_readers(&object, || {
                for number in 0..OBJECTS {
                    retired[number as usize].store(now(), Ordering::Relaxed);
                    object.replace(tracked(number + 1));
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let end = now();
            let pairs = retired.iter().zip(&*freed).take(OBJECTS as usize);
            Ok(middle(pairs.map(|(retired, freed)| {
                // One that is still there has taken at least as long.
                let freed = freed.load(Ordering::Relaxed).min(end);
                freed.saturating_sub(retired.load(Ordering::Relaxed))
            })))
        },
    }
}

/// The same where the old value is gone when the call returns.
pub(crate) const fn copied() -> Fresh {
    Fresh {
        name: <Copied as Reclaiming<u64>>::NAME,
        measure: || {
            let object = Copied::new(0)?;
            let mut times = Vec::new();
            under_readers(&object, || {
                for number in 1..=OBJECTS {
                    let start = Instant::now();
                    object.replace(number);
                    times.push(start.elapsed().as_nanos() as u64);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            Ok(middle(times.into_iter()))
        },
    }
}

/// Runs `work` while readers read without a pause.
fn under_readers<T: Object, R: Reclaiming<T>>(object: &R, work: impl FnOnce()) {
    let working = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut reader = object.reader();
                while working.load(Ordering::Relaxed) {
                    for _ in 0..64 {
                        black_box(R::read(&mut reader, Object::number));
                    }
                }
            });
        }
        work();
        working.store(false, Ordering::Relaxed);
    });
}

/// The median of nanoseconds, in microseconds.
fn middle(times: impl Iterator<Item = u64>) -> f64 {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times[times.len() / 2] as f64 / 1e3
}

/// How many are left after [`STALLED_WAIT`].
fn settled(unfreed: impl Fn() -> u64) -> u64 {
    let start = Instant::now();
    while start.elapsed() < STALLED_WAIT && unfreed() > FINAL {
        thread::sleep(Duration::from_millis(5));
    }
    unfreed()
}

/// The implementation for the case `stalled`.
pub(crate) const fn stalled<R: Reclaiming<Tracked>>() -> Fresh {
    Fresh {
        name: R::NAME,
        measure: || {
            let freed = Arc::new(AtomicU64::new(0));
            let at_drop = Arc::clone(&freed);
            let dropped: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(move |_| {
                at_drop.fetch_add(1, Ordering::Relaxed);
            });
            let tracked = |number| Tracked {
                number,
                dropped: Arc::clone(&dropped),
            };
            let object = R::new(tracked(0))?;
            let (inside, is_inside) = mpsc::channel();
            let (leave, may_leave) = mpsc::channel::<()>();
            thread::scope(|scope| {
                let object = &object;
                scope.spawn(move || {
                    let mut reader = object.reader();
                    R::read(&mut reader, |found| {
                        let _ = inside.send(found.number());
                        let _ = may_leave.recv();
                    });
                });
                let _ = is_inside.recv();
                (1..=STALLED_OBJECTS).for_each(|number| object.replace(tracked(number)));
                let unfreed = settled(|| STALLED_OBJECTS - freed.load(Ordering::Relaxed));
                drop(leave);
                Ok(unfreed as f64)
            })
        },
    }
}

/// The same for copies: a reader that has one holds nothing.
pub(crate) const fn copied_stalled() -> Fresh {
    Fresh {
        name: <Copied as Reclaiming<u64>>::NAME,
        measure: || {
            let object = Copied::new(0)?;
            let (leave, may_leave) = mpsc::channel::<()>();
            thread::scope(|scope| {
                let object = &object;
                scope.spawn(move || {
                    Copied::read(&mut object.reader(), |_| {
                        let _ = may_leave.recv();
                    });
                });
                (1..=STALLED_OBJECTS).for_each(|number| object.replace(number));
                let unfreed = settled(CopyCell::<u64>::unfreed);
                drop(leave);
                Ok(unfreed as f64)
            })
        },
    }
}
