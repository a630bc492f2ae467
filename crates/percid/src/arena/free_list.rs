//! Which words are free: a count of those never used, and a stack of those used
//! before.
//!
//! # Algorithm
//!
//! A Treiber stack of word numbers. The link of a free word lies in memory that
//! the caller keeps for it and never unmaps, so a pop may read the link of a word
//! that somebody else has popped meanwhile; the value is then wrong, and the tag
//! beside the head, which every push and pop changes, makes the exchange fail.
//! The tag has 32 bits: it fails to protect only if a thread is held up between
//! its read and its exchange for exactly a multiple of 2^32 changes.
//!
//! Source: R. K. Treiber (1986), with the tag of the IBM System/370 manual.
//! Checked by the loom tests of this crate, whose mutant is the stack without the tag.

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The free words of an arena.
#[derive(Debug)]
pub(crate) struct FreeList {
    /// `tag:32 | index:32` of the top; index 0: empty.
    head: AtomicU64,
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
            head: AtomicU64::new(0),
            fresh: AtomicU32::new(first),
            used: AtomicU32::new(0),
        }
    }

    /// No word used before; the first one is `first`, which is not 0.
    #[cfg(loom)]
    pub(crate) fn new(first: u32) -> FreeList {
        FreeList {
            head: AtomicU64::new(0),
            fresh: AtomicU32::new(first),
            used: AtomicU32::new(0),
        }
    }

    /// Takes a word that was used before. Its link is the caller's to clear.
    // Ordering: Acquire pairs with the Release of `push`: the link, and the zeros
    // that the last user left, are visible.
    pub(crate) fn pop<'a>(&self, link: impl Fn(u32) -> &'a AtomicU64) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let index = head as u32;
            if index == 0 {
                return None;
            }
            let next = link(index).load(Ordering::Relaxed) as u32;
            match self.head.compare_exchange_weak(
                head,
                retag(head, next),
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    self.used.fetch_add(1, Ordering::Relaxed);
                    return Some(index);
                }
                Err(now) => head = now,
            }
        }
    }

    /// Gives a word back; `link` is its link.
    // Ordering: Release, as `pop` says.
    pub(crate) fn push(&self, index: u32, link: &AtomicU64) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            link.store(u64::from(head as u32), Ordering::Relaxed);
            match self.head.compare_exchange_weak(
                head,
                retag(head, index),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        self.used.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a word that was never used, below `end`, after `prepare` has made it
    /// usable. `Ok(None)`: there is none left.
    ///
    /// # Errors
    ///
    /// If `prepare` fails; no word is lost then.
    // Ordering: Relaxed. The number is all that is handed over.
    pub(crate) fn fresh<E>(
        &self,
        end: u32,
        prepare: impl Fn(u32) -> Result<(), E>,
    ) -> Result<Option<u32>, E> {
        let mut index = self.fresh.load(Ordering::Relaxed);
        while index < end {
            prepare(index)?;
            match self.fresh.compare_exchange_weak(
                index,
                index + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.used.fetch_add(1, Ordering::Relaxed);
                    return Ok(Some(index));
                }
                Err(now) => index = now,
            }
        }
        Ok(None)
    }

    /// Gives a word back that was taken from `fresh` just now, if none was since. It
    /// is as if it had never been taken, and needs no link.
    // Ordering: Relaxed, as in `fresh`: nobody has touched the word.
    pub(crate) fn unfresh(&self, index: u32) -> bool {
        let taken =
            self.fresh
                .compare_exchange(index + 1, index, Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_ok() {
            self.used.fetch_sub(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// Words in use at this moment.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }
}

/// A new head: the next tag and another top.
fn retag(head: u64, top: u32) -> u64 {
    (head >> 32).wrapping_add(1) << 32 | u64::from(top)
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
    fn a_word_that_cannot_be_prepared_is_not_lost() {
        let list = FreeList::new(1);
        assert_eq!(list.fresh(4, |_| Err("refused")), Err("refused"));
        assert_eq!(list.fresh(4, |_| Ok::<(), ()>(())), Ok(Some(1)));
    }
}
