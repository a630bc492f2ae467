//! What threads count for themselves and hand in when they have run.

use std::sync::atomic::{AtomicU64, Ordering};

/// The sum of what threads handed in.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    // Ordering: Relaxed, here and below. Threads are joined, or meet at a barrier, before
    // anybody looks.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
