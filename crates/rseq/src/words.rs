//! What percid's other crates keep in each thread.
//!
//! Thread-locals of one's own take `std`, or assembly, and that is in this crate.

use core::ptr::NonNull;

use crate::arch;

/// A thread's words. All zero at first.
///
/// For percid's own crates; not part of the interface.
#[doc(hidden)]
#[repr(C, align(8))]
#[derive(Debug)]
pub struct ThreadWords([u8; 88]);

/// The calling thread's words, for as long as it runs; `None` on targets without sections,
/// where this crate has none.
///
/// For percid's own crates; not part of the interface.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn thread_words() -> Option<NonNull<ThreadWords>> {
    arch::thread_words()
}
