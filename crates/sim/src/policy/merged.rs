//! Linux 6.4 to 6.18: v6, with an id that moves along, and later with a recent one.
//!
//! ```text
//! switch       as v6, but VALID is always kept and stamped
//! migrate to   the destination has no id, and nobody of the process runs at the
//!              source, whose id is the thread's last: it moves to the destination
//!              the destination has one: the source's is freed, if there are fewer
//!              threads than CPUs
//! tick         as v6; what the running CPUs hold is stamped; then ids at or above the
//!              number of ids in use are dropped too
//! from 6.13    an id: the CPU's recent one if it is free; else a new highest one while
//!              there are fewer than min(threads, CPUs); else the lowest
//! from 6.14    recent ids, and the highest, only below min(threads, CPUs)
//! ```
//!
//! The line of `pcpu_cid` was the one of `mm_count` until Linux 6.5 (c1753fd02a00).
//!
//! Source: commits 223baf9d17f2, 7e019dcc470f, 02d954c0fdf9.

use super::scanned::{Global, is_due, scanned};
use super::slot::{Mm, PERIOD};
use super::{Policy, ensure};
use crate::bill::{Bill, Part};

/// Which Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Since {
    Linux64,
    Linux613,
    Linux614,
}

#[derive(Clone, Copy, Debug, Default)]
struct Task {
    id: Option<u32>,
    last: Option<u32>,
}

/// Linux 6.4 and its successors.
#[derive(Debug)]
pub(super) struct Merged {
    since: Since,
    processes: Vec<Mm>,
    threads: Vec<Task>,
    global: Global,
}

impl Merged {
    pub(super) fn new(since: Since) -> Merged {
        Merged {
            since,
            processes: Vec::new(),
            threads: Vec::new(),
            global: Global::default(),
        }
    }

    /// `__mm_cid_try_get`.
    fn attempt(since: Since, mm: &mut Mm, bill: &mut Bill, process: u32) -> Option<u32> {
        let Mm {
            mask,
            slots,
            most,
            most_line,
            ..
        } = mm;
        if since >= Since::Linux613 {
            let bound = bill.world.processes[process as usize].bound();
            bill.load(most_line);
            if since >= Since::Linux614 && *most > bound {
                bill.rmw(most_line);
                *most = bound;
            }
            if let Some(recent) = slots.get_mut(bill.cpu).recent
                && (since == Since::Linux613 || recent < *most)
                && mask.test_and_set(bill, recent)
            {
                return Some(recent);
            }
            while *most < bound {
                bill.rmw(most_line);
                *most += 1;
                if mask.test_and_set(bill, *most - 1) {
                    return Some(*most - 1);
                }
            }
        }
        let id = mask.first_zero(bill);
        if mask.is_busy(bill, id) {
            bill.spend(bill.costs.near);
            return None;
        }
        mask.test_and_set(bill, id).then_some(id)
    }

    fn get(&mut self, bill: &mut Bill, process: u32) -> u32 {
        let since = self.since;
        let mm = &mut self.processes[process as usize];
        let slot = mm.slots.get_mut(bill.cpu);
        if since == Since::Linux64 {
            bill.load_seen(
                &bill.world.processes[process as usize].count,
                &mut slot.seen,
            );
        } else {
            bill.local();
        }
        slot.read(bill);
        if let Some(id) = slot.valid() {
            slot.time = bill.now();
            bill.local();
            return id;
        }
        if slot.lazy().is_some() {
            slot.unset_and_free(bill, &mut mm.mask);
        }
        let id = self
            .global
            .get(bill, |bill| Self::attempt(since, mm, bill, process));
        let slot = mm.slots.get_mut(bill.cpu);
        slot.time = bill.now();
        slot.recent = Some(id);
        slot.set(bill, id);
        id
    }

    fn scan(&mut self, bill: &mut Bill, process: u32) {
        let since = bill.now();
        Mm::read_all(bill);
        let mm = &mut self.processes[process as usize];
        let mut old = Vec::new();
        for (cpu, slot) in mm.slots.touched() {
            if bill.world.runs(process, cpu) {
                slot.time = bill.now();
            } else if slot.valid().is_some() && bill.now() >= slot.time + PERIOD {
                old.push(cpu);
            }
        }
        for cpu in old {
            mm.clear_remote(bill, process, cpu);
        }
        Mm::read_all(bill);
        let weight = mm.mask.taken();
        let high = mm.slots.touched();
        let high = high.filter(|(_, slot)| slot.valid().is_some_and(|id| id >= weight));
        let high: Vec<u32> = high.map(|(cpu, _)| cpu).collect();
        for cpu in high {
            mm.clear_remote(bill, process, cpu);
        }
        scanned(bill, since);
    }
}

impl Policy for Merged {
    fn process(&mut self) {
        self.processes.push(Mm::default());
    }

    fn born(&mut self, _: &mut Bill, thread: u32) {
        *ensure(&mut self.threads, thread) = Task::default();
    }

    fn died(&mut self, bill: &mut Bill, thread: u32) {
        bill.barrier();
        self.processes[bill.world.process_of(thread) as usize].put(bill);
        *ensure(&mut self.threads, thread) = Task::default();
    }

    fn switched(&mut self, bill: &mut Bill, prev: Option<u32>, next: Option<u32>) {
        if prev.is_none() && next.is_some() {
            bill.part(Part::Get);
            bill.barrier();
        }
        if let Some(prev) = prev {
            bill.part(Part::Put);
            self.processes[bill.world.process_of(prev) as usize].put_lazy(bill);
            ensure(&mut self.threads, prev).id = None;
        }
        if let Some(next) = next {
            bill.part(Part::Get);
            let id = Some(self.get(bill, bill.world.process_of(next)));
            *ensure(&mut self.threads, next) = Task { id, last: id };
        }
    }

    /// `sched_mm_cid_migrate_to`, with the run queue of the destination locked.
    fn migrated(&mut self, bill: &mut Bill, thread: u32, from: u32, to: u32) {
        let process = bill.world.process_of(thread);
        let of = &bill.world.processes[process as usize];
        let mm = &mut self.processes[process as usize];
        let task = ensure(&mut self.threads, thread);
        // The pointer is read by whoever places the thread: never in its cache.
        if self.since == Since::Linux64 {
            bill.load(&of.count);
        }
        let slot = mm.slots.get_mut(to);
        slot.read(bill);
        let is_unset = slot.is_unset();
        if !is_unset && of.users() >= of.allowed_count {
            return;
        }
        let Some(last) = task.last else {
            return;
        };
        let source = mm.slots.get_mut(from);
        source.read(bill);
        if source.valid() != Some(last) {
            return;
        }
        bill.spend(bill.travel_from(from));
        if bill.world.runs(process, from) {
            task.last = None;
            return;
        }
        source.mark(bill);
        let id = source.unset(bill);
        if is_unset {
            let slot = mm.slots.get_mut(to);
            slot.time = bill.now();
            slot.recent = Some(id);
            slot.set(bill, id);
        } else {
            mm.mask.clear(bill, id);
        }
    }

    fn tick(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        if is_due(&mut self.processes[process as usize], bill.now()) {
            self.scan(bill, process);
        }
    }

    fn id(&self, thread: u32) -> Option<u32> {
        self.threads.get(thread as usize)?.id
    }

    fn held(&self, process: u32) -> u32 {
        self.processes[process as usize].mask.taken()
    }
}
