//! Who looks at all values, and waits for those in use.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use super::PerCid;
use crate::magazine::Holding;
use crate::scope::Scope;

/// Waits until `is_done`; `false` if the lock's holder is a thread that only the parent of
/// a `fork` has.
pub(super) fn wait_for(
    lock: &AtomicU64,
    generation: u64,
    is_done: impl Fn(&AtomicU64) -> bool,
) -> bool {
    while !is_done(lock) {
        let holder = lock.load(Ordering::Relaxed);
        if holder != 0 && holder != generation {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// A walk under way: others use spare values meanwhile.
pub(super) struct Walk<'a> {
    want: &'a AtomicU32,
    _walking: Holding<'a>,
}

impl<'a> Walk<'a> {
    /// Waits for another walk. Not for one of this very thread: that is `Entered`.
    pub(super) fn begin<T, I: Fn() -> T, S: Scope>(cells: &'a PerCid<T, I, S>) -> Walk<'a> {
        let walking = loop {
            match cells.walking.try_hold() {
                Some(walking) => break walking,
                None => thread::yield_now(),
            }
        };
        cells.want.store(1, Ordering::Relaxed);
        Walk {
            want: &cells.want,
            _walking: walking,
        }
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        // Ordering: Release pairs with the Acquire of `with`.
        self.want.store(0, Ordering::Release);
    }
}
