//! A stack of words whose capacity stands beside its length.
//!
//! The gate is the upper half of the length's word without the claim bit. So who takes
//! the stack from under others exchanges the whole word ([`claimable`](super::claimable)),
//! and needs no fence: a claim is one of that very word.

use super::array::{self, Slots};
use super::word::at;
use crate::Refusal;

/// Pushes a word on the stack: a length in the low half of the word at `len`, its gate
/// in the upper half, and room for as many words as that after it.
///
/// # Errors
///
/// [`Refusal::Full`], also if the gate is 0; [`Refusal::Aborted`].
///
/// # Safety
///
/// `len` is an aligned word that is followed by as many as its gate ever says, changed by
/// the operations on gated stacks, and by [`claimable`](super::claimable) with
/// [`TOP`](super::TOP), only. Gates are below 2^31.
#[inline]
pub unsafe fn gated_push(len: *mut u64, value: u64) -> Result<(), Refusal> {
    // SAFETY: the caller's contract.
    unsafe { array::push(at(len), &Slots(len), gate, value) }
}

/// Pops a word from the stack.
///
/// # Errors
///
/// [`Refusal::Empty`], also if the gate is 0; [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`gated_push`].
#[inline]
pub unsafe fn gated_pop(len: *mut u64) -> Result<u64, Refusal> {
    // SAFETY: the caller's contract.
    unsafe { array::pop(at(len), &Slots(len), gate) }
}

/// Pushes words on the stack, in order, as many of the `count` at `source` as there is
/// room for; how many that was.
///
/// # Errors
///
/// [`Refusal::Full`] if there is room for none, [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`gated_push`], and `source` has `count` aligned words, outside the stack.
#[inline]
pub unsafe fn gated_push_batch(
    len: *mut u64,
    source: *const u64,
    count: u32,
) -> Result<u32, Refusal> {
    // SAFETY: the caller's contract.
    unsafe { array::push_batch(at(len), &Slots(len), gate, source, count) }
}

/// Pops up to `count` words from the stack into `target`, the one that was on top last;
/// how many those were.
///
/// # Errors
///
/// [`Refusal::Empty`], also if the gate is 0; [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`gated_push`], and `target` has room for `count` aligned words, outside the stack.
#[inline]
pub unsafe fn gated_pop_batch(len: *mut u64, target: *mut u64, count: u32) -> Result<u32, Refusal> {
    // SAFETY: the caller's contract.
    unsafe { array::pop_batch(at(len), &Slots(len), gate, target, count) }
}

/// The gate in a word.
#[inline]
pub(super) fn gate(word: u64) -> u32 {
    ((word & !super::TOP) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::portable::{TOP, claimable};

    const GUARD: u64 = 0x5a5a;

    #[test]
    fn the_gate_bounds_and_closes() {
        let stack = [0, 0, 0, 0, GUARD].map(AtomicU64::new);
        let len = stack.as_ptr().cast::<u64>().cast_mut();
        let mut room = [0; 4];
        // SAFETY: three words follow, and no gate says more; arrays.
        unsafe {
            assert_eq!(gated_push(len, 1), Err(Refusal::Full));
            assert_eq!(gated_pop(len), Err(Refusal::Empty));
            assert_eq!(
                claimable::compare_store::<TOP>(&stack[0], 0, 3 << 32),
                Ok(())
            );
            assert_eq!(gated_push(len, 1), Ok(()));
            assert_eq!(gated_push_batch(len, [2, 3, 4].as_ptr(), 3), Ok(2));
            assert_eq!(gated_push(len, 4), Err(Refusal::Full));
            assert_eq!(stack[0].load(Ordering::Relaxed), 3 << 32 | 3);
            // Closed with what it holds, nobody takes anything.
            assert_eq!(claimable::swap::<TOP>(&stack[0], 3), Ok(3 << 32 | 3));
            assert_eq!(gated_pop(len), Err(Refusal::Empty));
            assert_eq!(
                gated_pop_batch(len, room.as_mut_ptr(), 4),
                Err(Refusal::Empty)
            );
            assert_eq!(gated_push_batch(len, [5].as_ptr(), 1), Err(Refusal::Full));
            // A gate below the length is full, and what there is can be had.
            assert_eq!(claimable::swap::<TOP>(&stack[0], 1 << 32 | 3), Ok(3));
            assert_eq!(gated_push(len, 4), Err(Refusal::Full));
            assert_eq!(gated_pop(len), Ok(3));
            assert_eq!(gated_pop_batch(len, room.as_mut_ptr(), 4), Ok(2));
        }
        assert_eq!(room, [1, 2, 0, 0]);
        assert_eq!(stack[0].load(Ordering::Relaxed), 1 << 32);
        assert_eq!(stack[4].load(Ordering::Relaxed), GUARD);
    }
}
