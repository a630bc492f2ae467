//! Linux 6.3: an id at every switch, under a lock of the process.
//!
//! ```text
//! switch_mm_cid(prev, next):
//!   same process        next takes prev's id
//!   otherwise           lock; clear prev's bit; unlock;  lock; find and set next's; unlock
//! ```
//!
//! Source: commit af7f588d8f73; its removed lines stand in the patches that replaced it.

use super::mask::Mask;
use super::{Policy, ensure};
use crate::bill::{Bill, Lock, Part};

#[derive(Debug, Default)]
struct Mm {
    lock: Lock,
    mask: Mask,
}

/// Linux 6.3.
#[derive(Debug, Default)]
pub(super) struct Locked {
    processes: Vec<Mm>,
    ids: Vec<Option<u32>>,
}

impl Locked {
    fn put(&mut self, bill: &mut Bill, thread: u32) {
        let Some(id) = ensure(&mut self.ids, thread).take() else {
            return;
        };
        let mm = &mut self.processes[bill.world.process_of(thread) as usize];
        bill.lock(&mut mm.lock);
        mm.mask.clear_plainly(bill, id);
        bill.unlock(&mut mm.lock);
    }

    fn get(&mut self, bill: &mut Bill, thread: u32) {
        let mm = &mut self.processes[bill.world.process_of(thread) as usize];
        bill.lock(&mut mm.lock);
        let id = mm.mask.take_plainly(bill);
        bill.unlock(&mut mm.lock);
        *ensure(&mut self.ids, thread) = Some(id);
    }
}

impl Policy for Locked {
    fn process(&mut self) {
        self.processes.push(Mm::default());
    }

    fn born(&mut self, _: &mut Bill, thread: u32) {
        *ensure(&mut self.ids, thread) = None;
    }

    fn died(&mut self, bill: &mut Bill, thread: u32) {
        self.put(bill, thread);
    }

    fn switched(&mut self, bill: &mut Bill, prev: Option<u32>, next: Option<u32>) {
        if let (Some(prev), Some(next)) = (prev, next)
            && bill.world.process_of(prev) == bill.world.process_of(next)
        {
            bill.part(Part::Get);
            bill.local();
            let id = ensure(&mut self.ids, prev).take();
            *ensure(&mut self.ids, next) = id;
            return;
        }
        if let Some(prev) = prev {
            bill.part(Part::Put);
            self.put(bill, prev);
        }
        if let Some(next) = next {
            bill.part(Part::Get);
            self.get(bill, next);
        }
    }

    fn id(&self, thread: u32) -> Option<u32> {
        self.ids.get(thread as usize).copied().flatten()
    }

    fn held(&self, process: u32) -> u32 {
        self.processes[process as usize].mask.taken()
    }
}
