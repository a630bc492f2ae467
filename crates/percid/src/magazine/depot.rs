//! The depot: full blocks that all cids share, and those of them that nobody has needed.
//!
//! # Algorithm
//!
//! Two stacks, of which one is *young*: blocks are pushed to it, and popped from it first, from
//! the other if it is empty. When the old one is empty, the two change names. So what is still
//! in the old stack a period later was there all the time and nobody needed it: the depot's
//! working set of that period was had without. That is its *surplus*.
//!
//! Changing names is one store, and blocks are taken away one by one, so the depot is never
//! empty to those who look meanwhile. A thread that has looked for the young one before and
//! pushes after the change makes its block look older than it is.
//!
//! Source: the working sets of J. Bonwick and J. Adams, *Magazines and Vmem* (2001), section
//! 3.3, which count the least number of full magazines in a period.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use super::Stack;
use super::blocks::{Block, Blocks};
use super::clock::{is_over, now};

/// What all cids share. On lines of its own: what stands before it is read in every hit.
#[repr(align(128))]
pub(super) struct Depot {
    blocks: Blocks,
    full: [Stack; 2],
    /// Which stack is the young one.
    young: AtomicU32,
    /// When the stacks changed names.
    turned_at: AtomicU64,
}

impl Depot {
    pub(super) const fn new() -> Depot {
        Depot {
            blocks: Blocks::new(),
            full: [const { Stack::new() }; 2],
            young: AtomicU32::new(0),
            turned_at: AtomicU64::new(0),
        }
    }

    /// The young stack and the old one.
    // Ordering: Relaxed, here and in `turn`. Either is a place for any block.
    fn stacks(&self) -> [&Stack; 2] {
        let young = self.young.load(Ordering::Relaxed) as usize % 2;
        [&self.full[young], &self.full[1 - young]]
    }

    /// An empty block; none if there is no memory for one.
    pub(super) fn take_empty(&self) -> Option<Block<'_>> {
        self.blocks.take()
    }

    /// A block that has words.
    pub(super) fn pop(&self) -> Option<Block<'_>> {
        let [young, old] = self.stacks();
        self.blocks.pop(young).or_else(|| self.blocks.pop(old))
    }

    /// A block to where it belongs.
    pub(super) fn give(&self, block: Block<'_>) {
        if block.count() > 0 {
            self.blocks.push(self.stacks()[0], block);
        } else {
            self.blocks.give_back(block);
        }
    }

    /// Whether there is something in the old stack that nobody has needed for a period.
    pub(super) fn has_surplus(&self, period: Duration) -> bool {
        !self.stacks()[1].is_empty() && is_over(&self.turned_at, period)
    }

    /// Lets the stacks change names, if the old one is empty and the young one is not.
    pub(super) fn turn(&self) {
        let [young, old] = self.stacks();
        if old.is_empty() && !young.is_empty() {
            self.turned_at.store(now(), Ordering::Relaxed);
            self.young.fetch_xor(1, Ordering::Relaxed);
        }
    }

    /// Takes the words of up to `most` blocks out of the old stack; how many blocks.
    pub(super) fn sift(&self, most: usize, mut home: impl FnMut(u64)) -> usize {
        for done in 0..most {
            let Some(mut block) = self.blocks.pop(self.stacks()[1]) else {
                return done;
            };
            while let Some(word) = block.remove() {
                home(word);
            }
            self.blocks.retire(block);
        }
        most
    }

    /// Gives the memory of blocks back that hold nothing.
    pub(super) fn trim(&self) {
        self.blocks.retire_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(depot: &Depot, word: u64) {
        let mut block = depot.take_empty().unwrap();
        assert!(block.add(word));
        depot.give(block);
    }

    fn pop(depot: &Depot) -> Option<u64> {
        let mut block = depot.pop()?;
        let word = block.remove();
        depot.give(block);
        word
    }

    #[test]
    fn what_was_not_needed_for_a_period_is_surplus() {
        let depot = Depot::new();
        depot.turn();
        (1..=5).for_each(|word| put(&depot, word));
        assert!(!depot.has_surplus(Duration::ZERO), "nothing is old yet");
        depot.turn();
        // Young ones first, whatever is old.
        put(&depot, 6);
        assert_eq!((pop(&depot), pop(&depot)), (Some(6), Some(5)));
        put(&depot, 7);
        // Only when the old ones are gone do names change.
        depot.turn();
        assert!(!depot.has_surplus(Duration::MAX) && depot.has_surplus(Duration::ZERO));
        let mut words = Vec::new();
        assert_eq!(depot.sift(3, |word| words.push(word)), 3);
        assert_eq!(depot.sift(3, |word| words.push(word)), 1);
        assert_eq!(words, [4, 3, 2, 1]);
        assert!(!depot.has_surplus(Duration::ZERO));
        depot.turn();
        assert!(depot.has_surplus(Duration::ZERO));
        assert_eq!((pop(&depot), pop(&depot)), (Some(7), None));
    }

    #[test]
    fn others_find_what_is_not_in_hand_yet() {
        let depot = Depot::new();
        (1..=5).for_each(|word| put(&depot, word));
        depot.turn();
        let (mut sifted, mut found) = (Vec::new(), Vec::new());
        let done = depot.sift(usize::MAX, |word| {
            sifted.push(word);
            found.extend(pop(&depot));
        });
        assert_eq!((done, sifted, found), (3, vec![5, 3, 1], vec![4, 2]));
    }
}
