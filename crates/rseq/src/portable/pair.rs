//! A store that holds only if two words are as expected.
//!
//! The first word is claimed while the second is read, and the operation counts from
//! that read: until the claim is given back nobody can say which value the first word
//! has. Any other way needs the first word to stay put, too: a compare-exchange after
//! the second was read may find the second changed and the first back again.

use core::sync::atomic::Ordering;

use super::claim::{Claim, aborted, why_not};
use super::word::{Word, at};
use crate::Refusal;

/// Stores `new` in the word if it holds `expected` and the word `distance` bytes after
/// it holds `second`.
///
/// `CLAIM` is a bit that no value of either word has: [`TOP`](super::TOP) for
/// numbers, [`LOW`](super::LOW) for addresses.
///
/// # Errors
///
/// [`Refusal::Mismatch`]; [`Refusal::Aborted`] if either word is claimed, so that it
/// cannot be said.
///
/// # Safety
///
/// Both are aligned words, not the same one, and accessed by atomics only. While the
/// first holds `expected`, or is claimed, it is changed by `compare_compare_store` and
/// [`claimable`](super::claimable) with the same `CLAIM` only. The second need not be writable, and
/// anybody may change it in any way; whoever then looks at the first does so by these
/// operations, or after a `fence(SeqCst)`, and takes a claimed word for an unknown one.
#[inline]
pub unsafe fn compare_compare_store<const CLAIM: u64>(
    word: *mut u64,
    expected: u64,
    distance: isize,
    second: u64,
    new: u64,
) -> Result<(), Refusal> {
    debug_assert!(distance != 0, "one word is no pair");
    // SAFETY: the caller says that both are words.
    let (word, other) = unsafe { (at(word), at(word.wrapping_byte_offset(distance))) };
    store_if_both::<_, CLAIM>(word, expected, other, second, new)
}

pub(super) fn store_if_both<W: Word, const CLAIM: u64>(
    word: &W,
    expected: u64,
    other: &W,
    second: u64,
    new: u64,
) -> Result<(), Refusal> {
    if (expected | second) & CLAIM != 0 {
        return Err(Refusal::Mismatch);
    }
    let Some(claim) = Claim::<W, CLAIM>::of(word, expected) else {
        return Err(why_not::<W, CLAIM>(word, expected));
    };
    // Ordering: the fence stands between the claim and the second word, as the one in
    // `observe` stands between the caller's stores and the first. If this load misses a
    // store to the second word, whoever made it finds the claim, or `new`.
    word.fence();
    let found = other.load(Ordering::Acquire);
    if found == second {
        claim.commit(new);
        return Ok(());
    }
    claim.give_back();
    // Somebody else's claim: the second word may hold what is expected after all.
    Err(if found & CLAIM != 0 {
        aborted()
    } else {
        Refusal::Mismatch
    })
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;
    use crate::portable::{LOW, TOP};

    fn on<const CLAIM: u64>(
        pair: &[AtomicU64; 2],
        [expected, second, new]: [u64; 3],
    ) -> Result<(), Refusal> {
        let first = pair.as_ptr().cast::<u64>().cast_mut();
        // SAFETY: two words, the array's.
        unsafe { compare_compare_store::<CLAIM>(first, expected, 8, second, new) }
    }

    fn values(pair: &[AtomicU64; 2]) -> [u64; 2] {
        [0, 1].map(|place: usize| pair[place].load(Ordering::Relaxed))
    }

    #[test]
    fn both_must_be_as_expected() {
        let pair = [2, 4].map(AtomicU64::new);
        assert_eq!(on::<LOW>(&pair, [2, 6, 8]), Err(Refusal::Mismatch));
        assert_eq!(on::<LOW>(&pair, [6, 4, 8]), Err(Refusal::Mismatch));
        assert_eq!(values(&pair), [2, 4]);
        assert_eq!(on::<LOW>(&pair, [2, 4, 8]), Ok(()));
        assert_eq!(on::<TOP>(&pair, [8, 4, 9]), Ok(()));
        assert_eq!(values(&pair), [9, 4]);
    }

    #[test]
    fn the_second_may_lie_before_the_first() {
        let pair = [2, 4].map(AtomicU64::new);
        let second = pair.as_ptr().cast::<u64>().cast_mut();
        // SAFETY: two words, the array's.
        let outcome = unsafe { compare_compare_store::<TOP>(second.add(1), 4, -8, 2, 7) };
        assert_eq!((outcome, values(&pair)), (Ok(()), [2, 7]));
    }

    #[test]
    fn nothing_is_said_of_claimed_words() {
        for claimed in [[TOP | 2, 4], [2, TOP | 4]] {
            let pair = claimed.map(AtomicU64::new);
            assert_eq!(on::<TOP>(&pair, [2, 4, 8]), Err(Refusal::Aborted));
            assert_eq!(values(&pair), claimed);
        }
        // What looks claimed is no value.
        let pair = [TOP | 2, TOP | 4].map(AtomicU64::new);
        assert_eq!(on::<TOP>(&pair, [TOP | 2, 4, 8]), Err(Refusal::Mismatch));
        assert_eq!(on::<TOP>(&pair, [2, TOP | 4, 8]), Err(Refusal::Mismatch));
        assert_eq!(values(&pair), [TOP | 2, TOP | 4]);
    }
}
