//! A thread keeps the lowest free id from birth to death.

use super::mask::Mask;
use super::{Policy, ensure};
use crate::bill::{Bill, Part};

/// Ids of threads.
#[derive(Debug, Default)]
pub(super) struct OfThreads {
    processes: Vec<Mask>,
    ids: Vec<Option<u32>>,
}

impl Policy for OfThreads {
    fn process(&mut self) {
        self.processes.push(Mask::default());
    }

    fn born(&mut self, bill: &mut Bill, thread: u32) {
        bill.part(Part::Life);
        let mask = &mut self.processes[bill.world.process_of(thread) as usize];
        let id = mask.first_zero(bill);
        mask.test_and_set(bill, id);
        *ensure(&mut self.ids, thread) = Some(id);
    }

    fn died(&mut self, bill: &mut Bill, thread: u32) {
        if let Some(id) = ensure(&mut self.ids, thread).take() {
            self.processes[bill.world.process_of(thread) as usize].clear(bill, id);
        }
    }

    fn switched(&mut self, _: &mut Bill, _: Option<u32>, _: Option<u32>) {}

    fn id(&self, thread: u32) -> Option<u32> {
        self.ids.get(thread as usize).copied().flatten()
    }

    fn held(&self, process: u32) -> u32 {
        self.processes[process as usize].taken()
    }
}
