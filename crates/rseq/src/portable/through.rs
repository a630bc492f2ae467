//! An add where a pointer leads, which nobody may change in between.

use core::sync::atomic::{AtomicU64, Ordering};

use super::LOW;
use super::claim::Claim;
use super::word::{Word, at};
use crate::Refusal;

/// Adds `n`, wrapping, to the word that lies `distance` bytes after where the word
/// points.
///
/// Whoever takes the pointer away with [`claimable::swap`](super::claimable::swap) has all adds
/// behind it: none is under way.
///
/// # Errors
///
/// [`Refusal::Empty`] if the pointer is null; [`Refusal::Aborted`].
///
/// # Safety
///
/// A word that leads nowhere, or to a word that is aligned, accessed by atomics only
/// and exposed. The pointer's lowest bit is 0. It is changed by
/// [`claimable`](super::claimable) with [`LOW`] only.
// Ordering: Relaxed for the add, as `add`; the claim orders it before who swaps the
// pointer away.
#[inline]
pub unsafe fn add_through(word: &AtomicU64, distance: isize, n: u64) -> Result<(), Refusal> {
    through(word, |pointer| {
        let pointer = core::ptr::with_exposed_provenance_mut::<u8>(pointer as usize);
        // SAFETY: the caller says that there is a word; the claim keeps the pointer.
        let target = unsafe { at(pointer.wrapping_offset(distance).cast()) };
        target.fetch_add(n, Ordering::Relaxed);
    })
}

/// Runs `work` on the pointer while nobody can change it.
pub(super) fn through<W: Word>(word: &W, work: impl FnOnce(u64)) -> Result<(), Refusal> {
    let there = |pointer| match pointer {
        0 => Err(Refusal::Empty),
        _ => Ok(()),
    };
    let claim = Claim::<_, LOW>::take(word, there)?;
    work(claim.held());
    claim.give_back();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_where_the_pointer_leads() {
        let targets = [5, u64::MAX].map(AtomicU64::new);
        let word = AtomicU64::new(0);
        let add = |distance, n| {
            // SAFETY: the word is null or points to the array.
            unsafe { add_through(&word, distance, n) }
        };
        assert_eq!(add(8, 3), Err(Refusal::Empty));
        let address = targets.as_ptr().expose_provenance() as u64;
        word.store(address, Ordering::Relaxed);
        assert_eq!((add(0, 1), add(8, 3)), (Ok(()), Ok(())));
        assert_eq!(targets.map(AtomicU64::into_inner), [6, 2]);
        assert_eq!(word.load(Ordering::Relaxed), address);
        word.store(address | LOW, Ordering::Relaxed);
        assert_eq!(add(0, 1), Err(Refusal::Aborted));
    }
}
