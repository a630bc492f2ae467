//! The id that a CPU has cached for a process, as in the patches of April 2023.
//!
//! | value | state |
//! | --- | --- |
//! | all ones | UNSET |
//! | top bit set | LAZY: the CPU's next switch drops it |
//! | otherwise | VALID |

use super::mask::Mask;
use super::per_cpu::PerCpu;
use crate::bill::{Bill, Line, Time};

/// An id that is in use for less than this is not idle.
pub(super) const PERIOD: Time = 100_000_000;

const UNSET: u32 = u32::MAX;
const LAZY: u32 = 1 << 31;

/// What a CPU has cached.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    word: u32,
    /// When it was allocated or, in later versions, used.
    pub(super) time: Time,
    /// The last id that it held (Linux 6.13).
    pub(super) recent: Option<u32>,
    /// The version of the process's shared line that this CPU has read.
    pub(super) seen: u32,
    line: Line,
}

impl Default for Slot {
    fn default() -> Slot {
        Slot {
            word: UNSET,
            time: 0,
            recent: None,
            seen: 0,
            line: Line::default(),
        }
    }
}

impl Slot {
    pub(super) fn valid(&self) -> Option<u32> {
        (self.word & LAZY == 0).then_some(self.word)
    }

    pub(super) fn is_unset(&self) -> bool {
        self.word == UNSET
    }

    pub(super) fn lazy(&self) -> Option<u32> {
        (self.word != UNSET && self.word & LAZY != 0).then_some(self.word & !LAZY)
    }

    /// Reads it.
    pub(super) fn read(&self, bill: &mut Bill) {
        bill.load(&self.line);
    }

    /// A plain store by the CPU that it belongs to, under its run queue's lock.
    pub(super) fn set(&mut self, bill: &mut Bill, id: u32) {
        bill.store(&mut self.line);
        self.word = id;
    }

    /// VALID to LAZY, by compare and exchange.
    pub(super) fn mark(&mut self, bill: &mut Bill) {
        debug_assert!(self.valid().is_some());
        bill.rmw(&mut self.line);
        self.word |= LAZY;
    }

    /// VALID or LAZY to UNSET, by compare and exchange; the id is the caller's.
    pub(super) fn unset(&mut self, bill: &mut Bill) -> u32 {
        debug_assert!(!self.is_unset());
        bill.rmw(&mut self.line);
        let id = self.word & !LAZY;
        self.word = UNSET;
        id
    }

    /// The other half of `unset` when the word was just marked.
    pub(super) fn unset_and_free(&mut self, bill: &mut Bill, mask: &mut Mask) {
        let id = self.unset(bill);
        mask.clear(bill, id);
    }
}

/// The ids of a process with a slot for each CPU.
#[derive(Clone, Debug, Default)]
pub(super) struct Mm {
    pub(super) mask: Mask,
    pub(super) slots: PerCpu<Slot>,
    /// No scan before this.
    pub(super) next_scan: Time,
    /// As many ids as were ever allowed (Linux 6.13).
    pub(super) most: u32,
    pub(super) most_line: Line,
}

impl Mm {
    /// `mm_cid_put_lazy`: the CPU leaves the process.
    pub(super) fn put_lazy(&mut self, bill: &mut Bill) {
        let Mm { mask, slots, .. } = self;
        let slot = slots.get_mut(bill.cpu);
        slot.read(bill);
        if slot.lazy().is_some() {
            slot.unset_and_free(bill, mask);
        }
    }

    /// `mm_cid_put`: the thread on this CPU ends, or wants a lower id.
    pub(super) fn put(&mut self, bill: &mut Bill) {
        let Mm { mask, slots, .. } = self;
        let slot = slots.get_mut(bill.cpu);
        slot.read(bill);
        if !slot.is_unset() {
            slot.unset_and_free(bill, mask);
        }
    }

    /// Drops a slot's id unless its CPU runs a thread of the process: mark, look, unset.
    pub(super) fn clear_remote(&mut self, bill: &mut Bill, process: u32, cpu: u32) {
        let Mm { mask, slots, .. } = self;
        let slot = slots.get_mut(cpu);
        if slot.valid().is_none() {
            return;
        }
        slot.mark(bill);
        bill.spend(bill.travel_from(cpu));
        if !bill.world.runs(process, cpu) {
            slot.unset_and_free(bill, mask);
        }
    }

    /// The cost of reading a clock and a slot of every CPU.
    pub(super) fn read_all(bill: &mut Bill) {
        let [near, node, far] = bill.world.machine.neighbours(bill.cpu);
        let costs = bill.costs;
        let all = u64::from(near) * costs.near
            + u64::from(node) * costs.node
            + u64::from(far) * costs.far;
        bill.spend(all);
    }
}
