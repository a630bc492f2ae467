//! A set of 64 ids, of which the lowest free one is handed out.

use crate::sync::atomic::{AtomicU64, Ordering};

/// A set of 64 ids. Lock-free: a thread retries only when another one has taken
/// or returned an id meanwhile.
///
/// ```
/// let ids = percid_cid::IdSet::new();
/// assert_eq!((ids.acquire(), ids.acquire()), (Some(0), Some(1)));
/// ids.release(0);
/// assert_eq!(ids.acquire(), Some(0));
/// ```
#[derive(Debug)]
pub struct IdSet {
    /// Bit `i`: id `i` is taken.
    taken: AtomicU64,
}

impl IdSet {
    /// Number of ids.
    pub const CAPACITY: u32 = u64::BITS;

    /// Every id free.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> IdSet {
        IdSet {
            taken: AtomicU64::new(0),
        }
    }

    /// Every id free.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> IdSet {
        IdSet {
            taken: AtomicU64::new(0),
        }
    }

    /// Takes the lowest free id; `None` if all are taken.
    // Ordering: Acquire pairs with the Release of `release`: what the former
    // owner did under the id happened before.
    pub fn acquire(&self) -> Option<u32> {
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let id = taken.trailing_ones();
            if id == IdSet::CAPACITY {
                return None;
            }
            match self.taken.compare_exchange_weak(
                taken,
                taken | 1 << id,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(id),
                Err(now) => taken = now,
            }
        }
    }

    /// Gives an id back.
    // Ordering: Release, as `acquire` says.
    pub fn release(&self, id: u32) {
        self.taken.fetch_and(!(1 << id), Ordering::Release);
    }

    /// Frees every id, whoever held it: for the child of a fork.
    pub fn clear(&self) {
        self.taken.store(0, Ordering::Relaxed);
    }

    /// Number of ids taken at this moment.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.taken.load(Ordering::Relaxed).count_ones()
    }

    /// Whether no id is taken at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for IdSet {
    fn default() -> IdSet {
        IdSet::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn hands_out_all_and_then_none() {
        let ids = IdSet::new();
        for id in 0..IdSet::CAPACITY {
            assert_eq!(ids.acquire(), Some(id));
        }
        assert_eq!(ids.acquire(), None);
        ids.release(63);
        ids.release(7);
        assert_eq!(ids.acquire(), Some(7));
        assert_eq!(ids.acquire(), Some(63));
        ids.clear();
        assert!(ids.is_empty());
    }
}
