//! What the protocols need of memory: the real one, or that of a model.

use core::sync::atomic::{AtomicU64, Ordering, fence};

/// A word that can be claimed.
pub(super) trait Word {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
    /// A sequentially consistent fence.
    fn fence(&self);
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }

    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }

    #[inline(always)]
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        AtomicU64::compare_exchange(self, current, new, success, failure)
    }

    #[inline(always)]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// Words that a claimed one guards: the slots of a stack, the links of nodes.
pub(super) trait Cells {
    /// # Safety
    ///
    /// There is such a cell, and the caller holds the claim that guards it.
    unsafe fn read(&self, at: u64) -> u64;

    /// # Safety
    ///
    /// As [`read`](Self::read), or the cell is the caller's alone.
    unsafe fn write(&self, at: u64, value: u64);
}

/// The word at an address.
///
/// # Safety
///
/// It is an aligned word for `'a`, which is accessed by atomics only.
#[inline(always)]
pub(super) unsafe fn at<'a>(word: *mut u64) -> &'a AtomicU64 {
    debug_assert!(
        !word.is_null() && word.cast::<AtomicU64>().is_aligned(),
        "a word at {word:p}"
    );
    // SAFETY: the caller's contract; alignment is a word's on 32-bit targets, too.
    unsafe { AtomicU64::from_ptr(word) }
}
