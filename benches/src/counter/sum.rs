//! Summing a counter that all threads have added to.

use std::hint::black_box;

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

/// What each thread adds before one of them sums.
const ADDED: u64 = 1000;

/// A counter that any thread can sum.
pub(super) trait Summing: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// For so many threads.
    fn new(threads: usize) -> Result<Self, Error>;

    /// Sets it to zero, while nobody adds.
    fn reset(&self);

    /// Adds 1, as thread number `thread`.
    fn add(&self, thread: usize);

    /// The total.
    fn sum(&self) -> u64;
}

/// The implementation for the case `sum`.
pub(super) const fn of<S: Summing>() -> Timed {
    Timed {
        name: S::NAME,
        make: |threads| Ok(Box::new(Sum(S::new(threads)?))),
    }
}

struct Sum<S>(S);

impl<S: Summing> Workload for Sum<S> {
    fn begin(&self) {
        self.0.reset();
    }

    fn enter(&self, thread: usize) {
        (0..ADDED).for_each(|_| self.0.add(thread));
    }

    fn run(&self, _thread: usize, rounds: u64) {
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                black_box(self.0.sum());
            }
        }
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(S::NAME, self.0.sum(), done.threads * ADDED)
    }
}
