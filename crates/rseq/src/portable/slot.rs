//! A slot of lazy references: `active`, `dying` and `pointer`.
//!
//! `active` is claimed while the others are read, as the first word of a pair is. So
//! whoever marks the slot, fences, and finds `active` unclaimed knows that later takers
//! and leavers see the mark.

use core::sync::atomic::Ordering;

use super::TOP;
use super::claim::{Claim, why_not};
use super::pair::store_if_both;
use super::word::{Word, at};
use crate::Refusal;

/// Takes a slot for `expected`: stores 1 in its first word and returns where the slot is,
/// if the slot is idle, unmarked and holds `expected`.
///
/// # Errors
///
/// [`Refusal::Mismatch`]; [`Refusal::Aborted`] if it is claimed, so that it cannot be
/// said.
///
/// # Safety
///
/// Three aligned words that are accessed by atomics only. The first is changed by `hit` and
/// [`leave`] only. The others may be changed in any way by who holds the slot; whoever
/// else changes them looks at the first word only after a `fence(SeqCst)`, and takes one
/// that has [`TOP`] set for an unknown one.
#[inline]
pub unsafe fn hit(slot: *mut u64, expected: u64) -> Result<*mut u64, Refusal> {
    // SAFETY: the caller says that these are words.
    let words = unsafe { [at(slot), at(slot.wrapping_add(1)), at(slot.wrapping_add(2))] };
    take(words, expected).map(|()| slot)
}

/// Leaves a slot that [`hit`] has taken: stores 0 in its first word if its second is 0.
///
/// # Errors
///
/// [`Refusal::Mismatch`] if it is marked: it is still the caller's then.
///
/// # Safety
///
/// As [`hit`], and the caller has taken the slot and not left it.
#[inline]
pub unsafe fn leave(slot: *mut u64) -> Result<(), Refusal> {
    // SAFETY: the caller says that these are words.
    let (active, dying) = unsafe { (at(slot), at(slot.wrapping_add(1))) };
    store_if_both::<_, TOP>(active, 1, dying, 0, 0)
}

pub(super) fn take<W: Word>(
    [active, dying, pointer]: [&W; 3],
    expected: u64,
) -> Result<(), Refusal> {
    let Some(claim) = Claim::<W, TOP>::of(active, 0) else {
        return Err(why_not::<W, TOP>(active, 0));
    };
    // Ordering: the fence stands between the claim and the other words, as in
    // `compare_compare_store`: if these loads miss a store by somebody else, it finds
    // the claim, or 1. Acquire pairs with whoever left the slot as it is.
    active.fence();
    let idle = dying.load(Ordering::Acquire) == 0;
    if idle && pointer.load(Ordering::Acquire) == expected {
        claim.commit(1);
        return Ok(());
    }
    claim.give_back();
    Err(Refusal::Mismatch)
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;

    fn values(slot: &[AtomicU64; 3]) -> [u64; 3] {
        [0, 1, 2].map(|place: usize| slot[place].load(Ordering::Relaxed))
    }

    fn hit_of(slot: &[AtomicU64; 3], expected: u64) -> Result<(), Refusal> {
        // SAFETY: the array's three words.
        unsafe { hit(slot.as_ptr().cast::<u64>().cast_mut(), expected) }.map(drop)
    }

    fn leave_of(slot: &[AtomicU64; 3]) -> Result<(), Refusal> {
        // SAFETY: the array's three words; the tests take it before.
        unsafe { leave(slot.as_ptr().cast::<u64>().cast_mut()) }
    }

    #[test]
    fn a_slot_is_taken_once_and_left() {
        let slot = [0, 0, 8].map(AtomicU64::new);
        assert_eq!(hit_of(&slot, 16), Err(Refusal::Mismatch));
        assert_eq!(hit_of(&slot, 8), Ok(()));
        assert_eq!(hit_of(&slot, 8), Err(Refusal::Mismatch));
        assert_eq!(values(&slot), [1, 0, 8]);
        assert_eq!(leave_of(&slot), Ok(()));
        assert_eq!(values(&slot), [0, 0, 8]);
    }

    #[test]
    fn a_marked_slot_is_neither_taken_nor_left() {
        let slot = [0, 8, 8].map(AtomicU64::new);
        assert_eq!(hit_of(&slot, 8), Err(Refusal::Mismatch));
        assert_eq!(values(&slot), [0, 8, 8]);
        slot[0].store(1, Ordering::Relaxed);
        assert_eq!(leave_of(&slot), Err(Refusal::Mismatch));
        assert_eq!(values(&slot), [1, 8, 8]);
    }

    #[test]
    fn nothing_is_said_of_a_claimed_slot() {
        let slot = [TOP, 0, 8].map(AtomicU64::new);
        assert_eq!(hit_of(&slot, 8), Err(Refusal::Aborted));
        slot[0].store(TOP | 1, Ordering::Relaxed);
        assert_eq!(leave_of(&slot), Err(Refusal::Aborted));
        assert_eq!(values(&slot), [TOP | 1, 0, 8]);
    }
}
