//! Threads that are moved to another CPU all the time, to each in turn: the maintainers'
//! open question.

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
    /// The CPUs of each thread's round that are left.
    rounds: Vec<Vec<usize>>,
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
            rounds: vec![Vec::new(); threads as usize],
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
        let round = &mut self.rounds[thread as usize];
        if round.is_empty() {
            round.extend(0..self.cpus.len());
            dice.shuffle(round);
        }
        match round.pop() {
            Some(cpu) => Step::Allow(thread, Rc::clone(&self.cpus[cpu])),
            None => Step::Compute(self.hop),
        }
    }
}
