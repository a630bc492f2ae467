//! A list by a link in what is on it: pushed to by all, and taken as a whole.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Nothing.
pub(crate) const NONE: u64 = 0;

/// Objects, or whatever else has a name and a link.
pub(crate) struct List(AtomicU64);

impl List {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> List {
        List(AtomicU64::new(NONE))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> List {
        List(AtomicU64::new(NONE))
    }

    // Ordering: SeqCst pairs with the lock: see `Tend`. Release for what is pushed.
    pub(crate) fn push(&self, item: u64, link: &AtomicU64) {
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
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(NONE, Ordering::SeqCst)
    }

    /// The first of what stays: of a list that is never taken. The links do not change.
    // Ordering: Acquire pairs with the Release of all pushes, each a read-modify-write.
    #[cfg(not(loom))]
    pub(crate) fn first(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::SeqCst) == NONE
    }
}
