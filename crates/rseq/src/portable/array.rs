//! A stack of words behind a length.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use super::TOP;
use super::claim::Claim;
use super::word::{Cells, Word, at};
use crate::Refusal;

/// Pushes a word on the stack: a length in the low half of the word at `len`, and room
/// for `capacity` words after it.
///
/// # Errors
///
/// [`Refusal::Full`], [`Refusal::Aborted`].
///
/// # Safety
///
/// `len` is an aligned word that `capacity` words follow, changed by the operations on
/// stacks of words, and by [`claimable`](super::claimable) with [`TOP`], only. The length
/// is no more than what follows.
#[inline]
pub unsafe fn array_push(len: *mut u64, capacity: u32, value: u64) -> Result<(), Refusal> {
    // SAFETY: the caller's contract.
    unsafe { push(at(len), &Slots(len), |_| capacity, value) }
}

/// Pops a word from the stack.
///
/// # Errors
///
/// [`Refusal::Empty`], [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`array_push`].
#[inline]
pub unsafe fn array_pop(len: *mut u64) -> Result<u64, Refusal> {
    // SAFETY: the caller's contract.
    unsafe { pop(at(len), &Slots(len), open) }
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
/// As [`array_push`], and `source` has `count` aligned words, outside the stack.
#[inline]
pub unsafe fn array_push_batch(
    len: *mut u64,
    capacity: u32,
    source: *const u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert_buffer(source, count);
    // SAFETY: the caller's contract.
    unsafe { push_batch(at(len), &Slots(len), |_| capacity, source, count) }
}

/// Pushes two words, `first` below `second`, on the stack whose length lies as many bytes
/// after `word` as `chosen` says.
///
/// No fence freezes the choice here, as it does for the section form.
///
/// # Errors
///
/// [`Refusal::Full`], also if `chosen` is 0; [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`array_push`], for every stack that `chosen` may say, of an even `capacity`.
// Ordering: Acquire pairs with the Release of who chooses.
#[inline]
pub unsafe fn array_push_pair(
    word: *mut u64,
    chosen: &AtomicU64,
    capacity: u32,
    first: u64,
    second: u64,
) -> Result<(), Refusal> {
    let distance = chosen.load(Ordering::Acquire) as usize;
    if distance == 0 {
        return Err(Refusal::Full);
    }
    let len = word.wrapping_byte_add(distance);
    let pair = [first, second];
    // SAFETY: the caller's contract; two words. Room for one is room for both, where all
    // pushes and pops are of pairs; of a stack that others use by single words one may stay.
    let pushed = unsafe { array_push_batch(len, capacity & !1, pair.as_ptr(), 2) }?;
    debug_assert_eq!(pushed, 2, "a pair on a stack of single words");
    Ok(())
}

/// Pops up to `count` words from the stack into `target`, the one that was on top last;
/// how many those were.
///
/// # Errors
///
/// [`Refusal::Empty`], [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`array_push`], and `target` has room for `count` aligned words, outside the stack.
#[inline]
pub unsafe fn array_pop_batch(len: *mut u64, target: *mut u64, count: u32) -> Result<u32, Refusal> {
    debug_assert_buffer(target, count);
    // SAFETY: the caller's contract.
    unsafe { pop_batch(at(len), &Slots(len), open, target, count) }
}

fn debug_assert_buffer(words: *const u64, count: u32) {
    debug_assert!(
        count == 0 || !words.is_null() && words.is_aligned(),
        "{count} words at {words:p}"
    );
}

/// The words after a length; the first is number 1.
pub(super) struct Slots(pub(super) *mut u64);

// Ordering: Relaxed. The claim orders them; atomics only for who looks from outside, as
// into a stack of sections.
impl Cells for Slots {
    #[inline(always)]
    unsafe fn read(&self, at: u64) -> u64 {
        // SAFETY: the caller says that there is such a slot.
        unsafe { AtomicU64::from_ptr(self.0.add(at as usize)) }.load(Ordering::Relaxed)
    }

    #[inline(always)]
    unsafe fn write(&self, at: u64, value: u64) {
        // SAFETY: the caller says that there is such a slot.
        unsafe { AtomicU64::from_ptr(self.0.add(at as usize)) }.store(value, Ordering::Relaxed);
    }
}

/// The length in a word.
#[inline(always)]
fn count_in(word: u64) -> u32 {
    word as u32
}

/// The word with another length. The rest of its upper half stays, as where a section
/// stores the low half.
#[inline(always)]
fn with_count(word: u64, count: u32) -> u64 {
    word & !u64::from(u32::MAX) | u64::from(count)
}

/// The gate of a stack that is never closed.
#[inline]
pub(super) fn open(_: u64) -> u32 {
    u32::MAX
}

/// Refuses an empty stack, and a closed one.
#[inline(always)]
fn some(gate: impl Fn(u64) -> u32) -> impl FnOnce(u64) -> Result<(), Refusal> {
    move |word| match count_in(word) > 0 && gate(word) > 0 {
        true => Ok(()),
        false => Err(Refusal::Empty),
    }
}

/// Refuses a full stack.
#[inline(always)]
fn room(capacity: impl Fn(u64) -> u32) -> impl FnOnce(u64) -> Result<(), Refusal> {
    move |word| match count_in(word) < capacity(word) {
        true => Ok(()),
        false => Err(Refusal::Full),
    }
}

/// # Safety
///
/// There are as many slots as `capacity` says of the word that is claimed, and the length
/// is one of them.
pub(super) unsafe fn push<W: Word>(
    len: &W,
    slots: &impl Cells,
    capacity: impl Fn(u64) -> u32,
    value: u64,
) -> Result<(), Refusal> {
    let claim = Claim::<W, TOP>::take(len, room(&capacity))?;
    let count = count_in(claim.held());
    // SAFETY: below the capacity, and claimed.
    unsafe { slots.write(1 + u64::from(count), value) };
    let new = with_count(claim.held(), count + 1);
    claim.commit(new);
    Ok(())
}

/// # Safety
///
/// As [`push`].
pub(super) unsafe fn pop<W: Word>(
    len: &W,
    slots: &impl Cells,
    gate: impl Fn(u64) -> u32,
) -> Result<u64, Refusal> {
    let claim = Claim::<W, TOP>::take(len, some(gate))?;
    let count = count_in(claim.held());
    // SAFETY: the slot on top, and claimed.
    let value = unsafe { slots.read(u64::from(count)) };
    let new = with_count(claim.held(), count - 1);
    claim.commit(new);
    Ok(value)
}

/// # Safety
///
/// As [`push`], and `source` has `count` words.
pub(super) unsafe fn push_batch<W: Word>(
    len: &W,
    slots: &impl Cells,
    capacity: impl Fn(u64) -> u32,
    source: *const u64,
    count: u32,
) -> Result<u32, Refusal> {
    let claim = Claim::<W, TOP>::take(len, room(&capacity))?;
    let held = count_in(claim.held());
    let taken = count.min(capacity(claim.held()) - held);
    for place in 0..taken {
        // SAFETY: below `count`; below the capacity, and claimed.
        unsafe {
            slots.write(
                1 + u64::from(held + place),
                source.add(place as usize).read(),
            )
        };
    }
    let new = with_count(claim.held(), held + taken);
    claim.commit(new);
    Ok(taken)
}

/// # Safety
///
/// As [`push`], and `target` has room for `count` words.
pub(super) unsafe fn pop_batch<W: Word>(
    len: &W,
    slots: &impl Cells,
    gate: impl Fn(u64) -> u32,
    target: *mut u64,
    count: u32,
) -> Result<u32, Refusal> {
    let claim = Claim::<W, TOP>::take(len, some(gate))?;
    let held = count_in(claim.held());
    let taken = count.min(held);
    let left = held - taken;
    for place in 0..taken {
        // SAFETY: at or below the length, and claimed; below `count`.
        unsafe {
            let value = slots.read(1 + u64::from(left + place));
            ptr::write(target.add(place as usize), value);
        }
    }
    let new = with_count(claim.held(), left);
    claim.commit(new);
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack with room for four, and a word behind it that nobody may touch.
    #[repr(C)]
    struct Stack([AtomicU64; 6]);

    const CAPACITY: u32 = 4;
    const GUARD: u64 = 0x5a5a;

    impl Stack {
        fn new() -> Stack {
            Stack([0, 0, 0, 0, 0, GUARD].map(AtomicU64::new))
        }

        fn len(&self) -> *mut u64 {
            self.0.as_ptr().cast::<u64>().cast_mut()
        }

        fn push(&self, value: u64) -> Result<(), Refusal> {
            // SAFETY: four words follow the length.
            unsafe { array_push(self.len(), CAPACITY, value) }
        }

        fn pop(&self) -> Result<u64, Refusal> {
            // SAFETY: as `push`.
            unsafe { array_pop(self.len()) }
        }

        fn push_batch(&self, capacity: u32, from: &[u64]) -> Result<u32, Refusal> {
            // SAFETY: as `push`; a slice.
            unsafe { array_push_batch(self.len(), capacity, from.as_ptr(), from.len() as u32) }
        }

        fn pop_batch(&self, to: &mut [u64]) -> Result<u32, Refusal> {
            // SAFETY: as `push`; a slice.
            unsafe { array_pop_batch(self.len(), to.as_mut_ptr(), to.len() as u32) }
        }
    }

    #[test]
    fn what_was_pushed_last_is_popped_first() {
        let stack = Stack::new();
        assert_eq!(stack.pop(), Err(Refusal::Empty));
        for value in 1..=4 {
            assert_eq!(stack.push(value), Ok(()));
        }
        assert_eq!(stack.push(5), Err(Refusal::Full));
        assert_eq!(stack.0[0].load(Ordering::Relaxed), 4);
        for value in (1..=4).rev() {
            assert_eq!(stack.pop(), Ok(value));
        }
        assert_eq!(stack.pop(), Err(Refusal::Empty));
        assert_eq!(stack.0[5].load(Ordering::Relaxed), GUARD);
    }

    #[test]
    fn batches_are_cut_to_what_there_is() {
        let stack = Stack::new();
        let mut room = [0; 3];
        assert_eq!(stack.pop_batch(&mut room), Err(Refusal::Empty));
        assert_eq!(stack.push_batch(CAPACITY, &[1, 2, 3]), Ok(3));
        assert_eq!(stack.push_batch(CAPACITY, &[4, 5, 6]), Ok(1));
        assert_eq!(stack.push_batch(CAPACITY, &[7]), Err(Refusal::Full));
        assert_eq!(stack.pop_batch(&mut room), Ok(3));
        assert_eq!(room, [2, 3, 4]);
        assert_eq!(stack.pop_batch(&mut room), Ok(1));
        assert_eq!(room, [1, 3, 4]);
        assert_eq!(stack.0[5].load(Ordering::Relaxed), GUARD);
    }

    #[test]
    fn no_room_and_no_words() {
        let stack = Stack::new();
        assert_eq!(stack.push_batch(0, &[1]), Err(Refusal::Full));
        // SAFETY: a stack that may hold nothing.
        let outcome = unsafe { array_push(stack.len(), 0, 1) };
        assert_eq!(outcome, Err(Refusal::Full));
        // As the sections: nothing to do is done, unless there is no room or nothing.
        assert_eq!(stack.push_batch(CAPACITY, &[]), Ok(0));
        assert_eq!(stack.pop_batch(&mut []), Err(Refusal::Empty));
        stack.push(1).unwrap();
        assert_eq!(stack.pop_batch(&mut []), Ok(0));
        // A capacity below the length is full, too.
        assert_eq!(stack.push_batch(0, &[2]), Err(Refusal::Full));
        assert_eq!(stack.pop(), Ok(1));
    }

    #[test]
    fn the_upper_half_stays() {
        let stack = Stack::new();
        stack.0[0].store(7 << 32, Ordering::Relaxed);
        stack.push(1).unwrap();
        assert_eq!(stack.0[0].load(Ordering::Relaxed), 7 << 32 | 1);
        assert_eq!((stack.pop(), stack.pop()), (Ok(1), Err(Refusal::Empty)));
    }

    #[test]
    fn a_claimed_stack_is_left_alone() {
        let stack = Stack::new();
        stack.0[0].store(TOP | 2, Ordering::Relaxed);
        assert_eq!(stack.push(1), Err(Refusal::Aborted));
        assert_eq!(stack.pop(), Err(Refusal::Aborted));
        assert_eq!(stack.push_batch(CAPACITY, &[1]), Err(Refusal::Aborted));
        assert_eq!(stack.pop_batch(&mut [0]), Err(Refusal::Aborted));
        assert_eq!(stack.0[0].load(Ordering::Relaxed), TOP | 2);
        assert_eq!(stack.0[3].load(Ordering::Relaxed), 0);
    }
}
