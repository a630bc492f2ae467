//! Blocks: 62 words that travel together between magazines and the depot.
//!
//! | a block is | who may touch its words |
//! | --- | --- |
//! | in the stack of empty ones, or never used | nobody |
//! | taken | the thread that took it |
//! | in a stack of full ones | nobody |
//!
//! Taking one is popping it, or raising `fresh`; both hand it to one thread. A thread that
//! dies or forks away with one in hand loses it: 512 bytes, and what was in it.
//!
//! The memory of all of them goes back at once, when all are empty: `fresh` is raised to
//! [`CLOSED`], which keeps anybody from taking one, the pages are given back, and numbers
//! begin anew. A pop that still holds an old head reads a zero for its link then, and its
//! exchange fails by the tag.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{NONE, Stack};
use crate::memory::{Place, Region};

/// Words of a block that hold something.
pub(crate) const ITEMS: usize = 62;

const WORDS: usize = ITEMS + 2;
const BYTES: usize = WORDS * 8;
const LINK: usize = 0;
const COUNT: usize = 1;

/// `fresh` while memory is given back.
const CLOSED: u32 = u32::MAX;

/// Address space for blocks; less where the system has less.
#[cfg(target_pointer_width = "64")]
const RESERVED: usize = 4 << 30;
#[cfg(not(target_pointer_width = "64"))]
const RESERVED: usize = 16 << 20;
const LEAST: usize = 1 << 20;

/// Blocks of one structure.
#[derive(Debug)]
pub(super) struct Blocks {
    region: Region,
    empty: Stack,
    /// Blocks that were ever used; the numbers below this, plus one.
    fresh: AtomicU32,
}

/// A block that is the caller's.
#[derive(Debug)]
pub(super) struct Block<'a> {
    number: u32,
    words: &'a [AtomicU64; WORDS],
}

impl Blocks {
    pub(super) const fn new() -> Blocks {
        Blocks {
            region: Region::new(),
            empty: Stack::new(),
            fresh: AtomicU32::new(0),
        }
    }

    /// A block that is empty; none if there is no memory for one.
    pub(super) fn take(&self) -> Option<Block<'_>> {
        if let Some(number) = self.empty.pop(|number| self.link(number)) {
            return Some(self.block(number));
        }
        let place = self.region.reserve(RESERVED, LEAST, 1).ok()?;
        // Ordering: Relaxed. The number is all that is handed over; `reset` says why not
        // more.
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        loop {
            if fresh as usize >= place.bytes / BYTES {
                return None;
            }
            self.region.open(place, (fresh as usize + 1) * BYTES).ok()?;
            match self.fresh.compare_exchange_weak(
                fresh,
                fresh + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(self.block(fresh + 1)),
                Err(now) => fresh = now,
            }
        }
    }

    /// Gives a block back that holds nothing any more.
    pub(super) fn give_back(&self, mut block: Block<'_>) {
        block.set_count(0);
        self.empty.push(block.number, |number| self.link(number));
    }

    /// Pushes a block on a stack of full ones.
    pub(super) fn push(&self, stack: &Stack, block: Block<'_>) {
        stack.push(block.number, |number| self.link(number));
    }

    /// Pops a block from a stack of full ones.
    pub(super) fn pop(&self, stack: &Stack) -> Option<Block<'_>> {
        let number = stack.pop(|number| self.link(number))?;
        Some(self.block(number))
    }

    /// Takes all blocks of a stack of full ones, one by one.
    pub(super) fn take_all(&self, stack: &Stack) -> Chain<'_> {
        Chain {
            blocks: self,
            next: stack.take_all(),
        }
    }

    /// Gives all memory of blocks back, if all of them are empty; how many bytes that was.
    /// One thread at a time.
    pub(super) fn reset(&self) -> usize {
        let mut idle = 0;
        let first = self.empty.take_all();
        let mut last = first;
        let mut next = first;
        while next != NONE {
            idle += 1;
            last = next;
            next = self.link(next).load(Ordering::Relaxed) as u32;
        }
        if first == NONE {
            return 0;
        }
        // All that there ever were are in hand, and while it is closed nobody takes more.
        let closed =
            self.fresh
                .compare_exchange(idle, CLOSED, Ordering::Acquire, Ordering::Relaxed);
        if closed.is_err() {
            self.empty.push_chain(first, self.link(last));
            return 0;
        }
        let bytes = idle as usize * BYTES;
        if let Some(place) = self.region.place() {
            // SAFETY: opened for these blocks, and nobody has one.
            unsafe { Region::discard(place.base, bytes) };
        }
        // Ordering: Release pairs with the Acquire of `take`: the pages are given back
        // before anybody writes to them again.
        self.fresh.store(0, Ordering::Release);
        bytes
    }

    fn block(&self, number: u32) -> Block<'_> {
        Block {
            number,
            words: self.words(number),
        }
    }

    fn link(&self, number: u32) -> &AtomicU64 {
        &self.words(number)[LINK]
    }

    fn words(&self, number: u32) -> &[AtomicU64; WORDS] {
        let base = self.region.place().map_or(0, |Place { base, .. }| base);
        debug_assert!(base != 0 && number != NONE);
        let address = base + (number as usize - 1) * BYTES;
        // SAFETY: a number is given out after its block was opened, and blocks stay mapped
        // for as long as this; all access is atomic.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }
}

