//! Bytes, and what a pointer leads to.

use core::sync::atomic::AtomicPtr;

use super::{Index, WordAddress};
use crate::Refusal;
use crate::arch::{self, NOWHERE};

/// Pushes `bytes` bytes on the byte stack of the current id: a length in bytes at
/// `len`, and room for `capacity` bytes in the words after it.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Full`].
///
/// # Safety
///
/// As [`increment`](super::increment). The length is a word, `capacity` bytes follow it,
/// all for sections only; `source` has `bytes` bytes.
#[inline(always)]
pub unsafe fn copy_push<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    capacity: usize,
    source: *const u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.copy_push::<SHIFT>(len, capacity, source, bytes) }
}

/// Pops `bytes` bytes from the byte stack of the current id into `target`.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Empty`] if there are fewer. `target`
/// may have been written to all the same.
///
/// # Safety
///
/// As [`increment`](super::increment). As [`copy_push`], and `target` has room for `bytes`
/// bytes.
#[inline(always)]
pub unsafe fn copy_pop<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.copy_pop::<SHIFT>(len, target, bytes) }
}

/// Copies `bytes` bytes of the current id's stripe, from the word on, to `target`:
/// no other section of that id has stored in between.
///
/// # Errors
///
/// As [`increment`](super::increment). `target` may have been written to all the same.
///
/// # Safety
///
/// As [`increment`](super::increment). The word and what follows it may be read for
/// `bytes` bytes; `target` has room for them.
#[inline(always)]
pub unsafe fn copy_out<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(I::HAS_PLACE || word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.copy_out::<SHIFT>(word, target, bytes) }
}

/// Where a pointer leads that [`load_through`] and [`copy_through`] are not to follow: an
/// address of its own, which is no word's.
#[must_use]
pub fn nowhere() -> *mut u8 {
    // Who loads through it loads this, and not all of it is there.
    static NOTHING: [u64; 2] = [0; 2];
    let nothing = (&raw const NOTHING).expose_provenance();
    core::ptr::with_exposed_provenance_mut(nothing + NOWHERE as usize)
}

/// Loads the word that `pointer` points to, in one section: whoever stores another pointer
/// and then fences ([`fence`](crate::membarrier::fence)) may free what the old one led to,
/// as far as such sections are concerned.
///
/// # Cost
///
/// Two loads and a plain store, and one load more where percid registers threads. Whether it leads [nowhere] is asked together with whether
/// the section was refused.
///
/// # Errors
///
/// [`Refusal::Empty`] if the pointer leads [nowhere]; [`Refusal::Aborted`],
/// [`Refusal::NotRegistered`], [`Refusal::Unsupported`].
///
/// # Safety
///
/// `pointer` is [nowhere] or leads to an aligned word, which was written before the pointer
/// was stored with release ordering, and is not freed before a fence that began after the
/// pointer changed has succeeded.
#[inline(always)]
pub unsafe fn load_through(pointer: &AtomicPtr<u8>) -> Result<u64, Refusal> {
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::load_through(pointer.as_ptr()) }
}

/// Copies `bytes` bytes from where `pointer` points to `target`, in one section, as
/// [`load_through`].
///
/// # Errors
///
/// As [`load_through`]. `target` may have been written to all the same.
///
/// # Safety
///
/// As [`load_through`], for `bytes` bytes; `target` has room for them.
#[inline(always)]
pub unsafe fn copy_through(
    pointer: &AtomicPtr<u8>,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::copy_through(pointer.as_ptr(), target, bytes) }
}
