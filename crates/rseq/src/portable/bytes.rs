//! Copies of bytes: a stack of them behind a length, and a copy of all that a word
//! guards.
//!
//! Bytes are copied plainly, not by atomics: who holds the claim is alone with them.

use core::ptr;
use core::sync::atomic::AtomicU64;

use super::TOP;
use super::claim::Claim;
use super::word::at;
use crate::Refusal;

/// Pushes `bytes` bytes on the byte stack: a length in bytes at `len`, and room for
/// `capacity` bytes in the words after it.
///
/// # Errors
///
/// [`Refusal::Full`], [`Refusal::Aborted`].
///
/// # Safety
///
/// `len` is an aligned word that `capacity` bytes follow, changed by the operations on
/// stacks of bytes, and by [`claimable`](super::claimable) with [`TOP`], only, and read by
/// [`copy_out`] only. The length is no more than what follows. `source` has `bytes`
/// bytes, outside the stack.
#[inline]
pub unsafe fn copy_push(
    len: *mut u64,
    capacity: usize,
    source: *const u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(bytes == 0 || !source.is_null(), "{bytes} bytes at null");
    // SAFETY: the caller's contract.
    let word = unsafe { at(len) };
    let fits = |held: u64| match held.checked_add(bytes as u64) {
        Some(sum) if sum <= capacity as u64 => Ok(()),
        _ => Err(Refusal::Full),
    };
    let claim = Claim::<_, TOP>::take(word, fits)?;
    let held = claim.held();
    // SAFETY: below the capacity, and claimed.
    unsafe { ptr::copy_nonoverlapping(source, first_byte(len).add(held as usize), bytes) };
    claim.commit(held + bytes as u64);
    Ok(())
}

/// Pops `bytes` bytes from the byte stack into `target`.
///
/// # Errors
///
/// [`Refusal::Empty`] if there are fewer, [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`copy_push`], and `target` has room for `bytes` bytes, outside the stack.
#[inline]
pub unsafe fn copy_pop(len: *mut u64, target: *mut u8, bytes: usize) -> Result<(), Refusal> {
    debug_assert!(bytes == 0 || !target.is_null(), "{bytes} bytes at null");
    // SAFETY: the caller's contract.
    let word = unsafe { at(len) };
    let enough = |held: u64| match held >= bytes as u64 {
        true => Ok(()),
        false => Err(Refusal::Empty),
    };
    let claim = Claim::<_, TOP>::take(word, enough)?;
    let left = claim.held() - bytes as u64;
    // SAFETY: below the length, and claimed.
    unsafe { ptr::copy_nonoverlapping(first_byte(len).add(left as usize), target, bytes) };
    claim.commit(left);
    Ok(())
}

/// Copies `bytes` bytes, from the word on, to `target`: nobody has changed any of them in
/// between.
///
/// # Errors
///
/// [`Refusal::Aborted`].
///
/// # Safety
///
/// The word is an aligned, writable one, and may be claimed by `CLAIM`: [`TOP`] for a
/// length. What follows it may be read for `bytes` bytes in all, and is changed by
/// operations that claim this very word only. `target` has room for them.
#[inline]
pub unsafe fn copy_out<const CLAIM: u64>(
    word: *mut u64,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(bytes == 0 || !target.is_null(), "{bytes} bytes at null");
    // SAFETY: the caller's contract.
    let claim = Claim::<_, CLAIM>::take(unsafe { at(word) }, |_| Ok(()))?;
    // The word itself as it is without the claim.
    let first = claim.held().to_ne_bytes();
    let head = bytes.min(first.len());
    // SAFETY: of what the caller says may be read; claimed, so that nobody writes it.
    unsafe {
        ptr::copy_nonoverlapping(first.as_ptr(), target, head);
        ptr::copy_nonoverlapping(first_byte(word), target.wrapping_add(head), bytes - head);
    }
    claim.give_back();
    Ok(())
}

