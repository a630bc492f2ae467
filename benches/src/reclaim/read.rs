//! Reading, alone and while another thread replaces.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Object, Reclaiming};
use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

/// What every object says.
pub(super) const NUMBER: u64 = 7;

/// The implementation for the case `read`.
pub(crate) const fn of<R: Reclaiming<u64>>() -> Timed {
    Timed {
        name: R::NAME,
        make: |_| {
            Ok(Box::new(Reading {
                object: R::new(NUMBER)?,
                sum: Tally::default(),
            }))
        },
    }
}

struct Reading<R> {
    object: R,
    sum: Tally,
}

impl<R: Reclaiming<u64>> Reading<R> {
    fn read(&self, rounds: u64) {
        // The compiler might keep what it sees to itself.
        let mut reader = black_box(&self.object).reader();
        let mut sum = 0;
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                sum += R::read(&mut reader, Object::number);
                // Each read is made, and made before the next one.
                compiler_fence(Ordering::SeqCst);
            }
        }
        self.sum.add(sum);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(R::NAME, self.sum.get(), NUMBER * done.operations)
    }
}

impl<R: Reclaiming<u64>> Workload for Reading<R> {
    fn begin(&self) {
        self.sum.reset();
    }

    fn run(&self, _: usize, rounds: u64) {
        self.read(rounds);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        Reading::check(self, done)
    }
}

/// The implementation for the case `busy`.
pub(crate) const fn busy<R: Reclaiming<u64>>() -> Timed {
    Timed {
        name: R::NAME,
        make: |_| {
            let reading = Arc::new(Reading {
                object: R::new(NUMBER)?,
                sum: Tally::default(),
            });
            Ok(Box::new(Busy {
                swapper: Swapper::start(Arc::clone(&reading))?,
                reading,
            }))
        },
    }
}

struct Busy<R> {
    reading: Arc<Reading<R>>,
    swapper: Swapper,
}

impl<R: Reclaiming<u64>> Workload for Busy<R> {
    fn begin(&self) {
        self.reading.sum.reset();
    }

    fn run(&self, _: usize, rounds: u64) {
        self.swapper.readers.fetch_add(1, Ordering::Relaxed);
        self.swapper.thread.thread().unpark();
        self.reading.read(rounds);
        self.swapper.readers.fetch_sub(1, Ordering::Relaxed);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        self.reading.check(done)
    }
}

/// Replaces the object every millisecond while somebody reads, and sleeps otherwise.
struct Swapper {
    readers: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Swapper {
    fn start<R: Reclaiming<u64>>(reading: Arc<Reading<R>>) -> Result<Swapper, Error> {
        let readers = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (its_readers, its_stop) = (Arc::clone(&readers), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .spawn(move || {
                // Ordering: Relaxed. Only says whether there is something to do.
                while !its_stop.load(Ordering::Relaxed) {
                    if its_readers.load(Ordering::Relaxed) == 0 {
                        thread::park();
                    } else {
                        reading.object.replace(NUMBER);
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            })
            .map_err(|why| Error::Thread { number: 0, why })?;
        Ok(Swapper {
            readers,
            stop,
            thread,
        })
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }
}
