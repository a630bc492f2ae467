//! The protocol: who goes from one way to count to the other, one at a time.
//!
//! To atomic: close the gate, fence, add `stripes - BIAS` in one step. After the fence
//! nobody adds to a stripe, so the sum is all there ever was. To per cid: zero the
//! stripes, in which nobody is since that fence; add `BIAS`; open the gate (release).
//!
//! `DEAD` is in the counted word and set before the gate closes: who wants a live
//! reference and read the word before that fails its exchange, and who comes by a section
//! fails at the gate once the fence is over.
//!
//! Switches are serialised by a lock in the object. It holds the number of the process,
//! so that a child of `fork` takes it from a thread that only its parent has. Each step
//! of a switch leaves one of the three modes, so whoever takes the lock goes on from
//! there; a fence that was refused leaves `pending`, too.

use percid_rseq::generation;

use super::RefError;
use super::core::{BIAS, COUNT, Core, DEAD, FORCED, is_biased, put_without_get};
use crate::arena::Gated;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::yield_now;

impl<G: Gated> Core<G> {
    /// Marks it dead, and counts on the word alone from here on. Afterwards nobody gets a
    /// live reference, and the caller owes the put of the first one.
    pub(crate) fn kill(&self) -> Result<(), RefError> {
        let _lock = self.lock();
        // Ordering: AcqRel. Once: who finds it dead comes after who killed it; what the
        // killer did before is there for who fails for it.
        let before = self.count.fetch_or(DEAD, Ordering::AcqRel);
        if before & DEAD != 0 && !is_biased(before) {
            return Err(RefError::AlreadyKilled);
        }
        // Or an earlier one ended at its fence, or in a thread that only a parent has.
        self.gate.close();
        self.settle()
    }

    /// Brings what the stripes hold to the word, if it is not there. For who has closed
    /// the gate.
    fn settle(&self) -> Result<(), RefError> {
        // Ordering: Relaxed. Only switches bring the bias and take it away.
        if !is_biased(self.count.load(Ordering::Relaxed)) {
            return Ok(());
        }
        self.gate.fence().map_err(RefError::Fence)?;
        let change = self.gate.sum().wrapping_sub(BIAS);
        // Ordering: AcqRel. Release hands on what came before the puts in stripes, which
        // the fence has ordered before this; Acquire is for the check below.
        let before = self.count.fetch_add(change, Ordering::AcqRel);
        let references = (before & COUNT).wrapping_add(change).cast_signed();
        if references < 1 {
            // The first reference is in it, so somebody has put what he had not.
            self.count
                .fetch_add(change.wrapping_neg(), Ordering::Relaxed);
            put_without_get();
        }
        Ok(())
    }

    /// From here on it counts on the word alone, until somebody asks for cids.
    pub(crate) fn switch_to_atomic(&self) -> Result<(), RefError> {
        let _lock = self.lock();
        // Ordering: Relaxed. A mark among switches.
        self.count.fetch_or(FORCED, Ordering::Relaxed);
        self.gate.close();
        self.settle()
    }

    /// Counts by cid again, unless it is dead; whether it does.
    pub(crate) fn switch_to_percid(&self) -> bool {
        let _lock = self.lock();
        // Ordering: Relaxed, as above.
        let before = self.count.fetch_and(!FORCED, Ordering::Relaxed);
        before & DEAD == 0 && self.open()
    }

    /// Lets sections count. For who holds the lock; not if it is dead.
    fn open(&self) -> bool {
        if self.gate.is_open() {
            return true;
        }
        // Ordering: Relaxed. Only switches bring the bias and take it away.
        if !is_biased(self.count.load(Ordering::Relaxed)) {
            if !self.gate.place() {
                return false;
            }
            // Ordering: Relaxed. The gate's Release puts it before whatever follows a
            // section of this opening. Others' puts cannot bring the count to zero
            // without it: the first reference is in it.
            self.count.fetch_add(BIAS, Ordering::Relaxed);
        }
        self.gate.open();
        true
    }

    /// Opens the gate of one that was never used, if nobody switches just now. May run in
    /// a signal handler, so it does not wait.
    pub(super) fn first_use(&self) {
        // Ordering: Relaxed. Marks change under the lock; a count of zero stays.
        let may_open = || {
            let count = self.count.load(Ordering::Relaxed);
            self.gate.is_new() && count & (DEAD | FORCED) == 0 && count & COUNT != 0
        };
        if may_open()
            && let Some(_lock) = self.try_lock()
            && may_open()
        {
            self.open();
        }
    }

    /// Takes a kill back, while there are references.
    pub(crate) fn resurrect(&self) -> Result<(), RefError> {
        self.revive(|references| match references {
            0 => Err(RefError::Released),
            some => Ok(some + 1),
        })
    }

    /// Begins another life, when there are no references left.
    pub(crate) fn reinit(&self) -> Result<(), RefError> {
        self.revive(|references| match references {
            0 => Ok(1),
            _ => Err(RefError::InUse),
        })
    }

    fn revive(&self, next: impl Fn(u64) -> Result<u64, RefError>) -> Result<(), RefError> {
        let _lock = self.lock();
        // Ordering: Acquire: who revives comes after the last put.
        let mut count = self.count.load(Ordering::Acquire);
        loop {
            if count & DEAD == 0 {
                return Err(RefError::NotKilled);
            }
            let revived = if is_biased(count) {
                // The kill ended at its fence: its reference is still there.
                next(1).map(|_| count & COUNT)?
            } else {
                next(count & COUNT)?
            };
            // Ordering: Release pairs with the Acquire of `try_get_slow`.
            match self.count.compare_exchange_weak(
                count,
                count & FORCED | revived,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => count = now,
            }
        }
        if count & FORCED == 0 {
            self.open();
        }
        Ok(())
    }

    fn try_lock(&self) -> Option<Lock<'_>> {
        let switching = &self.switching;
        // Ordering: Acquire pairs with the Release of the lock's end.
        switching
            .compare_exchange(0, generation(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| Lock(switching)) // not `then_some`, whose drop would unlock
    }

    fn lock(&self) -> Lock<'_> {
        let mine = generation();
        loop {
            // Ordering: Relaxed. The exchange decides.
            let holder = self.switching.load(Ordering::Relaxed);
            if holder == mine {
                yield_now();
                continue;
            }
            // Nobody's, or a parent's: its thread is not here.
            // Ordering: Acquire, as `try_lock`.
            let taken =
                self.switching
                    .compare_exchange(holder, mine, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_ok() {
                return Lock(&self.switching);
            }
        }
    }
}

/// Who holds it is the only one that switches.
struct Lock<'a>(&'a AtomicU32);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Ordering: Release pairs with the Acquire of the next.
        self.0.store(0, Ordering::Release);
    }
}
