//! The operations of [`section`](crate::section) on one word as single relaxed
//! atomics.
//!
//! The body for every thread that cannot run sections. It works on a word of
//! its own, never on one that sections store to: a section's plain commit and a
//! read-modify-write from elsewhere lose updates. The caller picks the word (by
//! thread), so there is no limit and nothing to refuse but a mismatch. Operations on
//! several words have no such form: the structure that needs one has a slow path of
//! its own.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::Refusal;

/// Adds `n`, wrapping.
// Ordering: Relaxed. The word publishes nothing but itself; a total is exact
// for a reader that is ordered after the adds by other means (a join, a lock).
#[inline]
pub fn add(word: &AtomicU64, n: u64) {
    word.fetch_add(n, Ordering::Relaxed);
}

/// Loads the word.
#[inline]
pub fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Takes what the word holds and leaves `new`.
#[inline]
pub fn swap(word: &AtomicU64, new: u64) -> u64 {
    word.swap(new, Ordering::Relaxed)
}

/// Stores `new` if the word holds `expected`.
///
/// # Errors
///
/// [`Refusal::Mismatch`] when it holds something else.
#[inline]
pub fn compare_store(word: &AtomicU64, expected: u64, new: u64) -> Result<(), Refusal> {
    word.compare_exchange(expected, new, Ordering::Relaxed, Ordering::Relaxed)
        .map(drop)
        .map_err(|_| Refusal::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_does_what_the_section_does() {
        let word = AtomicU64::new(u64::MAX);
        add(&word, 8);
        assert_eq!((load(&word), swap(&word, 3)), (7, 7));
        assert_eq!(compare_store(&word, 4, 5), Err(Refusal::Mismatch));
        assert_eq!(compare_store(&word, 3, 5), Ok(()));
        assert_eq!(load(&word), 5);
    }
}
