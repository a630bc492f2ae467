//! RFC v3: an id per CPU, and hooks at both ends of a migration.
//!
//! ```text
//! switch        prev: a LAZY slot is dropped
//!               next: VALID is kept; otherwise an id under the process's lock
//! migrate from  the CPU's id is the thread's last, and nobody of the process runs
//!               there: VALID, LAZY, UNSET, freed
//! migrate to    the destination's id is higher than the thread's last: LAZY if somebody
//!               of the process runs there, else UNSET and freed, to be got anew
//! ```
//!
//! Source: [RFC PATCH v3] of 5 April 2023. That the line of `pcpu_cid` is the one of
//! `mm_count` is as in its versions 5 and 6, and in Linux 6.4.

use super::slot::Mm;
use super::{Policy, ensure};
use crate::bill::{Bill, Lock, Part};

/// RFC v3.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    processes: Vec<(Mm, Lock)>,
    threads: Vec<Task>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Task {
    id: Option<u32>,
    last: Option<u32>,
}

impl Hooks {
    fn get(&mut self, bill: &mut Bill, process: u32) -> u32 {
        let (mm, lock) = &mut self.processes[process as usize];
        let slot = mm.slots.get_mut(bill.cpu);
        bill.load_seen(
            &bill.world.processes[process as usize].count,
            &mut slot.seen,
        );
        slot.read(bill);
        if let Some(id) = slot.valid() {
            return id;
        }
        if slot.lazy().is_some() {
            slot.unset_and_free(bill, &mut mm.mask);
        }
        bill.lock(lock);
        let id = mm.mask.first_zero(bill);
        let set = mm.mask.test_and_set(bill, id);
        debug_assert!(set, "ids are looked for under a lock");
        bill.unlock(lock);
        slot.set(bill, id);
        id
    }

    fn migrate_from(&mut self, bill: &mut Bill, thread: u32, from: u32) {
        let process = bill.world.process_of(thread);
        let (mm, _) = &mut self.processes[process as usize];
        let task = ensure(&mut self.threads, thread);
        let Some(last) = task.last else {
            return;
        };
        let slot = mm.slots.get_mut(from);
        slot.read(bill);
        if slot.valid() != Some(last) {
            return;
        }
        // The run queue's line, to see who runs there.
        bill.spend(bill.travel_from(from));
        if bill.world.runs(process, from) {
            task.last = None;
            return;
        }
        slot.mark(bill);
        slot.unset_and_free(bill, &mut mm.mask);
    }

    fn migrate_to(&mut self, bill: &mut Bill, thread: u32, to: u32) {
        let process = bill.world.process_of(thread);
        let (mm, _) = &mut self.processes[process as usize];
        let Some(last) = ensure(&mut self.threads, thread).last else {
            return;
        };
        let slot = mm.slots.get_mut(to);
        slot.read(bill);
        if slot.valid().is_none_or(|id| id <= last) {
            return;
        }
        if bill.world.runs(process, to) {
            slot.mark(bill);
        } else {
            slot.unset_and_free(bill, &mut mm.mask);
        }
    }
}

impl Policy for Hooks {
    fn process(&mut self) {
        self.processes.push(Default::default());
    }

    fn born(&mut self, _: &mut Bill, thread: u32) {
        *ensure(&mut self.threads, thread) = Task::default();
    }

    fn died(&mut self, bill: &mut Bill, thread: u32) {
        bill.barrier();
        let process = bill.world.process_of(thread);
        self.processes[process as usize].0.put(bill);
        *ensure(&mut self.threads, thread) = Task::default();
    }

    fn switched(&mut self, bill: &mut Bill, prev: Option<u32>, next: Option<u32>) {
        if let Some(prev) = prev {
            bill.part(Part::Put);
            let process = bill.world.process_of(prev);
            self.processes[process as usize].0.put_lazy(bill);
            ensure(&mut self.threads, prev).id = None;
        }
        if let Some(next) = next {
            bill.part(Part::Get);
            let id = Some(self.get(bill, bill.world.process_of(next)));
            *ensure(&mut self.threads, next) = Task { id, last: id };
        }
    }

    fn migrated(&mut self, bill: &mut Bill, thread: u32, from: u32, to: u32) {
        self.migrate_from(bill, thread, from);
        self.migrate_to(bill, thread, to);
    }

    fn id(&self, thread: u32) -> Option<u32> {
        self.threads.get(thread as usize)?.id
    }

    fn held(&self, process: u32) -> u32 {
        self.processes[process as usize].0.mask.taken()
    }
}
