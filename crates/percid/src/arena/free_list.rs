//! Which words are free: a count of those never used, and a stack of those used
//! before, one for each length of a run.
//!
//! The link of a free word lies in memory that the caller keeps for it and never unmaps, as
//! [`Stack`] wants it. Checked by the loom tests of this folder, whose mutant is a stack
//! without the tag.

use core::ops::Range;

use crate::stack::Stack;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The free words of an arena.
#[derive(Debug)]
pub(crate) struct FreeList {
    words: Stack,
    /// The lowest word that was never used.
    fresh: AtomicU32,
    /// Words in use.
    used: AtomicU32,
}

impl FreeList {
    /// No word used before; the first one is `first`, which is not 0.
    #[cfg(not(loom))]
    pub(crate) const fn new(first: u32) -> FreeList {
        FreeList {
            words: Stack::new(),
            fresh: AtomicU32::new(first),
            used: AtomicU32::new(0),
        }
    }

    /// No word used before; the first one is `first`, which is not 0.
    #[cfg(loom)]
    pub(crate) fn new(first: u32) -> FreeList {
        FreeList {
            words: Stack::new(),
            fresh: AtomicU32::new(first),
            used: AtomicU32::new(0),
        }
    }

    /// Takes a word that was used before. Its link is the caller's to clear.
    pub(crate) fn pop<'a>(&self, link: impl Fn(u32) -> &'a AtomicU64) -> Option<u32> {
        let index = self.words.pop(link)?;
        self.count(1);
        Some(index)
    }

    /// Gives a word back; `link` is its link.
    pub(crate) fn push(&self, index: u32, link: &AtomicU64) {
        self.words.push_chain(index, link);
        self.uncount(1);
    }

    /// Words have come into use.
    // Ordering: Relaxed. A number to show.
    pub(crate) fn count(&self, words: u32) {
        self.used.fetch_add(words, Ordering::Relaxed);
    }

    /// Words have gone out of use.
    // Ordering: Relaxed, as in `count`.
    pub(crate) fn uncount(&self, words: u32) {
        self.used.fetch_sub(words, Ordering::Relaxed);
    }

    /// Takes a word that was never used, below `end`, after `prepare` has made it
    /// usable. `Ok(None)`: there is none left.
    ///
    /// # Errors
    ///
    /// If `prepare` fails; no word is lost then.
    pub(crate) fn fresh<E>(
        &self,
        end: u32,
        prepare: impl Fn(u32) -> Result<(), E>,
    ) -> Result<Option<u32>, E> {
        Ok(self.fresh_run(1, 1, end, prepare)?.map(|run| run.first))
    }

    /// Takes a run of words that were never used, which starts at a multiple of `align`;
    /// `prepare` makes its last word, and with it all others, usable. The words that were
    /// passed over for the alignment are the caller's, too.
    ///
    /// # Errors
    ///
    /// If `prepare` fails; no word is lost then.
    // Ordering: Relaxed. The number is all that is handed over.
    pub(crate) fn fresh_run<E>(
        &self,
        words: u32,
        align: u32,
        end: u32,
        prepare: impl Fn(u32) -> Result<(), E>,
    ) -> Result<Option<Run>, E> {
        let mut index = self.fresh.load(Ordering::Relaxed);
        loop {
            let first = index.next_multiple_of(align);
            if first >= end || words > end - first {
                return Ok(None);
            }
            prepare(first + words - 1)?;
            match self.fresh.compare_exchange_weak(
                index,
                first + words,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.count(first + words - index);
                    let passed = index..first;
                    return Ok(Some(Run { first, passed }));
                }
                Err(now) => index = now,
            }
        }
    }

    /// Gives a word back that was taken from `fresh` just now, if none was since. It
    /// is as if it had never been taken, and needs no link.
    // Ordering: Relaxed, as in `fresh`: nobody has touched the word.
    pub(crate) fn unfresh(&self, index: u32) -> bool {
        let taken =
            self.fresh
                .compare_exchange(index + 1, index, Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_ok() {
            self.uncount(1);
        }
        taken.is_ok()
    }

    /// Words in use at this moment.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }
}

/// Words that were never used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first word.
    pub(crate) first: u32,
    /// Words before it that its alignment has passed over.
    pub(crate) passed: Range<u32>,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn last_in_first_out_and_fresh_when_empty() {
        let links: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(0)).collect();
        let list = FreeList::new(1);
        let fresh = || list.fresh(4, |_| Ok::<(), ()>(()));
        assert_eq!(list.pop(|i| &links[i as usize]), None);
        assert_eq!(
            (fresh(), fresh(), fresh(), fresh()),
            (Ok(Some(1)), Ok(Some(2)), Ok(Some(3)), Ok(None))
        );
        assert_eq!(list.used(), 3);
        list.push(2, &links[2]);
        list.push(1, &links[1]);
        assert_eq!(list.pop(|i| &links[i as usize]), Some(1));
        assert_eq!(list.pop(|i| &links[i as usize]), Some(2));
        assert_eq!(list.pop(|i| &links[i as usize]), None);
        assert_eq!(list.used(), 3);
    }

    #[test]
    fn the_last_fresh_word_can_be_given_back() {
        let list = FreeList::new(1);
        let fresh = || list.fresh(9, |_| Ok::<(), ()>(()));
        assert_eq!((fresh(), fresh()), (Ok(Some(1)), Ok(Some(2))));
        assert!(!list.unfresh(1), "another came after it");
        assert!(list.unfresh(2));
        assert_eq!((list.used(), fresh()), (1, Ok(Some(2))));
    }

    #[test]
    fn runs_are_aligned_and_what_they_pass_over_is_told() {
        let list = FreeList::new(1);
        let run = |words, align| list.fresh_run(words, align, 32, |_| Ok::<(), ()>(()));
        let expected = |first, passed| Ok(Some(Run { first, passed }));
        assert_eq!(run(8, 8), expected(8, 1..8));
        assert_eq!(run(2, 2), expected(16, 16..16));
        assert_eq!(
            run(16, 8),
            Ok(None),
            "8 words are left after the next boundary"
        );
        assert_eq!(run(8, 8), expected(24, 18..24));
        assert_eq!(run(1, 1), Ok(None));
        assert_eq!(list.used(), 31);
    }

    #[test]
    fn a_word_that_cannot_be_prepared_is_not_lost() {
        let list = FreeList::new(1);
        assert_eq!(list.fresh(4, |_| Err("refused")), Err("refused"));
        assert_eq!(list.fresh(4, |_| Ok::<(), ()>(())), Ok(Some(1)));
    }
}
