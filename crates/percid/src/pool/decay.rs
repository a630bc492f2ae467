//! How a pool gives back what it does not need.
//!
//! What nobody uses goes down step by step, and each step asks that it was not needed for a
//! whole *decay time*:
//!
//! | from | to | when |
//! | --- | --- | --- |
//! | a cid's magazine | the depot | the cid has not missed, nor holds another number, for a decay time |
//! | the depot | the objects' chunks | it was in the depot for a decay time, and what others took in it was had without it |
//! | an empty block | the system | as in the depot |
//! | a chunk | the system | all of its objects are at home, the last one for a decay time |
//!
//! So a pool whose use goes up and down within a decay time gives nothing back that it takes
//! again, and one whose use is slower than that pays for its pages once in each turn, at the
//! most once in a decay time. (An allocator that gives back a part of what is free in each step,
//! by a curve, holds less on the way down, but pays each time. The depot's rule is Bonwick's
//! working set.)
//!
//! Whoever misses, or reads statistics, looks whether it is time for a *visit*, which does a
//! bounded part of each step: [`BLOCKS`] of the depot, [`BYTES`] of memory, one look at every
//! cid in a decay time, which takes all that idle ones hold. A hit never does. Visits are [`VISIT`] apart. One at a time: who finds
//! another at it goes on without.
//!
//! Nothing is taken away as a whole. What a visit has in hand is a block of the depot, and then
//! a chunk that nobody uses; all else can be had meanwhile. A thread that dies or forks in there
//! loses that, as anywhere.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use super::RawPool;
use crate::magazine::{Control, RemoteError, Taken, is_over, now};
use crate::scope::Scope;

/// Blocks of the depot whose objects a visit brings home; about four thousand objects. As many
/// empty blocks give their memory back.
const BLOCKS: usize = 64;

/// Bytes that a visit gives back to the system, at the most.
const BYTES: usize = 1 << 20;

/// The least time between visits; less where the decay time is short.
const VISIT: Duration = Duration::from_millis(4);

/// When a pool gives back.
#[derive(Debug)]
pub(super) struct Decay {
    after: Option<Duration>,
    /// Who gives back: one at a time.
    alone: Control,
    visited_at: AtomicU64,
}

impl Decay {
    pub(super) const fn after(after: Option<Duration>) -> Decay {
        Decay {
            after,
            alone: Control::new(),
            visited_at: AtomicU64::new(0),
        }
    }
}

impl<S: Scope> RawPool<S> {
    /// Visits, if it is time for that.
    pub(super) fn decay_if_due(&self) {
        if let Some(age) = self.decay.after
            && is_over(&self.decay.visited_at, VISIT.min(age / 16))
        {
            self.visit(age);
        }
    }

    #[cold]
    fn visit(&self, age: Duration) {
        let Some(_alone) = self.decay.alone.try_hold() else {
            return;
        };
        self.decay.visited_at.store(now(), Ordering::Relaxed);
        if self.magazines.is_due(age) {
            // Another thread may be at it: then it is.
            let _ = self.magazines.sweep(age, &self.source());
        }
        self.magazines
            .sift_surplus(age, BLOCKS, |word| self.bring_home(word));
        self.chunks.give_back(&self.shape, Some(age), Some(BYTES));
    }

    fn bring_home(&self, word: u64) {
        self.chunks.bring_home(&self.shape, word);
    }

    /// Gives all memory back to the system that can be had: takes the free objects of all cids
    /// and of the depot, and returns the pages of chunks all of whose objects are free. How many
    /// bytes of objects those were.
    ///
    /// It is done a block and a chunk at a time, so that others find the rest meanwhile. If what
    /// cids hold cannot be taken, the rest is given back without it.
    ///
    /// # Errors
    ///
    /// As [`drain`](RawPool::drain), and no memory of objects was given back.
    pub fn trim(&self) -> Result<usize, RemoteError> {
        let _alone = self.decay.alone.try_hold().ok_or(RemoteError::Busy)?;
        let drained = self.magazines.drain(|_| true, &self.source());
        self.magazines.sift_all(|word| self.bring_home(word));
        self.magazines.trim_blocks();
        given(self.chunks.give_back(&self.shape, None, None), drained)
    }

    /// Does at once what misses do bit by bit: gives back what was not used for the time that
    /// the pool was told ([`decay_after`](super::RawPoolBuilder::decay_after)), or for any time
    /// if none. How many bytes of objects that were. So the first calls only look.
    ///
    /// For a timer of the program's: a pool that nobody uses any more has no misses. If what
    /// cids hold cannot be taken, the rest is given back without it.
    ///
    /// # Errors
    ///
    /// As [`drain`](RawPool::drain), and no memory of objects was given back.
    pub fn decay(&self) -> Result<usize, RemoteError> {
        let _alone = self.decay.alone.try_hold().ok_or(RemoteError::Busy)?;
        let age = self.decay.after.unwrap_or_default();
        let swept = self.magazines.sweep(age, &self.source());
        self.magazines
            .sift_surplus(age, usize::MAX, |word| self.bring_home(word));
        given(self.chunks.give_back(&self.shape, Some(age), None), swept)
    }
}

/// What is said of so many bytes that were given back after cids were robbed, or were not.
fn given(bytes: usize, robbed: Result<Taken, RemoteError>) -> Result<usize, RemoteError> {
    match robbed {
        Err(why) if bytes == 0 => Err(why),
        _ => Ok(bytes),
    }
}