/// The byte after a word.
#[inline(always)]
fn first_byte(word: *mut u64) -> *mut u8 {
    word.cast::<u8>().wrapping_add(size_of::<AtomicU64>())
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering;

    use super::*;

    const WORDS: usize = 12;
    /// Not a multiple of anything.
    const CAPACITY: usize = 83;

    /// A byte stack, and bytes behind its capacity that nobody may touch.
    #[repr(C)]
    struct Stack([AtomicU64; WORDS]);

    impl Stack {
        fn new() -> Stack {
            let stack = Stack([const { AtomicU64::new(u64::MAX) }; WORDS]);
            stack.0[0].store(0, Ordering::Relaxed);
            stack
        }

        fn len(&self) -> *mut u64 {
            self.0.as_ptr().cast::<u64>().cast_mut()
        }

        fn push(&self, from: &[u8]) -> Result<(), Refusal> {
            // SAFETY: the capacity's bytes follow the length; a slice.
            unsafe { copy_push(self.len(), CAPACITY, from.as_ptr(), from.len()) }
        }

        fn pop(&self, to: &mut [u8]) -> Result<(), Refusal> {
            // SAFETY: as `push`.
            unsafe { copy_pop(self.len(), to.as_mut_ptr(), to.len()) }
        }

        fn out(&self, to: &mut [u8]) -> Result<(), Refusal> {
            assert!(to.len() <= size_of::<Stack>());
            // SAFETY: no more than the stack.
            unsafe { copy_out::<TOP>(self.len(), to.as_mut_ptr(), to.len()) }
        }
    }

    /// Bytes that tell their places.
    fn bytes<const N: usize>(first: u8) -> [u8; N] {
        core::array::from_fn(|place| first.wrapping_add(place as u8))
    }

    #[test]
    fn copies_of_any_size() {
        let from: [u8; 33] = bytes(1);
        for size in 0..=from.len() {
            let stack = Stack::new();
            let mut to = [0; 33];
            for _ in 0..CAPACITY.checked_div(size).unwrap_or(3) {
                assert_eq!(stack.push(&from[..size]), Ok(()), "{size}");
            }
            if size > 0 {
                assert_eq!(stack.push(&from[..size]), Err(Refusal::Full), "{size}");
            }
            let held = stack.0[0].load(Ordering::Relaxed) as usize;
            for left in (0..held.checked_div(size).unwrap_or(3)).rev() {
                to.fill(0);
                assert_eq!(stack.pop(&mut to[..size]), Ok(()), "{size}");
                assert_eq!(to[..size], from[..size]);
                assert!(to[size..].iter().all(|&byte| byte == 0), "{size}");
                assert_eq!(stack.0[0].load(Ordering::Relaxed) as usize, left * size);
            }
            if size > 0 {
                assert_eq!(stack.pop(&mut to[..size]), Err(Refusal::Empty), "{size}");
            }
        }
    }

    #[test]
    fn nothing_behind_the_capacity_is_touched() {
        let stack = Stack::new();
        stack.push(&[0; CAPACITY]).unwrap();
        assert_eq!(stack.push(&[0]), Err(Refusal::Full));
        assert_eq!(stack.push(&[]), Ok(()));
        let mut all = [0; size_of::<Stack>()];
        stack.out(&mut all).unwrap();
        assert!(all[8 + CAPACITY..].iter().all(|&byte| byte == 0xff));
        assert!(all[8..8 + CAPACITY].iter().all(|&byte| byte == 0));
        assert_eq!(all[..8], (CAPACITY as u64).to_ne_bytes());
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        let stack = Stack::new();
        stack.push(&[1]).unwrap();
        // SAFETY: refused before a byte is read.
        let outcome = unsafe { copy_push(stack.len(), CAPACITY, stack.len().cast(), usize::MAX) };
        assert_eq!(outcome, Err(Refusal::Full));
        // SAFETY: a stack that may hold nothing.
        let outcome = unsafe { copy_push(stack.len(), 0, stack.len().cast(), 1) };
        assert_eq!(outcome, Err(Refusal::Full));
    }

    #[test]
    fn a_copy_of_any_size_is_taken_without_the_claim() {
        let stack = Stack::new();
        stack.push(&bytes::<33>(1)).unwrap();
        let mut expected = [0; 8 + 33];
        expected[..8].copy_from_slice(&33_u64.to_ne_bytes());
        expected[8..].copy_from_slice(&bytes::<33>(1));
        for size in 0..=expected.len() {
            let mut copy = [0; 8 + 33];
            stack.out(&mut copy[..size]).unwrap();
            assert_eq!(copy[..size], expected[..size]);
            assert!(copy[size..].iter().all(|&byte| byte == 0), "{size}");
            assert_eq!(stack.0[0].load(Ordering::Relaxed), 33);
        }
    }

    #[test]
    fn a_claimed_stack_is_left_alone() {
        let stack = Stack::new();
        stack.0[0].store(TOP | 2, Ordering::Relaxed);
        let mut room = [7; 2];
        assert_eq!(stack.push(&[1]), Err(Refusal::Aborted));
        assert_eq!(stack.pop(&mut room), Err(Refusal::Aborted));
        assert_eq!(stack.out(&mut room), Err(Refusal::Aborted));
        assert_eq!(room, [7; 2]);
        assert_eq!(stack.0[0].load(Ordering::Relaxed), TOP | 2);
        assert_eq!(stack.0[1].load(Ordering::Relaxed), u64::MAX);
    }
}
