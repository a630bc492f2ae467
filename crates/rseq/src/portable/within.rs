//! An addition that holds only if the sum of three words stays within a range.
//!
//! Any value will do in the three, so no bit of them can be a claim: a fourth word is.

use core::sync::atomic::Ordering;

use super::LOW;
use super::claim::{Claim, delay};
use super::word::{Word, at};
use crate::Refusal;

/// Adds `n`, wrapping, to word number `AT`, which is 0 or 1, if the sum of three words,
/// that one after the addition, is in `0..=most`. The fourth word, which the section form
/// does not have, is the claim: 0 unless somebody is at it.
///
/// # Errors
///
/// [`Refusal::Full`]; [`Refusal::Aborted`] if somebody else has the claim.
///
/// # Safety
///
/// Four aligned words, for as long as anybody uses them. The first two and the fourth
/// change by this operation only; anybody may change the third, but a change counts from
/// the next operation only.
#[inline]
pub unsafe fn add_within<const AT: usize>(
    word: *mut u64,
    n: u64,
    most: u64,
) -> Result<(), Refusal> {
    const { assert!(AT < 2, "the third word is somebody else's") };
    // SAFETY: the caller says that there are four words.
    let [target, other, third, claim] = [AT, 1 - AT, 2, 3].map(|i| unsafe { at(word.add(i)) });
    add(target, other, third, claim, n, most)
}

pub(super) fn add<W: Word>(
    target: &W,
    other: &W,
    third: &W,
    claim: &W,
    n: u64,
    most: u64,
) -> Result<(), Refusal> {
    let claim = Claim::<W, LOW>::take(claim, |_| Ok(()))?;
    // Ordering: Relaxed, for the two that the claim guards: its Acquire and Release order
    // them. Acquire pairs with the Release of whoever has taken from the budget.
    let sum = target.load(Ordering::Relaxed).wrapping_add(n);
    let beside = other
        .load(Ordering::Relaxed)
        .wrapping_add(third.load(Ordering::Acquire));
    let fits = sum.wrapping_add(beside) <= most;
    if fits {
        delay(3);
        target.store(sum, Ordering::Relaxed);
    }
    claim.commit(0);
    if fits { Ok(()) } else { Err(Refusal::Full) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_sum_stays_within_the_range() {
        let mut words = [0; 4];
        let word = words.as_mut_ptr();
        let minus = |n: u64| n.wrapping_neg();
        // SAFETY: four words of this thread, for all of these.
        unsafe {
            assert_eq!(add_within::<0>(word, minus(1), 10), Err(Refusal::Full));
            assert_eq!(add_within::<1>(word, 10, 10), Ok(()));
            assert_eq!(add_within::<1>(word, 1, 10), Err(Refusal::Full));
            assert_eq!(add_within::<0>(word, minus(4), 10), Ok(()));
            *word.add(2) = minus(5);
            assert_eq!(add_within::<0>(word, minus(2), 10), Err(Refusal::Full));
            assert_eq!(add_within::<0>(word, minus(1), 10), Ok(()));
            *word.add(3) = 1;
            assert_eq!(add_within::<1>(word, 1, 10), Err(Refusal::Aborted));
        }
        assert_eq!(words, [minus(5), 10, minus(5), 1]);
    }
}
