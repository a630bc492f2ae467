//! The depot: full blocks that all cids share, and those of them that nobody has needed.
//!
//! `aged` says how the latter are found.

use core::time::Duration;

use super::aged::Aged;
use super::blocks::{Block, Blocks};

/// What all cids share. On lines of its own: what stands before it is read in every hit.
#[repr(align(128))]
pub(super) struct Depot {
    blocks: Blocks,
    full: Aged,
}

impl Depot {
    pub(super) const fn new() -> Depot {
        Depot {
            blocks: Blocks::new(),
            full: Aged::new(),
        }
    }

    /// An empty block; none if there is no memory for one.
    pub(super) fn take_empty(&self) -> Option<Block<'_>> {
        self.blocks.take()
    }

    /// A block that has words.
    pub(super) fn pop(&self) -> Option<Block<'_>> {
        let young = self.blocks.pop(self.full.young());
        young.or_else(|| self.blocks.pop(self.full.old()))
    }

    /// A block to where it belongs.
    pub(super) fn give(&self, block: Block<'_>) {
        if block.count() > 0 {
            self.blocks.push(self.full.young(), block);
        } else {
            self.blocks.give_back(block);
        }
    }

    /// Whether there are blocks with words that nobody has needed for a period.
    pub(super) fn has_surplus(&self, period: Duration) -> bool {
        self.full.has_surplus(period)
    }

    /// A new period of the blocks with words, if none of the last one's is left.
    pub(super) fn turn(&self) {
        self.full.turn();
    }

    /// Takes the words of up to `most` blocks of the surplus; how many blocks.
    pub(super) fn sift(&self, most: usize, mut home: impl FnMut(u64)) -> usize {
        for done in 0..most {
            let Some(mut block) = self.blocks.pop(self.full.old()) else {
                return done;
            };
            while let Some(word) = block.remove() {
                home(word);
            }
            self.blocks.retire(block);
        }
        most
    }

    /// Gives the memory of empty blocks back that nobody has needed for a period, up to so
    /// many; when there is none, a new period begins.
    pub(super) fn retire_surplus(&self, period: Duration, most: usize) {
        self.blocks.retire_surplus(period, most);
    }

    /// Gives the memory of all blocks back that hold nothing.
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
