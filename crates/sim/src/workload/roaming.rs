//! Threads that are moved to another CPU all the time: the maintainers' open question.

use std::rc::Rc;

use super::{Spec, Step, Workload, together};
use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;

/// One thread, or more, that never stay.
pub(super) struct Roaming {
    specs: Vec<Spec>,
    hop: Time,
    cpus: Vec<Rc<CpuSet>>,
    computed: Vec<bool>,
}

impl Roaming {
    pub(super) fn new(threads: u32, hop: Time, cpus: &CpuSet) -> Roaming {
        let first = cpus.iter().next().unwrap_or_default();
        let start = Rc::new(CpuSet::from_iter([first]));
        let alone = |cpu| Rc::new(CpuSet::from_iter([cpu]));
        Roaming {
            specs: together(0, threads, Some(&start)),
            hop,
            cpus: cpus.iter().map(alone).collect(),
            computed: vec![false; threads as usize],
        }
    }
}

impl Workload for Roaming {
    fn threads(&self) -> &[Spec] {
        &self.specs
    }

    fn step(&mut self, thread: u32, _: Time, dice: &mut Dice) -> Step {
        let computed = &mut self.computed[thread as usize];
        *computed = !*computed;
        if *computed {
            return Step::Compute(self.hop);
        }
        let cpu = dice.below(self.cpus.len() as u64) as usize;
        Step::Allow(thread, Rc::clone(&self.cpus[cpu]))
    }
}
