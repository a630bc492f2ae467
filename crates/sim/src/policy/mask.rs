//! The bitmap of ids of a process.

use crate::bill::{Bill, Line};

/// Bits of a cache line.
const LINE: u32 = 512;

/// Which ids are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Mask {
    words: Vec<u64>,
    lines: Vec<Line>,
    taken: u32,
}

impl Mask {
    fn is_set(&self, id: u32) -> bool {
        let word = self.words.get((id / 64) as usize);
        word.is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    fn line(&mut self, id: u32) -> &mut Line {
        let index = (id / LINE) as usize;
        if index >= self.lines.len() {
            self.lines.resize_with(index + 1, Line::default);
        }
        &mut self.lines[index]
    }

    fn change(&mut self, id: u32, set: bool) {
        let (index, bit) = ((id / 64) as usize, 1 << (id % 64));
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        debug_assert_eq!(
            self.words[index] & bit == 0,
            set,
            "id {id} changes hands twice"
        );
        if set {
            self.words[index] |= bit;
            self.taken += 1;
        } else {
            self.words[index] &= !bit;
            self.taken -= 1;
        }
    }

    /// Number of ids that are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    fn lowest_free(&self) -> u32 {
        let full = self.words.iter().take_while(|&&word| word == u64::MAX);
        let full = full.count();
        let bit = self.words.get(full).map_or(0, |word| word.trailing_ones());
        full as u32 * 64 + bit
    }

    fn look(&mut self, bill: &mut Bill, until: u32) {
        for first in (0..=until).step_by(LINE as usize) {
            let line = self.line(first).clone();
            bill.load(&line);
        }
        bill.spend(u64::from(until / 64 + 1) * bill.costs.word);
    }

    /// Finds the first zero bit.
    pub(super) fn first_zero(&mut self, bill: &mut Bill) -> u32 {
        let free = self.lowest_free();
        self.look(bill, free);
        free
    }

    /// Whether somebody is changing the line of an id right now: what was found there
    /// is stale.
    pub(super) fn is_busy(&mut self, bill: &Bill, id: u32) -> bool {
        let now = bill.now();
        self.line(id).is_busy(now)
    }

    /// Sets a bit by an atomic; whether it was free.
    pub(super) fn test_and_set(&mut self, bill: &mut Bill, id: u32) -> bool {
        bill.rmw(self.line(id));
        let free = !self.is_set(id);
        if free {
            self.change(id, true);
        }
        free
    }

    /// Clears a bit by an atomic.
    pub(super) fn clear(&mut self, bill: &mut Bill, id: u32) {
        bill.rmw(self.line(id));
        self.change(id, false);
    }

    /// Finds and sets by plain accesses, under a lock.
    pub(super) fn take_plainly(&mut self, bill: &mut Bill) -> u32 {
        let free = self.lowest_free();
        bill.spend(u64::from(free / 64 + 1) * bill.costs.word);
        bill.load_store(self.line(free));
        self.change(free, true);
        free
    }

    /// Clears by plain accesses, under a lock.
    pub(super) fn clear_plainly(&mut self, bill: &mut Bill, id: u32) {
        bill.load_store(self.line(id));
        self.change(id, false);
    }
}
