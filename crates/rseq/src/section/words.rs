//! One word of the stripe, and conditions on it.

use core::sync::atomic::AtomicU32;

use super::{Index, WordAddress};
use crate::Refusal;

/// Adds 1 to the current id's word.
///
/// The same as [`add`] of 1 in one instruction less.
///
/// # Errors
///
/// [`Refusal::Aborted`], [`Refusal::NotRegistered`], [`Refusal::BeyondLimit`],
/// [`Refusal::Unsupported`].
///
/// # Safety
///
/// For every id `c` below any value that the limit ever holds during the call, or in any
/// slot of a table then, the word in stripe `c`, `c << SHIFT` bytes after `word`, is mapped
/// and writable and changed by sections only.
#[inline(always)]
pub unsafe fn increment<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.increment::<SHIFT>(word) }
}

/// Adds `n` to the current id's word, wrapping.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn add<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add::<SHIFT>(word, n) }
}

/// Adds `n`, wrapping, to the current id's word number `AT`, which is 0 or 1, if the sum
/// of three words, that one after the addition, is in `0..=most`.
///
/// So two words share what a third one, which somebody else changes, leaves of a budget.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`] if the sum would not be.
///
/// # Safety
///
/// As [`increment`], for three words in a row. But anybody may change the third: a section
/// has read it at some time before its commit, so who takes from the budget there fences
/// before relying on it.
#[inline(always)]
pub unsafe fn add_within<I: Index, const SHIFT: u32, const AT: usize>(
    index: I,
    word: WordAddress,
    n: u64,
    most: u64,
) -> Result<(), Refusal> {
    const { assert!(AT < 2, "the third word is somebody else's") };
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add_within::<SHIFT, AT>(word, n, most) }
}

/// Adds `n`, wrapping, to the word that lies `distance` bytes after where the
/// current id's word points.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`] if the pointer is null.
///
/// # Safety
///
/// As [`increment`]. So is what the pointer leads to, if it is not null.
#[inline(always)]
pub unsafe fn add_through<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    distance: isize,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add_through::<SHIFT>(word, distance, n) }
}

/// Adds `n`, wrapping, to the current id's word if `flag`, which lies outside the
/// stripes, holds `expected`.
///
/// The flag is for who wants the words for himself: he stores another value and
/// [fences](crate::membarrier::fence). From then on nobody adds, and what was added
/// stands in the words. So the flag, unlike words of stripes, is anybody's to change,
/// in any way. Its load is an acquire load: an add that finds the flag open again
/// finds the words as whoever opened it, with release ordering, left them.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`] if the flag holds something else.
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn add_if<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    flag: &AtomicU32,
    expected: u32,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add_if::<SHIFT>(word, flag, expected, n) }
}

/// Loads the current id's word.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`]. But the words need not be writable.
#[inline(always)]
pub unsafe fn load<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
) -> Result<u64, Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.load::<SHIFT>(word) }
}

/// Takes what the current id's word holds and leaves `new`.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn swap<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    new: u64,
) -> Result<u64, Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.swap::<SHIFT>(word, new) }
}

/// Stores `new` in the current id's word if it holds `expected`.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`].
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn compare_store<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    expected: u64,
    new: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.compare_store::<SHIFT>(word, expected, new) }
}

/// Stores `new` in the current id's word if it holds `expected` and the word
/// `distance` bytes after it holds `second`.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`].
///
/// # Safety
///
/// As [`increment`]. The second word likewise, but it need not be writable.
#[inline(always)]
pub unsafe fn compare_compare_store<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    expected: u64,
    distance: isize,
    second: u64,
    new: u64,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.compare_compare_store::<SHIFT>(word, expected, distance, second, new) }
}
