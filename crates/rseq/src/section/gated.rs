//! Stacks whose capacity stands in the stripe.

use super::{Index, WordAddress};
use crate::Refusal;

/// Pushes a word on the gated stack of the current id: a length (32 bits) at `len`, its
/// gate in the 32 bits after it, and room for words in the words after both.
///
/// The gate is how many words there is room for at this moment; 0 closes the stack to
/// push and pop. Anybody may store to it, with release ordering. So whoever is to take
/// a stack from under its sections closes it, fences ([`fence`]), takes what it holds,
/// stores the new length and opens it again.
///
/// [`fence`]: crate::membarrier::fence
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Full`], also if it is closed.
///
/// # Safety
///
/// As [`increment`](super::increment). The length and its gate are one aligned word, as
/// many words follow as the gate ever says, and length and words change by sections only,
/// or while the gate is 0 and a fence since then has succeeded.
#[inline(always)]
pub unsafe fn gated_push<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    value: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_push::<SHIFT>(len, value) }
}

/// Pops a word from the gated stack of the current id.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Empty`], also if it is closed.
///
/// # Safety
///
/// As [`gated_push`].
#[inline(always)]
pub unsafe fn gated_pop<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
) -> Result<u64, Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_pop::<SHIFT>(len) }
}

/// Pushes words on the gated stack of the current id, in order, as many of the `count`
/// at `source` as there is room for; how many that was.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Full`] if there is room for none or
/// it is closed.
///
/// # Safety
///
/// As [`gated_push`], and `source` has `count` words.
#[inline(always)]
pub unsafe fn gated_push_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    source: *const u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_push_batch::<SHIFT>(len, source, count) }
}

/// Pops up to `count` words from the gated stack of the current id into `target`, the
/// one that was on top last; how many those were.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Empty`], also if it is closed.
/// `target` may have been written to all the same.
///
/// # Safety
///
/// As [`gated_push`], and `target` has room for `count` words.
#[inline(always)]
pub unsafe fn gated_pop_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    target: *mut u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_pop_batch::<SHIFT>(len, target, count) }
}
