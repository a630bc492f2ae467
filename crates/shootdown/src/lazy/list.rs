//! A list by a link in what is on it: pushed to by all, and taken as a whole.

use core::sync::atomic::{AtomicU64, Ordering};

use super::protocol::NONE;

/// Objects, or whatever else has a name and a link.
pub(super) struct List(AtomicU64);

impl List {
    pub(super) const fn new() -> List {
        List(AtomicU64::new(NONE))
    }

    // Ordering: SeqCst pairs with the lock: see `Tend`. Release for what is pushed.
    pub(super) fn push(&self, item: u64, link: &AtomicU64) {
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            link.store(head, Ordering::Relaxed);
            let pushed =
                self.0
                    .compare_exchange_weak(head, item, Ordering::SeqCst, Ordering::Relaxed);
            match pushed {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    // Ordering: SeqCst, as `push`; Acquire for what was pushed.
    pub(super) fn take(&self) -> u64 {
        self.0.swap(NONE, Ordering::SeqCst)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::SeqCst) == NONE
    }
}
