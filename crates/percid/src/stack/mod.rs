//! A stack of numbered things that anybody pushes to and pops from.
//!
//! # Algorithm
//!
//! A Treiber stack of numbers, with the link of each in memory that its owner keeps and
//! never unmaps. So a pop may read the link of one that somebody else has popped
//! meanwhile; the value is then wrong, and the tag beside the head, which every change
//! moves on, makes the exchange fail. The tag has 32 bits: it fails to protect only if a
//! thread is held up between its read and its exchange for exactly a multiple of 2^32
//! changes.
//!
//! Nobody waits for anybody: a push or pop that fails has met one that succeeded.
//!
//! Words of an arena, chunks of a pool and blocks of a depot are such numbers.
//!
//! Source: R. K. Treiber (1986), with the tag of the IBM System/370 manual. Checked by the
//! loom models of this module.

#[cfg(all(test, loom))]
mod loom;

use crate::sync::atomic::{AtomicU64, Ordering};

/// The end of a chain.
pub(crate) const NONE: u32 = 0;

/// Numbers from 1 on.
#[derive(Debug)]
pub(crate) struct Stack {
    /// `tag:32 | number:32` of the top.
    head: AtomicU64,
}

impl Stack {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Stack {
        Stack {
            head: AtomicU64::new(0),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Stack {
        Stack {
            head: AtomicU64::new(0),
        }
    }

    /// Whether there is none, at this moment.
    // Ordering: Relaxed. A hint.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed) as u32 == NONE
    }

    /// Pushes one.
    pub(crate) fn push<'a>(&self, number: u32, link: impl Fn(u32) -> &'a AtomicU64) {
        self.push_chain(number, link(number));
    }

    /// Pushes a chain whose links are set, from `first` to the one whose link is `last`.
    // Ordering: Release pairs with the Acquire of `pop`: whoever gets it gets what was
    // written to it.
    pub(crate) fn push_chain(&self, first: u32, last: &AtomicU64) {
        debug_assert!(first != NONE);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            last.store(u64::from(head as u32), Ordering::Relaxed);
            match self.head.compare_exchange_weak(
                head,
                retag(head, first),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Pops the one on top.
    // Ordering: Acquire, as `push_chain` says. Of the failure, too: its head's link is read
    // next.
    pub(crate) fn pop<'a>(&self, link: impl Fn(u32) -> &'a AtomicU64) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let number = head as u32;
            if number == NONE {
                return None;
            }
            let next = link(number).load(Ordering::Relaxed) as u32;
            match self.head.compare_exchange_weak(
                head,
                retag(head, next),
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(number),
                Err(now) => head = now,
            }
        }
    }
}

/// A head with the next tag.
fn retag(head: u64, number: u32) -> u64 {
    let tag = (head >> 32).wrapping_add(1);
    tag << 32 | u64::from(number)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn last_in_first_out_by_one_and_by_chains() {
        let links = [const { AtomicU64::new(0) }; 6];
        let link = |number: u32| &links[number as usize];
        let stack = Stack::new();
        assert!(stack.is_empty() && stack.pop(link).is_none());
        stack.push(1, link);
        stack.push(2, link);
        link(5).store(4, Ordering::Relaxed);
        link(4).store(3, Ordering::Relaxed);
        stack.push_chain(5, link(3));
        let popped: Vec<u32> = std::iter::from_fn(|| stack.pop(link)).collect();
        assert_eq!(popped, [5, 4, 3, 2, 1]);
        assert!(stack.is_empty());
    }
}
