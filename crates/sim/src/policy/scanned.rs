//! RFC v6: an id per CPU, taken back by a periodic scan.
//!
//! ```text
//! switch   prev: a LAZY slot is dropped
//!          next: VALID is kept; one that was allocated more than 100 ms ago is
//!                exchanged if a lower one is free, and otherwise stamped anew
//!                UNSET: find and set without a lock; who loses a race takes a lock
//!                of the whole system, and so does everybody until it is done
//! tick     100 ms after the last scan the thread goes through all CPUs on its way back
//!          to user space: ids older than 100 ms of CPUs that do not run the process
//!          go from VALID to LAZY to UNSET and are freed
//! ```
//!
//! There are no hooks: a thread that migrates gets an id of its new CPU.
//!
//! Source: [RFC PATCH v6] of 13 April 2023.

use super::slot::{Mm, PERIOD};
use super::{Policy, ensure};
use crate::bill::{Bill, Lock, Part, Time};

/// How ids are found without a lock, in all versions from 5 to Linux 6.18.
#[derive(Debug, Default)]
pub(super) struct Global {
    /// `cid_lock`: one for the system.
    lock: Lock,
    /// `use_cid_lock` is set until then.
    used_until: Time,
}

impl Global {
    /// `__mm_cid_get`: `attempt` is `__mm_cid_try_get`.
    pub(super) fn get(
        &mut self,
        bill: &mut Bill,
        mut attempt: impl FnMut(&mut Bill) -> Option<u32>,
    ) -> u32 {
        if bill.now() >= self.used_until {
            if let Some(id) = attempt(bill) {
                return id;
            }
            bill.lock(&mut self.lock);
        } else {
            bill.lock(&mut self.lock);
            if let Some(id) = attempt(bill) {
                bill.unlock(&mut self.lock);
                return id;
            }
        }
        let id = loop {
            if let Some(id) = attempt(bill) {
                break id;
            }
        };
        bill.unlock(&mut self.lock);
        self.used_until = bill.now();
        id
    }
}

/// Whether a scan of the process is due; if so, the next one is a period later.
pub(super) fn is_due(mm: &mut Mm, now: Time) -> bool {
    if mm.next_scan == 0 {
        mm.next_scan = PERIOD;
    }
    if now < mm.next_scan {
        return false;
    }
    mm.next_scan = now + PERIOD;
    true
}

/// Counts a scan.
pub(super) fn scanned(bill: &mut Bill, since: Time) {
    let took = bill.now() - since;
    bill.count(|tally| {
        tally.scans += 1;
        tally.longest_scan = tally.longest_scan.max(took);
    });
}

/// RFC v6.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    processes: Vec<Mm>,
    ids: Vec<Option<u32>>,
    global: Global,
}

impl Scanned {
    fn get(&mut self, bill: &mut Bill, process: u32) -> u32 {
        let mm = &mut self.processes[process as usize];
        let slot = mm.slots.get_mut(bill.cpu);
        bill.load_seen(
            &bill.world.processes[process as usize].count,
            &mut slot.seen,
        );
        slot.read(bill);
        if let Some(id) = slot.valid() {
            if bill.now() <= slot.time + PERIOD {
                return id;
            }
            if mm.mask.first_zero(bill) >= id {
                slot.time = bill.now();
                bill.local();
                return id;
            }
            mm.put(bill);
        } else if slot.lazy().is_some() {
            slot.unset_and_free(bill, &mut mm.mask);
        }
        let mask = &mut mm.mask;
        let id = self.global.get(bill, |bill| {
            let id = mask.first_zero(bill);
            let raced = mask.is_busy(bill, id);
            if raced {
                // Somebody else got that bit while the line was on its way.
                bill.spend(bill.costs.near);
                return None;
            }
            mask.test_and_set(bill, id).then_some(id)
        });
        let slot = mm.slots.get_mut(bill.cpu);
        slot.time = bill.now();
        slot.set(bill, id);
        id
    }

    fn clear_old(&mut self, bill: &mut Bill, process: u32) {
        let since = bill.now();
        Mm::read_all(bill);
        let mm = &mut self.processes[process as usize];
        let now = bill.now();
        let old = mm.slots.touched().filter(|(cpu, slot)| {
            slot.valid().is_some() && now >= slot.time + PERIOD && !bill.world.runs(process, *cpu)
        });
        let old: Vec<u32> = old.map(|(cpu, _)| cpu).collect();
        for cpu in old {
            mm.clear_remote(bill, process, cpu);
        }
        scanned(bill, since);
    }
}

impl Policy for Scanned {
    fn process(&mut self) {
        self.processes.push(Mm::default());
    }

    fn born(&mut self, _: &mut Bill, thread: u32) {
        *ensure(&mut self.ids, thread) = None;
    }

    fn died(&mut self, bill: &mut Bill, thread: u32) {
        bill.barrier();
        self.processes[bill.world.process_of(thread) as usize].put(bill);
        *ensure(&mut self.ids, thread) = None;
    }

    fn switched(&mut self, bill: &mut Bill, prev: Option<u32>, next: Option<u32>) {
        // Kernel to user: the barrier that switch_mm() does not give.
        if prev.is_none() && next.is_some() {
            bill.part(Part::Get);
            bill.barrier();
        }
        if let Some(prev) = prev {
            bill.part(Part::Put);
            self.processes[bill.world.process_of(prev) as usize].put_lazy(bill);
            *ensure(&mut self.ids, prev) = None;
        }
        if let Some(next) = next {
            bill.part(Part::Get);
            let id = self.get(bill, bill.world.process_of(next));
            *ensure(&mut self.ids, next) = Some(id);
        }
    }

    fn tick(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        if is_due(&mut self.processes[process as usize], bill.now()) {
            self.clear_old(bill, process);
        }
    }

    fn id(&self, thread: u32) -> Option<u32> {
        self.ids.get(thread as usize).copied().flatten()
    }

    fn held(&self, process: u32) -> u32 {
        self.processes[process as usize].mask.taken()
    }
}
