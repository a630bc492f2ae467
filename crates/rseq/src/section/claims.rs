//! What is held for longer than a section lasts: locks of the stripe, and slots of lazy
//! references.

use core::sync::atomic::AtomicU64;

use super::{Index, WordAddress};
use crate::Refusal;

/// Claims the current id's word: stores `held`, which is not 0, if it holds 0, and
/// returns where it is.
///
/// So a section takes a lock of its stripe, or any part of it, for longer than the
/// section lasts. Whoever claimed it gives it back by storing 0 there, with release
/// ordering, from wherever the thread has gone meanwhile.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Mismatch`] if it is claimed already.
/// Do not wait: its owner may be preempted.
///
/// # Safety
///
/// As [`increment`](super::increment), and the only other store to a word that holds
/// something else than 0 is its owner's.
#[inline(always)]
pub unsafe fn claim<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    held: u64,
) -> Result<*mut u64, Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    debug_assert!(held != 0, "a claim that nobody sees");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.claim::<SHIFT>(word, held) }
}

/// Claims the first free one of `COUNT` consecutive words of the current id: stores 1 in the
/// first of them that holds 0, and returns where that is.
///
/// As after [`claim`], the word is given back by storing 0 there with release ordering,
/// by whoever holds the claim then, on any thread.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Mismatch`] if all are claimed.
///
/// # Safety
///
/// As [`increment`](super::increment), for `COUNT` words; and the only other store to one
/// that holds something else than 0 is its owner's.
#[inline(always)]
pub unsafe fn claim_any<I: Index, const SHIFT: u32, const COUNT: u32>(
    index: I,
    words: WordAddress,
) -> Result<*mut u64, Refusal> {
    const { assert!(COUNT > 0, "none to claim") };
    debug_assert!(I::HAS_PLACE || words.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.claim_any::<SHIFT, COUNT>(words) }
}

/// Claims the first free one of `count` consecutive words of the current id: stores what
/// `mark` holds, loaded with acquire ordering in the same section, in the first of them
/// that holds 0, and returns where that is.
///
/// Whoever changes `mark` and then fences ([`fence`](crate::membarrier::fence)) knows that
/// no word is claimed with the old mark any more: each that was has been stored by now.
///
/// As after [`claim`], the word is given back by storing 0 there with release ordering,
/// by whoever holds the claim then, on any thread.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Mismatch`] if all are claimed, or
/// the mark is 0.
///
/// # Safety
///
/// As [`increment`](super::increment), for `count` words, at least one; and the only other
/// store to one that holds something else than 0 is its owner's.
#[inline(always)]
pub unsafe fn claim_first<I: Index, const SHIFT: u32>(
    index: I,
    words: WordAddress,
    count: u32,
    mark: &AtomicU64,
) -> Result<*mut u64, Refusal> {
    debug_assert!(I::HAS_PLACE || words.0 != 0, "a word at address 0");
    debug_assert!(count != 0, "none to claim");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.claim_first::<SHIFT>(words, count, mark) }
}

/// Takes the current id's lazy slot for `expected`: stores 1 in its first word and
/// returns where the slot is, if the slot is idle, unmarked and holds `expected`.
///
/// A slot is three words: `active`, `dying` and `pointer`. They are loaded in this order,
/// each with acquire ordering; the pointer is last on purpose, for whoever changes it
/// sets one of the others first. The slot is the caller's until [`leave`], wherever the
/// thread has gone meanwhile.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Mismatch`] if any of the three is
/// not so.
///
/// # Safety
///
/// As [`increment`](super::increment), for all three words. While `active` is 0 it is
/// changed by `hit` only; the other two words are changed by whoever holds the slot, and
/// by others only where a fence keeps sections out.
#[inline(always)]
pub unsafe fn hit<I: Index, const SHIFT: u32>(
    index: I,
    slot: WordAddress,
    expected: u64,
) -> Result<*mut u64, Refusal> {
    debug_assert!(I::HAS_PLACE || slot.0 != 0, "a slot at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.hit::<SHIFT>(slot, expected) }
}

/// Leaves a slot that [`hit`] has taken: stores 0 in its first word, with release
/// ordering, if its second word is 0.
///
/// The slot is at its own address, not in the current id's stripe: its holder may have
/// another id by now, and any registered thread may leave it. It is a section for the sake of
/// fences only: whoever marks the slot and then [`fence`]s knows that no load of the
/// second word from before the mark is followed by the store.
///
/// [`fence`]: crate::membarrier::fence
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Mismatch`] if the slot is marked: it
/// is still the caller's then.
///
/// # Safety
///
/// `slot` is the address, divided by 8, of a slot that the caller has taken and not left.
#[inline(always)]
pub unsafe fn leave<I: Index>(index: I, slot: WordAddress) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || slot.0 != 0, "a slot at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.leave(slot) }
}
