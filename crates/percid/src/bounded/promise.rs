//! What of the limit is promised to whom: the moves of the head of this module.

use core::sync::atomic::Ordering;

use percid_cid::fences;
use percid_rseq::{Refusal, membarrier};

use super::BoundedCounter;
use super::stripe::{Move, PROMISED, REVOKED, SPENT, add_to, is_of_cid, left};
use crate::scope::Scope;

/// How often an addition goes round before it is refused.
const ROUNDS: u32 = 4;

/// Stripes that are collected under one fence.
const AT_ONCE: usize = 32;

impl<S: Scope> BoundedCounter<S> {
    /// Changes one of the first two words of the current cid's stripe, if that is allowed.
    #[inline(always)]
    pub(super) fn change<const WORD: usize>(&self, n: i64) -> Result<(), Refusal> {
        let most = 2 * self.part;
        // SAFETY: the room has three words. The first two change by this section only, and
        // who takes from the third fences before it relies on it.
        unsafe { self.room.run(&Move::<WORD> { n, most }) }
    }

    /// Whether more is promised than the limit allows.
    // Ordering: Relaxed. Who exceeds it at this moment comes before or after.
    #[inline(always)]
    pub(super) fn is_exceeded(&self) -> bool {
        self.free.left.load(Ordering::Relaxed) < 0
    }

    /// Adds `n` if the limit allows it.
    pub(super) fn add_promised(&self, n: i64) -> bool {
        for _ in 0..ROUNDS {
            if n <= self.part && self.fetch() && self.change::<SPENT>(-n).is_ok() {
                return true;
            }
            if self.promise(n) {
                self.beside.sum.fetch_add(n, Ordering::Relaxed);
                return true;
            }
            // Only what stripes hold back can help.
            let is_over = self.sum().saturating_add(n) > self.limit();
            if is_over || !self.collect() {
                return false;
            }
        }
        false
    }

    pub(super) fn take_away(&self, n: i64) {
        if n <= self.part && !self.is_exceeded() {
            // With room for it the stripe has more than a part too much: return that.
            self.moving(self.part);
            if self.change::<PROMISED>(-self.part).is_ok() {
                self.release(self.part);
            }
            self.moving(-self.part);
            if self.change::<SPENT>(n).is_ok() {
                return;
            }
        }
        // Ordering: Release and AcqRel, so that who is promised what becomes free also sees
        // the sum without it.
        self.beside.sum.fetch_sub(n, Ordering::Release);
        self.release(n);
    }

    /// Promises `n`, if the limit allows it.
    // Ordering: AcqRel pairs with itself: what is promised was free before, and whoever
    // made it free has seen to it that nobody uses it.
    fn promise(&self, n: i64) -> bool {
        let promised = self
            .free
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                (left >= n).then_some(left - n)
            });
        promised.is_ok()
    }

    /// Makes `n` free, which nobody can use any more.
    // Ordering: as `promise`.
    fn release(&self, n: i64) {
        self.free.left.fetch_add(n, Ordering::AcqRel);
    }

    /// Moves a part from what is free to the current stripe.
    fn fetch(&self) -> bool {
        if !fences() {
            return false;
        }
        self.moving(self.part);
        let fetched = self.promise(self.part);
        let moved = fetched && self.change::<PROMISED>(self.part).is_ok();
        if fetched && !moved {
            self.release(self.part);
        }
        self.moving(-self.part);
        moved
    }

    /// Says that so much is neither free nor in a stripe from now on, or is again.
    // Ordering: AcqRel keeps it before, or after, the steps that it is about.
    fn moving(&self, n: i64) {
        self.beside.moving.fetch_add(n, Ordering::AcqRel);
    }

    /// Takes what stripes hold back and makes it free; false if that cannot be done.
    pub(super) fn collect(&self) -> bool {
        let mut stripes = self.room.stripes().filter(is_of_cid);
        loop {
            let mut taken = [const { None }; AT_ONCE];
            let mut any = false;
            for place in &mut taken {
                let Some(stripe) = stripes.next() else { break };
                let left = left(&stripe).max(0);
                if left > 0 {
                    any = true;
                    self.moving(left);
                    // Ordering: SeqCst and the fence: a section has read this, or ends
                    // before the fence does.
                    add_to(&stripe.words()[REVOKED], -left);
                }
                *place = Some((stripe, left));
            }
            if taken[0].is_none() {
                return true;
            }
            let fenced = membarrier::fence().is_ok();
            for (stripe, left_then) in taken.into_iter().flatten() {
                // Sections that had read the word before may have used some of it.
                let used = if fenced {
                    (-left(&stripe)).clamp(0, left_then)
                } else {
                    left_then
                };
                if used > 0 {
                    add_to(&stripe.words()[REVOKED], used);
                }
                if left_then > used {
                    self.release(left_then - used);
                }
                if left_then > 0 {
                    self.moving(-left_then);
                }
            }
            if any && !fenced {
                return false;
            }
        }
    }
}
