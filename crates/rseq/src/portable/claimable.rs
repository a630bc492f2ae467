//! One-word operations on words that others may claim.
//!
//! For the words of [`compare_compare_store`](super::compare_compare_store), for
//! pointers that [`add_through`](super::add_through) follows, and to empty or replace a
//! whole list or stack at once. `CLAIM` is the bit of the kind of word, as the table of
//! [`portable`](super) says; values must not have it.

use core::sync::atomic::{AtomicU64, Ordering};

use super::claim::{observe, replace, replace_if};
use crate::Refusal;

/// Loads the word. Costs a full fence, which makes it exact beside
/// [`compare_compare_store`](super::compare_compare_store).
///
/// # Errors
///
/// [`Refusal::Aborted`] if it is claimed.
#[inline]
pub fn load<const CLAIM: u64>(word: &AtomicU64) -> Result<u64, Refusal> {
    observe::<_, CLAIM>(word)
}

/// Takes what the word holds and leaves `new`. What the word led to is the caller's
/// from then on: nobody is inside.
///
/// # Errors
///
/// [`Refusal::Aborted`] if it is claimed or changes at this moment.
#[inline]
pub fn swap<const CLAIM: u64>(word: &AtomicU64, new: u64) -> Result<u64, Refusal> {
    replace::<_, CLAIM>(word, new)
}

/// Stores `new` if the word holds `expected`.
///
/// # Errors
///
/// [`Refusal::Mismatch`] when it holds something else, [`Refusal::Aborted`] if that
/// cannot be said because it is claimed.
#[inline]
pub fn compare_store<const CLAIM: u64>(
    word: &AtomicU64,
    expected: u64,
    new: u64,
) -> Result<(), Refusal> {
    replace_if::<_, CLAIM>(word, expected, new)
}

/// Takes away a claim that was left behind; whether there was one. The word then holds
/// what it held before that claim, as if the operation had not begun; but an add through
/// a pointer may have been made.
///
/// # Safety
///
/// Who claimed it is gone for good: in a child of `fork`, which has one thread, no
/// operation of that thread on the word is under way.
// Ordering: AcqRel, as a claim and its commit in one.
#[inline]
pub unsafe fn lift<const CLAIM: u64>(word: &AtomicU64) -> bool {
    const { assert!(CLAIM.is_power_of_two(), "a claim is one bit") };
    word.fetch_and(!CLAIM, Ordering::AcqRel) & CLAIM != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::{LOW, TOP};

    #[test]
    fn free_words_are_as_any_other() {
        let word = AtomicU64::new(4);
        assert_eq!(load::<LOW>(&word), Ok(4));
        assert_eq!(swap::<LOW>(&word, 6), Ok(4));
        assert_eq!(compare_store::<LOW>(&word, 4, 8), Err(Refusal::Mismatch));
        assert_eq!(compare_store::<LOW>(&word, 6, 8), Ok(()));
        assert_eq!(load::<TOP>(&word), Ok(8));
    }

    #[test]
    fn claimed_words_are_left_alone_until_they_are_lifted() {
        let word = AtomicU64::new(TOP | 4);
        assert_eq!(load::<TOP>(&word), Err(Refusal::Aborted));
        assert_eq!(swap::<TOP>(&word, 6), Err(Refusal::Aborted));
        assert_eq!(compare_store::<TOP>(&word, 4, 8), Err(Refusal::Aborted));
        // What looks claimed is no value, so it is never there.
        let claimed = TOP | 4;
        assert_eq!(
            compare_store::<TOP>(&word, claimed, 8),
            Err(Refusal::Mismatch)
        );
        assert_eq!(word.load(Ordering::Relaxed), claimed);
        // SAFETY: nobody is there.
        let lifted = unsafe { [lift::<TOP>(&word), lift::<TOP>(&word)] };
        assert_eq!((lifted, load::<TOP>(&word)), ([true, false], Ok(4)));
    }
}
