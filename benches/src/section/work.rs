//! The operations, and what must be there when they are done.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, Ordering, compiler_fence};

use crate::Error;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

/// Words of a batch.
pub(super) const BATCH: usize = 32;

/// A batch to push, and room for one to pop.
pub(super) struct Batch(pub(super) [u64; BATCH], pub(super) [u64; BATCH]);

impl Batch {
    pub(super) fn boxed() -> Box<Batch> {
        Box::new(Batch([7; BATCH], [0; BATCH]))
    }
}

/// What operations are done to. What they leave behind is a number of things: units
/// added, or nodes, words and items that were pushed and not popped.
pub(super) trait Body: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// What a thread has while it runs.
    type Hand<'a>;

    /// For so many threads.
    fn new(threads: usize) -> Self;

    /// Leaves nothing behind, while nobody works.
    fn clear(&self);

    /// What thread number `thread` starts with.
    fn hand(&self, thread: usize) -> Self::Hand<'_>;

    /// Adds 1.
    fn add(&self, hand: &mut Self::Hand<'_>) -> i64;

    /// Takes the lock, adds 1, releases it.
    fn lock(&self, hand: &mut Self::Hand<'_>) -> i64;

    /// Pushes a node and pops one.
    fn list(&self, hand: &mut Self::Hand<'_>) -> i64;

    /// Pushes a word and pops one.
    fn array(&self, hand: &mut Self::Hand<'_>) -> i64;

    /// Pushes 16 bytes and pops 16.
    fn copy16(&self, hand: &mut Self::Hand<'_>) -> i64;

    /// Pushes 32 words and pops 32.
    fn batch32(&self, hand: &mut Self::Hand<'_>) -> i64;

    /// After a thread's operations, for those whose units must be brought.
    fn bring(&self, _hand: Self::Hand<'_>, _what: Kind) {}

    /// What was left behind.
    fn left(&self, what: Kind) -> i64;
}

/// Which things are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Units,
    Guarded,
    Nodes,
    Words,
    Bytes,
}

/// Which operation; returns what it left behind.
pub(super) trait Operation: Sync + Send + 'static {
    /// Of what.
    const KIND: Kind;

    /// Operations that one call counts as.
    const EACH: u64 = 1;

    fn once<B: Body>(body: &B, hand: &mut B::Hand<'_>) -> i64;
}

macro_rules! operations {
    ($($name:ident: $method:ident, $kind:ident, $each:literal;)*) => {
        $(
            pub(super) struct $name;

            impl Operation for $name {
                const KIND: Kind = Kind::$kind;
                const EACH: u64 = $each;

                #[inline(always)]
                fn once<B: Body>(body: &B, hand: &mut B::Hand<'_>) -> i64 {
                    body.$method(hand)
                }
            }
        )*
    };
}

operations! {
    Add: add, Units, 1;
    Lock: lock, Guarded, 1;
    List: list, Nodes, 1;
    Array: array, Words, 1;
    Copy16: copy16, Bytes, 1;
    Batch32: batch32, Words, 32;
}

/// The implementation of an operation by a body.
pub(super) const fn of<O: Operation, B: Body>() -> Timed {
    Timed {
        name: B::NAME,
        make: |threads| {
            let (body, left) = (B::new(threads), AtomicI64::new(0));
            Ok(Box::new(Work::<O, B> {
                body,
                left,
                operation: PhantomData,
            }))
        },
    }
}

struct Work<O, B> {
    body: B,
    /// What the operations say that they left behind.
    left: AtomicI64,
    operation: PhantomData<O>,
}

impl<O: Operation, B: Body> Workload for Work<O, B> {
    fn begin(&self) {
        self.body.clear();
        self.left.store(0, Ordering::Relaxed);
    }

    fn run(&self, thread: usize, rounds: u64) {
        let mut hand = self.body.hand(thread);
        let mut left = 0;
        // A round is as many operations as everywhere; a batch is many of them.
        let calls = (rounds * OPERATIONS).div_ceil(O::EACH * OPERATIONS);
        for _ in 0..calls {
            for _ in 0..OPERATIONS {
                left += O::once(&self.body, &mut hand);
                compiler_fence(Ordering::SeqCst);
            }
        }
        self.body.bring(hand, O::KIND);
        self.left.fetch_add(left, Ordering::Relaxed);
    }

    fn check(&self, _: Done) -> Result<(), Error> {
        let (found, left) = (self.body.left(O::KIND), self.left.load(Ordering::Relaxed));
        if found == left {
            return Ok(());
        }
        Err(Error::Wrong {
            implementation: B::NAME,
            counted: found as u64,
            expected: left as u64,
        })
    }
}
