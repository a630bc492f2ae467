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
//! that all blocks of a group are retired, which is 32 KiB of them or a page if that is more,
//! takes them, gives their memory back, and retires them again. A pop that still holds an old
//! head reads a zero for its link then, and its exchange fails by the tag.
//!
//! `first` says where to look for retired blocks: in no word before it. It carries a number that
//! each retirement changes, after it has set bits. Who looks reads `first` before, and raises it
//! by an exchange, which fails if there was a retirement meanwhile. So bits are below it only
//! between the two steps of a retirement, and for longer if a thread dies or forks away there:
//! those are found again by who looks from the start, which is done before the number of blocks
//! doubles.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use super::aged::Aged;
use super::{NONE, Stack};
use crate::memory::{Place, Region};
use crate::os;

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
    empty: Aged,
    /// Blocks that were ever used; the numbers below this, plus one.
    fresh: AtomicU32,
    /// A bit for each block.
    retired: Region,
    /// The first word of those that has one, and how many were retired, in the upper half.
    first: AtomicU64,
}

/// In `first`, where no block is retired.
const NOWHERE: u32 = u32::MAX;

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
            empty: Aged::new(),
            fresh: AtomicU32::new(0),
            retired: Region::new(),
            first: AtomicU64::new(NOWHERE as u64),
        }
    }

    /// A block that is empty; none if there is no memory for one.
    pub(super) fn take(&self) -> Option<Block<'_>> {
        for stack in [self.empty.young(), self.empty.old()] {
            if let Some(block) = self.pop(stack) {
                return Some(block);
            }
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
            // Before as much memory again is used, for those that were lost sight of.
            if fresh.is_power_of_two() {
                self.look_from(0);
                if let Some(number) = self.take_retired() {
                    return Some(self.block(number));
                }
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
        self.push(self.empty.young(), block);
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
        if retired == u64::MAX {
            self.discard_group(at / 64, os::page().div_ceil(64 * BYTES));
        }
        self.look_from((at / 64) as u32);
    }

    /// Gives the memory of the blocks of so many words back, if all are retired.
    fn discard_group(&self, at: usize, words: usize) {
        let first = at / words * words;
        let Some(place) = self.region.place() else {
            return;
        };
        let group = (first..first + words).map_while(|at| self.retired_word(at));
        // Those that are this thread's alone now.
        let mut mine = 0;
        for word in group.clone() {
            let taken = word.compare_exchange(u64::MAX, 0, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_err() {
                break;
            }
            mine += 1;
        }
        if mine == words {
            let bytes = 64 * BYTES;
            // SAFETY: opened for these blocks, for they were all used, and all are this
            // thread's. If it is refused they keep their memory.
            let _ = unsafe { Region::discard(place.base + first * bytes, words * bytes) };
        }
        for word in group.take(mine) {
            // Ordering: Release, as in `retire`: the pages are given back before anybody writes.
            word.fetch_or(u64::MAX, Ordering::Release);
        }
        if mine > 0 {
            self.look_from(first as u32);
        }
    }

    /// There may be a retired block in that word.
    fn look_from(&self, word: u32) {
        // Ordering: Release pairs with the Acquire in `take_retired`: the bit is seen by who
        // sees the number.
        let lower = |first: u64| {
            let retirements = (first >> 32).wrapping_add(1) << 32;
            Some(retirements | u64::from(word.min(first as u32)))
        };
        let _ = self
            .first
            .fetch_update(Ordering::Release, Ordering::Relaxed, lower);
    }

    /// Retires up to `most` of those that are empty and were not needed for a period. When there
    /// is none, a new period begins.
    pub(super) fn retire_surplus(&self, period: Duration, most: usize) {
        if self.empty.has_surplus(period) {
            self.retire_of(self.empty.old(), most);
        }
        self.empty.turn();
    }

    /// Retires all that are empty.
    pub(super) fn retire_empty(&self) {
        // No more than there are now: another thread may give some back meanwhile.
        let most = self.fresh.load(Ordering::Relaxed) as usize;
        self.retire_of(self.empty.old(), most);
        self.retire_of(self.empty.young(), most);
        self.look_from(0);
    }

    fn retire_of(&self, stack: &Stack, most: usize) {
        for _ in 0..most {
            let Some(block) = self.pop(stack) else {
                break;
            };
            self.retire(block);
        }
    }

    /// A block that was retired, of those with the lowest numbers.
    fn take_retired(&self) -> Option<u32> {
        // Ordering: Acquire, as `look_from` says.
        let before = self.first.load(Ordering::Acquire);
        let first = before as u32;
        if first == NOWHERE || self.retired.place().is_none() {
            return None;
        }
        let words = self.fresh.load(Ordering::Relaxed).div_ceil(64);
        for at in first..words {
            // Those of words that cannot be opened were never retired.
            let Some(word) = self.retired_word(at as usize) else {
                break;
            };
            let mut seen = word.load(Ordering::Relaxed);
            while seen != 0 {
                let bit = seen & seen.wrapping_neg();
                // Ordering: Acquire, as `retire` says.
                seen = word.fetch_and(!bit, Ordering::Acquire);
                if seen & bit != 0 {
                    self.raise(before, at);
                    return Some(at * 64 + bit.trailing_zeros() + 1);
                }
            }
        }
        self.raise(before, NOWHERE);
        None
    }

    /// Nothing was found from where `before` said up to there.
    fn raise(&self, before: u64, to: u32) {
        // Ordering: Relaxed. Bits that were set meanwhile change the number after that.
        if to > before as u32 {
            let raised = before & !u64::from(u32::MAX) | u64::from(to);
            let _ =
                self.first
                    .compare_exchange(before, raised, Ordering::Relaxed, Ordering::Relaxed);
        }
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
        assert_eq!(blocks.first.load(Ordering::Relaxed) as u32, 0);
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
        assert_eq!(blocks.first.load(Ordering::Relaxed) as u32, 2);
        assert_eq!(blocks.take().unwrap().number, 131);
        assert_eq!(blocks.first.load(Ordering::Relaxed) as u32, NOWHERE);
        blocks.give_back(last);
        blocks.retire_empty();
        assert_eq!(blocks.take().unwrap().number, 130);
    }

    #[test]
    fn empty_blocks_that_nobody_needs_are_retired() {
        let blocks = Blocks::new();
        let all: Vec<_> = (0..5).map(|_| blocks.take().unwrap()).collect();
        all.into_iter().for_each(|block| blocks.give_back(block));
        // The first time only looks; then one is needed.
        blocks.retire_surplus(Duration::ZERO, 64);
        let needed = blocks.take().unwrap();
        blocks.give_back(needed);
        blocks.retire_surplus(Duration::MAX, 64);
        blocks.retire_surplus(Duration::ZERO, 3);
        let retired = || blocks.retired_word(0).unwrap().load(Ordering::Relaxed);
        assert_eq!(retired(), 0b1110);
        blocks.retire_surplus(Duration::ZERO, 3);
        assert_eq!(retired(), 0b1111);
        assert_eq!(blocks.take().unwrap().number, 5, "what was needed stays");
        assert_eq!(blocks.take().unwrap().number, 1);
    }

    /// As on pages of 64 KiB.
    #[test]
    fn groups_of_more_than_a_word_go_back_as_a_whole() {
        let blocks = Blocks::new();
        let mut all: Vec<_> = (0..256).map(|_| blocks.take().unwrap()).collect();
        for block in &mut all {
            assert!(block.add(7));
        }
        let last = all.pop().unwrap();
        let words: Vec<_> = (0..4).map(|at| blocks.retired_word(at).unwrap()).collect();
        for block in &all {
            let at = block.number as usize - 1;
            words[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
        }
        blocks.discard_group(3, 2);
        blocks.discard_group(1, 2);
        for (number, items) in [(1, 0), (128, 0), (129, 7), (192, 7), (255, 7)] {
            assert_eq!(blocks.block(number).item(0), items, "block {number}");
        }
        assert!(
            words[..3]
                .iter()
                .all(|it| it.load(Ordering::Relaxed) == u64::MAX)
        );
        blocks.retire(last);
        let again: Vec<_> = (0..256).map(|_| blocks.take().unwrap().number).collect();
        assert!(again.into_iter().eq(1..=256));
    }

    #[test]
    fn what_a_thread_left_half_retired_is_found_again() {
        let blocks = Blocks::new();
        let all: Vec<_> = (0..100).map(|_| blocks.take().unwrap()).collect();
        blocks
            .retired_word(0)
            .unwrap()
            .store(0b100, Ordering::Relaxed);
        drop(all);
        let later: Vec<_> = (0..60).map(|_| blocks.take().unwrap().number).collect();
        assert_eq!(later.iter().filter(|&&number| number == 3).count(), 1);
    }

    #[test]
    fn who_has_looked_does_not_hide_what_was_retired_since() {
        let blocks = Blocks::new();
        let [first, second, _third] = [(); 3].map(|()| blocks.take().unwrap());
        blocks.retire(first);
        let before = blocks.first.load(Ordering::Relaxed);
        assert_eq!(blocks.take().unwrap().number, 1);
        // Nothing is there for another one who looks; but before that says so:
        blocks.retire(second);
        blocks.raise(before, NOWHERE);
        assert_eq!(blocks.take().unwrap().number, 2);
    }

    #[test]
    fn none_is_lost_while_others_look() {
        let blocks = Blocks::new();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let blocks = &blocks;
                scope.spawn(move || {
                    for turn in 0..300 {
                        let count = (turn * 7 + thread * 31) % 90;
                        let mine: Vec<_> = (0..count).map(|_| blocks.take().unwrap()).collect();
                        mine.into_iter().for_each(|block| blocks.retire(block));
                    }
                });
            }
        });
        let fresh = blocks.fresh.load(Ordering::Relaxed);
        let mut found: Vec<_> = core::iter::from_fn(|| blocks.take_retired()).collect();
        found.sort_unstable();
        assert!(found.into_iter().eq(1..=fresh));
    }
}
