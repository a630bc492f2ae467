//! The claim: one bit of a word, set by whoever works on what the word guards.
//!
//! | word | is | who moves it on |
//! | --- | --- | --- |
//! | `value` | free | [`Claim::of`] to claimed; [`replace`], [`replace_if`] and `list_push` to another value |
//! | `value` and bit | claimed | its holder alone: [`Claim::commit`], [`Claim::give_back`] |
//!
//! Each step from free is a compare-exchange from that very value, so a claim never
//! begins on a word that is claimed; and while it is, its holder's store is the only
//! one. So the holder may commit by a plain store and loses nothing.

use core::sync::atomic::Ordering;

use super::word::Word;
use crate::Refusal;

/// A word that the caller has claimed.
pub(super) struct Claim<'a, W, const BIT: u64> {
    word: &'a W,
    held: u64,
}

impl<'a, W: Word, const BIT: u64> Claim<'a, W, BIT> {
    /// Claims the word if `admit` agrees to what it holds.
    // Ordering: Acquire pairs with the Release of every commit: who is refused as empty
    // or full is ordered after the operation that made it so.
    #[inline(always)]
    pub(super) fn take(
        word: &'a W,
        admit: impl FnOnce(u64) -> Result<(), Refusal>,
    ) -> Result<Self, Refusal> {
        const { assert!(BIT.is_power_of_two(), "a claim is one bit") };
        let held = word.load(Ordering::Acquire);
        if held & BIT != 0 {
            return Err(aborted());
        }
        admit(held)?;
        delay(1);
        Claim::of(word, held).ok_or_else(aborted)
    }

    /// Claims the word if it holds `held`.
    // Ordering: Acquire pairs with the Release of the last commit: the holder sees all
    // that earlier holders did, and nothing of it happens later. A failure decides
    // nothing by itself.
    #[inline(always)]
    pub(super) fn of(word: &'a W, held: u64) -> Option<Self> {
        const { assert!(BIT.is_power_of_two(), "a claim is one bit") };
        debug_assert!(held & BIT == 0, "a value that looks claimed: {held:#x}");
        let claimed = if disarmed() {
            word.load(Ordering::Acquire) == held
        } else {
            word.compare_exchange(held, held | BIT, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        };
        if claimed {
            delay(2);
        }
        claimed.then_some(Claim { word, held })
    }

    /// What the word holds, without the claim.
    #[inline(always)]
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Stores `new` and gives the claim back.
    // Ordering: Release pairs with the Acquire of the next claim: what was written is
    // there, and what was read has been read.
    #[inline(always)]
    pub(super) fn commit(self, new: u64) {
        debug_assert!(new & BIT == 0, "a value that looks claimed: {new:#x}");
        delay(3);
        self.word.store(new, Ordering::Release);
    }

    /// Gives the claim back and leaves the word as it was.
    #[inline(always)]
    pub(super) fn give_back(self) {
        let held = self.held;
        self.commit(held);
    }
}

/// What the word holds.
// Ordering: the fence pairs with the one of `compare_compare_store`: either that one
// sees what the caller stored before, or the caller sees its claim. Acquire pairs with
// commits.
#[inline(always)]
pub(super) fn observe<W: Word, const BIT: u64>(word: &W) -> Result<u64, Refusal> {
    word.fence();
    let held = word.load(Ordering::Acquire);
    if held & BIT == 0 {
        Ok(held)
    } else {
        Err(aborted())
    }
}

/// Takes what the word holds and leaves `new`.
// Ordering: AcqRel: acquires as a claim does, releases as a commit does. Without a
// fence: a claim that begins later acquires this store and all before it.
#[inline(always)]
pub(super) fn replace<W: Word, const BIT: u64>(word: &W, new: u64) -> Result<u64, Refusal> {
    debug_assert!(new & BIT == 0, "a value that looks claimed: {new:#x}");
    let held = word.load(Ordering::Relaxed);
    if held & BIT != 0 {
        return Err(aborted());
    }
    word.compare_exchange(held, new, Ordering::AcqRel, Ordering::Relaxed)
        .map_err(|_| aborted())
}

/// Stores `new` if the word holds `expected`.
// Ordering: AcqRel, as `replace`.
#[inline(always)]
pub(super) fn replace_if<W: Word, const BIT: u64>(
    word: &W,
    expected: u64,
    new: u64,
) -> Result<(), Refusal> {
    debug_assert!(new & BIT == 0, "a value that looks claimed: {new:#x}");
    if expected & BIT != 0 {
        return Err(Refusal::Mismatch);
    }
    word.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Relaxed)
        .map(drop)
        .map_err(|_| why_not::<W, BIT>(word, expected))
}

/// Why a compare-exchange from `expected` failed.
///
/// It may have read an older value than the caller may see, and a claimed word is
/// neither what it was nor what it will be. So look again, behind a fence.
#[cold]
pub(super) fn why_not<W: Word, const BIT: u64>(word: &W, expected: u64) -> Refusal {
    match observe::<W, BIT>(word) {
        Ok(held) if held != expected => Refusal::Mismatch,
        Ok(_) => aborted(),
        Err(refusal) => refusal,
    }
}

/// The word is claimed, or has just changed.
#[cold]
pub(super) fn aborted() -> Refusal {
    #[cfg(percid_inject)]
    crate::inject::count_abort();
    Refusal::Aborted
}

/// Spins at a numbered point, in builds for tests.
#[inline(always)]
pub(super) fn delay(_point: usize) {
    #[cfg(percid_inject)]
    crate::inject::spin(_point);
}

/// Whether claims are left out: the control of tests that depend on them.
#[inline(always)]
fn disarmed() -> bool {
    #[cfg(percid_inject)]
    return crate::inject::is_disarmed();
    #[cfg(not(percid_inject))]
    false
}
