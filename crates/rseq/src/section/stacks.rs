//! Stacks of words behind a length.

use core::sync::atomic::AtomicU64;

use super::{Index, WordAddress};
use crate::Refusal;

/// Pushes a word on the stack of the current id: a length (32 bits) at `len`, and
/// room for `capacity` words in the words after it.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Full`].
///
/// # Safety
///
/// As [`increment`](super::increment). The length is a word and `capacity` words follow
/// it, all for sections only.
#[inline(always)]
pub unsafe fn array_push<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    capacity: u32,
    value: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_push::<SHIFT>(len, capacity, value) }
}

/// Pops a word from the stack of the current id.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Empty`].
///
/// # Safety
///
/// As [`increment`](super::increment). As [`array_push`].
#[inline(always)]
pub unsafe fn array_pop<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
) -> Result<u64, Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_pop::<SHIFT>(len) }
}

/// Pushes words on the stack of the current id, in order, as many of the `count`
/// at `source` as there is room for; how many that was.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Full`] if there is room for none.
///
/// # Safety
///
/// As [`increment`](super::increment). As [`array_push`], and `source` has `count` words.
#[inline(always)]
pub unsafe fn array_push_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    capacity: u32,
    source: *const u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_push_batch::<SHIFT>(len, capacity, source, count) }
}

/// Pops up to `count` words from the stack of the current id into `target`, the
/// one that was on top last; how many those were.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Empty`]. `target` may have been
/// written to all the same.
///
/// # Safety
///
/// As [`increment`](super::increment). As [`array_push`], and `target` has room for
/// `count` words.
#[inline(always)]
pub unsafe fn array_pop_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    target: *mut u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_pop_batch::<SHIFT>(len, target, count) }
}

/// Pushes two words, `first` below `second`, on one of several stacks of the current id:
/// the one whose length lies as many bytes after `word` as `chosen` says, loaded with
/// acquire ordering in the same section.
///
/// Whoever chooses another stack and then fences ([`fence`](crate::membarrier::fence)) has
/// the old one to itself, on every stripe.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Full`], also if `chosen` is 0.
///
/// # Safety
///
/// As [`increment`](super::increment). For every value of `chosen` but 0 there is a
/// length, of 32 bits in an aligned word, and `capacity` words follow it, an even number;
/// they change by sections only, or, while another one is chosen and a fence since then
/// has succeeded, by one thread, before the stack is chosen again with release ordering.
#[inline(always)]
pub unsafe fn array_push_pair<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    chosen: &AtomicU64,
    capacity: u32,
    first: u64,
    second: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    debug_assert!(capacity.is_multiple_of(2), "room for half a pair");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_push_pair::<SHIFT>(word, chosen, capacity, first, second) }
}
