//! The operations: one critical section each.
//!
//! Every operation works on *stripes*. The word of cid `c` stands `c << SHIFT`
//! bytes after `word`, its address in stripe 0; `limit` is the number of stripes
//! that may be touched. An operation either commits with one
//! store or returns a [`Refusal`] and has stored nothing; it never retries by
//! itself, so a debugger that steps through it cannot hang it.
//!
//! An id is valid only inside the section that loaded it, so no operation
//! returns one.
//!
//! | operation | in one section |
//! | --- | --- |
//! | [`increment`] | `*w += 1` |
//! | [`add`] | `*w += n` |
//! | [`load`] | `return *w` |
//! | [`compare_store`] | `if *w == expected { *w = new }` |
//!
//! # Cost
//!
//! Five loads (the thread's area, registration, cid, limit, the word) and two
//! plain stores (the section's descriptor and the word); no atomic
//! read-modify-write, no fence. About twice an increment of a thread-local.
//!
//! # Memory model
//!
//! A committed store is a relaxed atomic store: read it elsewhere with atomics.
//! Sections of one cid are ordered after one another, on whatever CPU they run:
//! the kernel hands an id over with a full barrier. Words that sections store to
//! must never be changed by anybody else's read-modify-write or store, for a
//! section's load and commit are two steps to any other CPU.
//!
//! # Source
//!
//! Restartable sequences: P. Turner and A. Hunter (2013), M. Desnoyers (Linux
//! 4.18); the operations follow the pseudocode of librseq.

use core::sync::atomic::AtomicU32;

use crate::{Refusal, arch};

/// The address of a word in stripe 0.
///
/// Kept divided by 8, so that a structure whose stripe 0 lies below 32 GiB can
/// keep it in 4 bytes and a section needs no instruction more to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordAddress(pub(crate) usize);

impl WordAddress {
    /// The address of an aligned word.
    #[inline]
    #[must_use]
    pub fn new(word: *mut u64) -> WordAddress {
        debug_assert!(!word.is_null() && word.is_aligned(), "a word at {word:p}");
        WordAddress(word.expose_provenance() >> 3)
    }

    /// An address that was divided by 8; its memory was exposed.
    #[inline]
    #[must_use]
    pub const fn from_eighth(eighth: usize) -> WordAddress {
        WordAddress(eighth)
    }
}

/// True where this target has sections at all.
pub const SUPPORTED: bool = arch::SUPPORTED;

/// Adds 1 to the current cid's word.
///
/// The same as [`add`] of 1 in one instruction less.
///
/// # Errors
///
/// [`Refusal::Aborted`], [`Refusal::NotRegistered`], [`Refusal::BeyondLimit`],
/// [`Refusal::Unsupported`]. Nothing was stored.
///
/// # Safety
///
/// For every cid `c` below any value that `limit` ever holds during the call, the
/// word in stripe `c`, at `word` plus `c << SHIFT` bytes, is mapped and writable,
/// and changed by sections only.
#[inline(always)]
pub unsafe fn increment<const SHIFT: u32>(
    limit: &AtomicU32,
    word: WordAddress,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::increment::<SHIFT>(limit, word) }
}

/// Adds `n` to the current cid's word, wrapping.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn add<const SHIFT: u32>(
    limit: &AtomicU32,
    word: WordAddress,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::add::<SHIFT>(limit, word, n) }
}

/// Loads the current cid's word.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`], but the words need not be writable.
#[inline(always)]
pub unsafe fn load<const SHIFT: u32>(limit: &AtomicU32, word: WordAddress) -> Result<u64, Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::load::<SHIFT>(limit, word) }
}

/// Stores `new` in the current cid's word if it holds `expected`.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`] when the word holds something
/// else.
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn compare_store<const SHIFT: u32>(
    limit: &AtomicU32,
    word: WordAddress,
    expected: u64,
    new: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::compare_store::<SHIFT>(limit, word, expected, new) }
}
