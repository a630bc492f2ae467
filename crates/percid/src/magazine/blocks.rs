//! Blocks: 62 words that travel together between magazines and the depot.
//!
//! | a block is | who may touch its words |
//! | --- | --- |
//! | in the stack of empty ones, retired, or never used | nobody |
//! | taken | the thread that took it |
//! | in a stack of full ones | nobody |
//!
//! Taking one is popping it, clearing its bit, or raising `fresh`; each hands it to one
//! thread. A thread that dies or forks away with one in hand loses it: 512 bytes, and what was
//! in it.
//!
//! A block that is not needed any more is *retired*: a bit for each stands for it. Who finds
//! that all 64 blocks of a word are retired takes them, gives their 32 KiB back, and retires
//! them again. A pop that still holds an old head reads a zero for its link then, and its
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
    /// A bit for each block.
    retired: Region,
    /// How many are retired, about.
    idle: AtomicU32,
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
            retired: Region::new(),
            idle: AtomicU32::new(0),
        }
    }

    /// A block that is empty; none if there is no memory for one.
    pub(super) fn take(&self) -> Option<Block<'_>> {
        if let Some(number) = self.empty.pop(|number| self.link(number)) {
            return Some(self.block(number));
        }
        if let Some(number) = self.take_retired() {
            return Some(self.block(number));
        }
        let place = self.region.reserve(RESERVED, LEAST, 1).ok()?;
        // Ordering: Relaxed. The number is all that is handed over.
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        loop {
            if fresh as usize >= place.bytes / BYTES {
                return None;
            }
            self.region.open(place, (fresh as usize + 1) * BYTES).ok()?;
            match self.fresh.compare_exchange_weak(
                fresh,
                fresh + 1,
                Ordering::Relaxed,
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

    /// Gives a block back that is not going to be needed soon, and with it the memory of its
    /// neighbours, if they are not needed either.
    pub(super) fn retire(&self, mut block: Block<'_>) {
        let at = block.number as usize - 1;
        let Some(word) = self.retired_word(at / 64) else {
            return self.give_back(block);
        };
        block.set_count(0);
        // Ordering: Release pairs with the Acquire of who takes it, here or in
        // `take_retired`: all that was done with the block is done.
        let retired = word.fetch_or(1 << (at % 64), Ordering::Release) | 1 << (at % 64);
        self.idle.fetch_add(1, Ordering::Relaxed);
        if retired == u64::MAX
            && let Some(place) = self.region.place()
            && word
                .compare_exchange(u64::MAX, 0, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        {
            // SAFETY: opened for these blocks, for they were all used, and all are this
            // thread's.
            unsafe { Region::discard(place.base + at / 64 * 64 * BYTES, 64 * BYTES) };
            // Ordering: Release, as above: the pages are given back before anybody writes.
            word.fetch_or(u64::MAX, Ordering::Release);
        }
    }

    /// Retires all that are empty.
    pub(super) fn retire_empty(&self) {
        // No more than there are now: another thread may give some back meanwhile.
        for _ in 0..self.fresh.load(Ordering::Relaxed) {
            let Some(number) = self.empty.pop(|number| self.link(number)) else {
                break;
            };
            self.retire(self.block(number));
        }
    }

    /// A block that was retired, of those with the lowest numbers.
    fn take_retired(&self) -> Option<u32> {
        // Ordering: Relaxed. A hint: at worst there is one more fresh block.
        if self.idle.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let words = self.fresh.load(Ordering::Relaxed).div_ceil(64);
        for at in 0..words {
            let word = self.retired_word(at as usize)?;
            let mut seen = word.load(Ordering::Relaxed);
            while seen != 0 {
                let bit = seen & seen.wrapping_neg();
                // Ordering: Acquire, as `retire` says.
                seen = word.fetch_and(!bit, Ordering::Acquire);
                if seen & bit != 0 {
                    self.idle.fetch_sub(1, Ordering::Relaxed);
                    return Some(at * 64 + bit.trailing_zeros() + 1);
                }
            }
        }
        None
    }

    /// The bits of 64 blocks; `None` if there is no memory for them.
    fn retired_word(&self, at: usize) -> Option<&AtomicU64> {
        let bytes = RESERVED / BYTES / 8;
        let place = self.retired.reserve(bytes, bytes, 1).ok()?;
        self.retired.open(place, (at + 1) * 8).ok()?;
        // SAFETY: opened just now; it stays mapped as long as this, and all access is atomic.
        Some(unsafe { &*core::ptr::with_exposed_provenance(place.base + at * 8) })
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
        blocks.give_back(block);
        for block in [(); 2].map(|()| blocks.pop(&full).unwrap()) {
            blocks.give_back(block);
        }
        assert!(blocks.pop(&full).is_none());
        assert_eq!(blocks.take().unwrap().number, 1, "the last is used first");
    }

    #[test]
    fn retired_blocks_give_their_memory_back_and_are_used_again() {
        let blocks = Blocks::new();
        let mut all: Vec<_> = (0..130).map(|_| blocks.take().unwrap()).collect();
        for block in &mut all {
            assert!(block.add(7));
        }
        let last = all.pop().unwrap();
        all.into_iter().for_each(|block| blocks.retire(block));
        assert_eq!(blocks.idle.load(Ordering::Relaxed), 129);
        // Two words' blocks are zero, the third word's keep what is theirs.
        for (number, items) in [(1, 0), (64, 0), (65, 0), (128, 0), (129, 7)] {
            assert_eq!(blocks.block(number).item(0), items, "block {number}");
        }
        assert_eq!(last.item(0), 7);
        let again: Vec<_> = (0..129).map(|_| blocks.take().unwrap().number).collect();
        assert!(
            again.iter().copied().eq(1..=129),
            "each once, low ones first"
        );
        assert_eq!(blocks.take().unwrap().number, 131);
        blocks.give_back(last);
        blocks.retire_empty();
        assert_eq!(blocks.take().unwrap().number, 130);
    }
}
