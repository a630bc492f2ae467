//! Replacing, by all threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Object, Reclaiming};
use crate::Error;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

/// The implementation for the case `swap`.
pub(crate) const fn of<R: Reclaiming<u64>>() -> Timed {
    Timed {
        name: R::NAME,
        make: |threads| {
            Ok(Box::new(Swapping {
                object: R::new(0)?,
                next: (0..threads).map(|_| AtomicU64::new(0)).collect(),
                last: Mutex::new(()),
            }))
        },
    }
}

/// Threads leave numbers of their own, growing.
struct Swapping<R> {
    object: R,
    /// For each thread, the number that it left last.
    next: Vec<AtomicU64>,
    last: Mutex<()>,
}

const THREAD: u32 = 48;

impl<R: Reclaiming<u64>> Workload for Swapping<R> {
    fn begin(&self) {
        let _alone = self.last.lock();
        self.object.replace(0);
        self.next
            .iter()
            .for_each(|one| one.store(0, Ordering::Relaxed));
    }

    fn run(&self, thread: usize, rounds: u64) {
        let mine = &self.next[thread];
        let mut number = mine.load(Ordering::Relaxed);
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                number += 1;
                self.object.replace((thread as u64) << THREAD | number);
            }
        }
        mine.store(number, Ordering::Relaxed);
    }

    /// The object is the last of one of the threads.
    fn check(&self, done: Done) -> Result<(), Error> {
        let mut reader = self.object.reader();
        let found = R::read(&mut reader, Object::number);
        let (thread, number) = ((found >> THREAD) as usize, found & ((1 << THREAD) - 1));
        let of = |one: &AtomicU64| one.load(Ordering::Relaxed);
        crate::error::expect(R::NAME, number, self.next.get(thread).map_or(0, of))?;
        crate::error::expect(R::NAME, self.next.iter().map(of).sum(), done.operations)
    }
}