impl Block<'_> {
    /// Where its items are.
    pub(super) fn items(&self) -> *mut u64 {
        let first: *const AtomicU64 = &raw const self.words[2];
        first.cast::<u64>().cast_mut()
    }

    /// How many items it has.
    // Ordering: Relaxed, here and below. It is one thread's; stacks hand it on.
    pub(super) fn count(&self) -> usize {
        (self.words[COUNT].load(Ordering::Relaxed) as usize).min(ITEMS)
    }

    pub(super) fn set_count(&mut self, count: usize) {
        debug_assert!(count <= ITEMS);
        self.words[COUNT].store(count as u64, Ordering::Relaxed);
    }

    pub(super) fn item(&self, at: usize) -> u64 {
        self.words[2 + at].load(Ordering::Relaxed)
    }

    pub(super) fn set_item(&mut self, at: usize, item: u64) {
        self.words[2 + at].store(item, Ordering::Relaxed);
    }

    /// Adds an item, if there is room for one.
    pub(super) fn add(&mut self, item: u64) -> bool {
        let count = self.count();
        if count < ITEMS {
            self.words[2 + count].store(item, Ordering::Relaxed);
            self.set_count(count + 1);
        }
        count < ITEMS
    }

    /// Takes the last item.
    pub(super) fn remove(&mut self) -> Option<u64> {
        let last = self.count().checked_sub(1)?;
        self.set_count(last);
        Some(self.item(last))
    }

    /// Drops the first items.
    pub(super) fn remove_first(&mut self, gone: usize) {
        let left = self.count() - gone;
        for at in 0..left {
            self.words[2 + at].store(self.item(gone + at), Ordering::Relaxed);
        }
        self.set_count(left);
    }
}

/// Blocks that the caller has taken.
pub(super) struct Chain<'a> {
    blocks: &'a Blocks,
    next: u32,
}

impl<'a> Chain<'a> {
    /// The blocks, for who only looks: they stay those of this chain.
    pub(super) fn again(&self) -> Chain<'a> {
        Chain {
            blocks: self.blocks,
            next: self.next,
        }
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        if self.next == NONE {
            return None;
        }
        let block = self.blocks.block(self.next);
        self.next = block.words[LINK].load(Ordering::Relaxed) as u32;
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_with_what_was_put_in() {
        let (blocks, full) = (Blocks::new(), Stack::new());
        for turn in 0..3 {
            let mut block = blocks.take().unwrap();
            assert_eq!(block.count(), 0, "fresh, or given back empty");
            assert!((0..ITEMS as u64).all(|item| block.add(item + turn)));
            assert!(!block.add(7));
            blocks.push(&full, block);
        }
        let mut block = blocks.pop(&full).unwrap();
        block.remove_first(60);
        assert_eq!(
            (block.remove(), block.remove(), block.remove()),
            (Some(63), Some(62), None)
        );
        assert_eq!(blocks.reset(), 0, "two are full and one in hand");
        blocks.give_back(block);
        assert_eq!(blocks.reset(), 0, "two are full");
        for block in blocks.take_all(&full) {
            blocks.give_back(block);
        }
        assert_eq!(blocks.reset(), 3 * BYTES);
        assert_eq!(blocks.reset(), 0);
        assert_eq!(blocks.take().unwrap().number, 1);
    }
}
