//! What is held for longer than a section lasts: locks of the stripe.

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
