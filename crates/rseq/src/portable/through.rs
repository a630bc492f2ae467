//! Adding and reading where a pointer leads, which nobody may change in between.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use super::LOW;
use super::claim::Claim;
use super::word::{Word, at};
use crate::Refusal;
use crate::arch::NOWHERE;

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
    let there = |pointer| match pointer {
        0 => Err(Refusal::Empty),
        _ => Ok(()),
    };
    through(word, there, |pointer| {
        let pointer = ptr::with_exposed_provenance_mut::<u8>(pointer as usize);
        // SAFETY: the caller says that there is a word; the claim keeps the pointer.
        let target = unsafe { at(pointer.wrapping_offset(distance).cast()) };
        target.fetch_add(n, Ordering::Relaxed);
    })
}

/// Loads the word that `pointer` points to. Whoever takes the pointer away with
/// [`claimable::swap`](super::claimable::swap) may free what it led to: no load is under way.
///
/// # Errors
///
/// [`Refusal::Empty`] if it leads [nowhere](crate::section::nowhere); [`Refusal::Aborted`].
///
/// # Safety
///
/// A word that leads nowhere, or to an aligned word that is exposed, and that was written
/// before the pointer was. The pointer's lowest bit is 0. It is changed by
/// [`claimable`](super::claimable) with [`LOW`] only.
#[inline]
pub unsafe fn load_through(pointer: &AtomicU64) -> Result<u64, Refusal> {
    let mut value = [0_u8; 8];
    // SAFETY: the caller's contract; eight bytes.
    unsafe { copy_through(pointer, value.as_mut_ptr(), value.len())? };
    Ok(u64::from_ne_bytes(value))
}

/// Copies `bytes` bytes from where `pointer` points to `target`, as [`load_through`].
///
/// # Errors
///
/// As [`load_through`].
///
/// # Safety
///
/// As [`load_through`], for `bytes` bytes; `target` has room for them.
#[inline]
pub unsafe fn copy_through(
    pointer: &AtomicU64,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    let there = |pointer| match pointer & NOWHERE {
        0 => Ok(()),
        _ => Err(Refusal::Empty),
    };
    through(pointer, there, |pointer| {
        let from = ptr::with_exposed_provenance::<u8>(pointer as usize);
        // SAFETY: the caller says that the bytes are there; the claim keeps the pointer, and
        // who takes that away waits for the claim.
        unsafe { ptr::copy_nonoverlapping(from, target, bytes) };
    })
}

/// Runs `work` on the pointer while nobody can change it, if it leads `there`.
pub(super) fn through<W: Word>(
    word: &W,
    there: impl FnOnce(u64) -> Result<(), Refusal>,
    work: impl FnOnce(u64),
) -> Result<(), Refusal> {
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

    #[test]
    fn reads_where_the_pointer_leads() {
        let values = [3_u64, 4];
        let address = values.as_ptr().expose_provenance() as u64;
        let pointer = AtomicU64::new(address);
        let mut copy = [0_u8; 16];
        // SAFETY: leads to the array, or nowhere.
        unsafe {
            assert_eq!(load_through(&pointer), Ok(3));
            assert_eq!(copy_through(&pointer, copy.as_mut_ptr(), 9), Ok(()));
            assert_eq!(pointer.load(Ordering::Relaxed), address);
            pointer.store(crate::section::nowhere().addr() as u64, Ordering::Relaxed);
            assert_eq!(load_through(&pointer), Err(Refusal::Empty));
            pointer.store(address | LOW, Ordering::Relaxed);
            assert_eq!(load_through(&pointer), Err(Refusal::Aborted));
        }
        assert_eq!(copy[..8], 3_u64.to_ne_bytes());
        assert_eq!(
            (copy[8..9].to_vec(), copy[9]),
            (4_u64.to_ne_bytes()[..1].to_vec(), 0)
        );
    }
}
