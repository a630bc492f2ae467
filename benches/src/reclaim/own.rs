//! The floor: each thread has an object of its own, which no other can read or replace.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::Arc;

use super::{Reclaiming, Tracked};
use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

/// The thread's own. What another thread replaces is not what this one reads, so a reader
/// holds nothing up, and what is replaced is dropped at once.
pub(crate) struct Own;

/// The name of the floor in every case.
const NAME: &str = "thread_local";

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(super::read::NUMBER) };
    static TRACKED: RefCell<Option<Tracked>> = const { RefCell::new(None) };
    static BOXED: Cell<Option<Box<u64>>> = const { Cell::new(None) };
}

impl Reclaiming<u64> for Own {
    const NAME: &'static str = NAME;

    type Reader<'a> = ();

    fn new(_: u64) -> Result<Own, Error> {
        Ok(Own)
    }

    fn reader(&self) {}

    #[inline(always)]
    fn read<R>((): &mut (), read: impl FnOnce(&u64) -> R) -> R {
        NUMBER.with(|number| read(&black_box(number).get()))
    }

    fn replace(&self, new: u64) {
        NUMBER.set(new);
    }
}

impl Reclaiming<Tracked> for Own {
    const NAME: &'static str = NAME;

    type Reader<'a> = ();

    fn new(first: Tracked) -> Result<Own, Error> {
        TRACKED.set(Some(first));
        Ok(Own)
    }

    /// A reading thread has one of its own, of which nobody hears.
    fn reader(&self) {
        TRACKED.with_borrow_mut(|object| {
            object.get_or_insert_with(|| Tracked {
                number: 0,
                dropped: Arc::new(|_| ()),
            });
        });
    }

    fn read<R>((): &mut (), read: impl FnOnce(&Tracked) -> R) -> R {
        TRACKED.with_borrow(|object| read(object.as_ref().expect("there always is one")))
    }

    fn replace(&self, new: Tracked) {
        TRACKED.set(Some(new));
    }
}

/// The implementation for the case `swap`: what allocating and freeing cost.
pub(crate) const fn swap() -> Timed {
    Timed {
        name: NAME,
        make: |_| Ok(Box::new(Swapping(Tally::default()))),
    }
}

/// How many numbers were found again that a thread left in its box.
struct Swapping(Tally);

impl Workload for Swapping {
    fn begin(&self) {
        self.0.reset();
    }

    fn run(&self, _: usize, rounds: u64) {
        let mut number = 0;
        BOXED.set(Some(Box::new(number)));
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                number += 1;
                drop(BOXED.replace(black_box(Some(Box::new(number)))));
            }
        }
        self.0.add(BOXED.take().map_or(0, |last| *last));
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(NAME, self.0.get(), done.operations)
    }
}
