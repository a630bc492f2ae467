//! An add that holds only if a flag elsewhere is as expected.
//!
//! The word is claimed while the flag is read. Who changes the flag and then finds the
//! word free, by [`claimable`](super::claimable) and so behind a fence, has every add
//! that was let through behind him.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::claim::Claim;
use super::word::Word;
use crate::Refusal;

/// Adds `n`, wrapping, to the word if `flag` holds `expected`.
///
/// `CLAIM` is a bit that neither the word's values nor `n` have: [`TOP`](super::TOP) for
/// numbers that stay below 2^63; [`LOW`](super::LOW) for what is counted in twos, which
/// may wrap.
///
/// Who stores another value in the flag and then loads the word by
/// [`claimable::load`](super::claimable::load), or takes it by `claimable::swap` after a
/// `fence(SeqCst)`, has all adds in what it finds, and none comes after it.
///
/// # Errors
///
/// [`Refusal::Mismatch`] if the flag holds something else; [`Refusal::Aborted`].
#[inline]
pub fn add_if<const CLAIM: u64>(
    word: &AtomicU64,
    flag: &AtomicU32,
    expected: u32,
    n: u64,
) -> Result<(), Refusal> {
    // Ordering: Acquire pairs with the Release of who opens the flag again: the word is
    // as that thread left it.
    let is_open = || flag.load(Ordering::Acquire) == expected;
    add_while::<_, CLAIM>(word, is_open, n)
}

pub(super) fn add_while<W: Word, const CLAIM: u64>(
    word: &W,
    is_open: impl Fn() -> bool,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(n & CLAIM == 0, "a number that looks claimed: {n:#x}");
    // Spares the claim where there is nothing to do; decides nothing else.
    if !is_open() {
        return Err(Refusal::Mismatch);
    }
    let claim = Claim::<W, CLAIM>::take(word, |_| Ok(()))?;
    // Ordering: the fence stands between the claim and the flag, as the one in `observe`
    // stands between the store to the flag and the word. If this misses the store, who
    // made it finds the claim, or the sum.
    word.fence();
    if is_open() {
        let sum = claim.held().wrapping_add(n);
        claim.commit(sum);
        Ok(())
    } else {
        claim.give_back();
        Err(Refusal::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::{LOW, TOP};

    #[test]
    fn adds_while_the_flag_is_as_expected() {
        let (word, flag) = (AtomicU64::new(4), AtomicU32::new(1));
        assert_eq!(add_if::<TOP>(&word, &flag, 1, 3), Ok(()));
        assert_eq!(add_if::<TOP>(&word, &flag, 0, 3), Err(Refusal::Mismatch));
        assert_eq!(word.load(Ordering::Relaxed), 7);
        // In twos, and below zero.
        word.store(0, Ordering::Relaxed);
        assert_eq!(add_if::<LOW>(&word, &flag, 1, 2_u64.wrapping_neg()), Ok(()));
        assert_eq!(add_if::<LOW>(&word, &flag, 1, 2), Ok(()));
        assert_eq!(word.load(Ordering::Relaxed), 0);
        word.store(TOP | 4, Ordering::Relaxed);
        assert_eq!(add_if::<TOP>(&word, &flag, 1, 3), Err(Refusal::Aborted));
        assert_eq!(word.load(Ordering::Relaxed), TOP | 4);
    }
}
