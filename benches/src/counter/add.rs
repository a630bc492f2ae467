//! Adding to one counter, and to eight in turn.

use std::sync::atomic::{Ordering, compiler_fence};

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

/// Eight counters that threads add to.
pub(crate) trait Adding: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// What a thread has found before it adds: its shard, or nothing.
    type Way<'a>: Copy;

    /// For so many threads.
    fn new(threads: usize) -> Result<Self, Error>;

    /// Sets all of them to zero, while nobody adds.
    fn reset(&self);

    /// Finds a thread's way, once before it adds.
    ///
    /// Counters that the compiler might keep to itself must be shown to
    /// `black_box` here: otherwise it may add up in a register.
    fn way(&self, thread: usize) -> Self::Way<'_>;

    /// Adds 1 to one of the eight.
    fn add<const WHICH: usize>(way: Self::Way<'_>);

    /// After a thread's additions, for those whose total must be brought.
    fn bring(&self, _thread: usize) {}

    /// What was added to one of the eight.
    fn total(&self, which: usize) -> u64;
}

/// The implementation for the case `add_one`.
pub(crate) const fn one<A: Adding>() -> Timed {
    Timed {
        name: A::NAME,
        make: |threads| Ok(Box::new(One(A::new(threads)?))),
    }
}

/// The implementation for the case `add_eight`.
pub(crate) const fn eight<A: Adding>() -> Timed {
    Timed {
        name: A::NAME,
        make: |threads| Ok(Box::new(Eight(A::new(threads)?))),
    }
}

/// One addition that the compiler may not merge with the next.
#[inline(always)]
fn add<A: Adding, const WHICH: usize>(way: A::Way<'_>) {
    A::add::<WHICH>(way);
    compiler_fence(Ordering::SeqCst);
}

struct One<A>(A);

impl<A: Adding> Workload for One<A> {
    fn begin(&self) {
        self.0.reset();
    }

    fn run(&self, thread: usize, rounds: u64) {
        let way = self.0.way(thread);
        for _ in 0..rounds {
            add::<A, 0>(way);
            add::<A, 0>(way);
            add::<A, 0>(way);
            add::<A, 0>(way);
            add::<A, 0>(way);
            add::<A, 0>(way);
            add::<A, 0>(way);
            add::<A, 0>(way);
        }
        self.0.bring(thread);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(A::NAME, self.0.total(0), done.operations)
    }
}

struct Eight<A>(A);

impl<A: Adding> Workload for Eight<A> {
    fn begin(&self) {
        self.0.reset();
    }

    fn run(&self, thread: usize, rounds: u64) {
        let way = self.0.way(thread);
        for _ in 0..rounds {
            add::<A, 0>(way);
            add::<A, 1>(way);
            add::<A, 2>(way);
            add::<A, 3>(way);
            add::<A, 4>(way);
            add::<A, 5>(way);
            add::<A, 6>(way);
            add::<A, 7>(way);
        }
        self.0.bring(thread);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        (0..8).try_for_each(|which| {
            expect(A::NAME, self.0.total(which), done.operations / OPERATIONS)
        })
    }
}
