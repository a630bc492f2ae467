//! One word, one atomic: never refused but for a mismatch, and any value will do.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::Refusal;

/// Adds 1.
#[inline]
pub fn increment(word: &AtomicU64) {
    add(word, 1);
}

/// Adds `n`, wrapping.
// Ordering: Relaxed. A count publishes nothing but itself; a total is exact for a
// reader that is ordered after the adds by other means (a join, a lock).
#[inline]
pub fn add(word: &AtomicU64, n: u64) {
    word.fetch_add(n, Ordering::Relaxed);
}

/// Loads the word.
// Ordering: Acquire pairs with the Release of `swap` and `compare_store`, for what
// they leave may be the address of something.
#[inline]
pub fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

/// Takes what the word holds and leaves `new`.
// Ordering: AcqRel pairs with itself: sections of one id are ordered after one
// another, and so are these.
#[inline]
pub fn swap(word: &AtomicU64, new: u64) -> u64 {
    word.swap(new, Ordering::AcqRel)
}

/// Claims the word: stores `held`, which is not 0, if it holds 0, and returns where it
/// is, as the section form does.
///
/// Whoever claimed it gives it back by storing 0 there, with release ordering.
///
/// # Errors
///
/// [`Refusal::Mismatch`] if it is claimed already. Do not wait: its owner may be
/// preempted, or be who a signal handler interrupted.
// Ordering: Acquire pairs with the Release of who gives it back.
#[inline]
pub fn claim(word: &AtomicU64, held: u64) -> Result<*mut u64, Refusal> {
    debug_assert!(held != 0, "a claim that nobody sees");
    word.compare_exchange(0, held, Ordering::Acquire, Ordering::Relaxed)
        .map(|_| word.as_ptr())
        .map_err(|_| Refusal::Mismatch)
}

/// Claims the first free one of `words`: stores 1 in the first of them that holds 0, and
/// returns where that is.
///
/// # Errors
///
/// [`Refusal::Mismatch`] if all are claimed.
#[inline]
pub fn claim_any(words: &[AtomicU64]) -> Result<*mut u64, Refusal> {
    let free = |word| claim(word, 1).ok();
    words.iter().find_map(free).ok_or(Refusal::Mismatch)
}

/// Claims the first free one of `words`: stores what `mark` holds in the first of them that
/// holds 0, and returns where that is.
///
/// No fence freezes the mark here, as it does for the section form: who claims has to look
/// at `mark` once more, behind a fence, and to leave if it has changed.
///
/// # Errors
///
/// [`Refusal::Mismatch`] if all are claimed, or the mark is 0.
// Ordering: Acquire, for the mark may say what happened before it; the rest as `claim`.
#[inline]
pub fn claim_first(words: &[AtomicU64], mark: &AtomicU64) -> Result<*mut u64, Refusal> {
    let held = mark.load(Ordering::Acquire);
    let free = |word| claim(word, held).ok();
    match held {
        0 => Err(Refusal::Mismatch),
        _ => words.iter().find_map(free).ok_or(Refusal::Mismatch),
    }
}

/// Stores `new` if the word holds `expected`.
///
/// # Errors
///
/// [`Refusal::Mismatch`] when it holds something else.
// Ordering: AcqRel and Acquire, as `swap`.
#[inline]
pub fn compare_store(word: &AtomicU64, expected: u64, new: u64) -> Result<(), Refusal> {
    word.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire)
        .map(drop)
        .map_err(|_| Refusal::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_does_what_the_section_does() {
        let word = AtomicU64::new(u64::MAX);
        increment(&word);
        assert_eq!(load(&word), 0);
        add(&word, 7);
        add(&word, u64::MAX);
        assert_eq!((load(&word), swap(&word, 3)), (6, 6));
        assert_eq!(compare_store(&word, 4, 5), Err(Refusal::Mismatch));
        assert_eq!(compare_store(&word, 3, 5), Ok(()));
        assert_eq!(load(&word), 5);
    }

    #[test]
    fn a_claim_holds_until_it_is_given_back() {
        let word = AtomicU64::new(0);
        assert_eq!(claim(&word, 9), Ok(word.as_ptr()));
        assert_eq!(claim(&word, 8), Err(Refusal::Mismatch));
        assert_eq!(load(&word), 9);
        word.store(0, Ordering::Release);
        assert_eq!(claim(&word, 8), Ok(word.as_ptr()));
    }

    #[test]
    fn the_first_free_word_is_claimed() {
        let words = [const { AtomicU64::new(0) }; 2];
        let mark = AtomicU64::new(0);
        assert_eq!(claim_first(&words, &mark), Err(Refusal::Mismatch));
        mark.store(5, Ordering::Relaxed);
        assert_eq!(claim_first(&words, &mark), Ok(words[0].as_ptr()));
        assert_eq!(claim_first(&words, &mark), Ok(words[1].as_ptr()));
        assert_eq!(claim_first(&words, &mark), Err(Refusal::Mismatch));
        words[0].store(0, Ordering::Release);
        assert_eq!(claim_first(&words, &mark), Ok(words[0].as_ptr()));
        words[1].store(0, Ordering::Release);
        assert_eq!(claim_any(&words), Ok(words[1].as_ptr()));
        assert_eq!(claim_any(&words), Err(Refusal::Mismatch));
    }
}
