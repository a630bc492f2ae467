//! Carries the machine's requests out on a domain's memory.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use percid_rseq::{membarrier, thread_ids};

use super::counts::count;
use super::inner::Inner;
use super::table::Table;
use super::thread;
use crate::domain::aged::Aged;
use crate::domain::protocol::{Answer, Outcome, Procedure, Request, Shared};
use crate::domain::victim::victim;
use crate::domain::word::{SlotState, SlotWord};

/// One procedure on one domain.
pub(super) struct Driver<'a> {
    inner: &'a Inner,
    table: &'a Table,
    now: u64,
    aged: Aged,
    /// Whether a victim was chosen: what is taken next is stolen.
    stealing: Cell<bool>,
    /// The slot of the CPU that the thread was on.
    own: Cell<u32>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(inner: &'a Inner, table: &'a Table, now: u64) -> Driver<'a> {
        Driver {
            inner,
            table,
            now,
            aged: Aged::ByTime {
                period: inner.period(),
            },
            stealing: Cell::new(false),
            own: Cell::new(u32::MAX),
        }
    }

    /// For a scan that marks who holds an id above a free one, however young: who comes
    /// to the mark moves down.
    pub(super) fn above(free: u32, inner: &'a Inner, table: &'a Table, now: u64) -> Driver<'a> {
        Driver {
            aged: Aged::Above { free },
            ..Driver::new(inner, table, now)
        }
    }

    /// Runs a procedure to its end; `None` if this turned out to be the child of a
    /// fork in the middle of it: what was read is the parent's, and what was in
    /// transit is freed when the ids are rebuilt.
    pub(super) fn run(&self, mut procedure: impl Procedure) -> Option<Outcome> {
        let generation = self.table.generation();
        let is_ours = || self.table.is_alive() && self.table.generation() == generation;
        loop {
            match procedure.request() {
                Request::Done(outcome) => return Some(outcome),
                _ if !is_ours() => return None,
                request => procedure.answer(self.perform(request)),
            }
        }
    }

    fn cpu(&self) -> Option<u32> {
        let cpu = thread_ids()?.cpu;
        self.own.set(cpu);
        (cpu < self.table.cpus()).then_some(cpu)
    }

    fn swap(&self, slot: u32, old: SlotWord, new: SlotWord) -> bool {
        if !self.table.swap(slot, old, new, self.now) {
            return false;
        }
        let counts = &self.inner.counts;
        match (old.state(), new.state()) {
            (SlotState::Unset, SlotState::Valid(cid)) => {
                count(&counts.acquisitions);
                counts.saw(cid);
            }
            (SlotState::Lazy(was), SlotState::Valid(cid)) if was == cid => count(&counts.rescues),
            (SlotState::Lazy(_), SlotState::Valid(_)) => count(&counts.moves),
            (SlotState::Lazy(_), SlotState::Unset) if self.stealing.get() => {
                count(&counts.steals);
            }
            // An acquirer that takes from another CPU without stealing takes its own.
            (SlotState::Lazy(_), SlotState::Unset)
                if self.own.get() != u32::MAX && self.own.get() != slot =>
            {
                count(&counts.handovers);
                self.inner.taken_along.fetch_add(1, Ordering::Relaxed);
            }
            (SlotState::Lazy(_), SlotState::Unset) => count(&counts.reclaims),
            _ => {}
        }
        true
    }

    fn victim(&self, thief: u32, bound: u32) -> Option<u32> {
        // Who has not joined a strict domain takes nothing from those who have.
        if self.inner.is_strict() && !thread::has_joined(self.inner.number()) {
            return None;
        }
        let slots =
            (0..self.table.cpus()).map(|slot| (self.table.load(slot), self.table.changed(slot)));
        // Ordering: Relaxed. Any hand is right.
        let hand = self.inner.hand.load(Ordering::Relaxed);
        let victim = victim(slots, thief, bound, hand)?;
        self.inner.hand.store(victim + 1, Ordering::Relaxed);
        self.stealing.set(true);
        Some(victim)
    }

    fn fenced(&self, outcome: Result<(), membarrier::BarrierError>) -> Answer {
        let counts = &self.inner.counts;
        count(if outcome.is_ok() {
            &counts.fences
        } else {
            &counts.fences_refused
        });
        Answer::Fenced(outcome.is_ok())
    }
}

impl Shared for Driver<'_> {
    fn perform(&self, request: Request) -> Answer {
        let ids = &self.inner.ids;
        match request {
            Request::Cpu => Answer::Cpu(self.cpu()),
            Request::Bound => Answer::Bound(self.inner.bound()),
            Request::Load { slot } => Answer::Word(self.table.load(slot)),
            Request::Look { slot } => {
                let word = self.table.load(slot);
                let age = self.now.saturating_sub(self.table.changed(slot));
                let aged = self.aged.finds(word.state(), age);
                Answer::Seen { word, aged }
            }
            Request::Swap { slot, old, new } => Answer::Swapped(self.swap(slot, old, new)),
            Request::Claim { below } => Answer::Claimed(ids.claim_lowest(below)),
            Request::Open { cid } => Answer::Opened(self.inner.open(cid)),
            Request::Clear { cid } => {
                ids.clear(cid);
                Answer::Done
            }
            Request::ClearAll => {
                ids.clear_all();
                Answer::Done
            }
            Request::Set { cid } => {
                ids.set(cid);
                Answer::Done
            }
            Request::Victim { thief, bound } => Answer::Victim(self.victim(thief, bound)),
            Request::Fence { cpu } => self.fenced(membarrier::fence_cpu(cpu)),
            Request::FenceAll => self.fenced(membarrier::fence()),
            Request::Done(_) => unreachable!("a driver stops there"),
        }
    }
}
