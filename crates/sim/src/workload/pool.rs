//! A pool of workers that a manager resizes, or whose CPUs it changes.

use std::rc::Rc;

use super::{MICROSECOND, MILLISECOND, Spec, Step, Workload, together};
use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;
use crate::machine::Machine;

/// A worker's piece of work, and its rest.
const WORK: Time = 200 * MICROSECOND;
const REST: Time = 20 * MICROSECOND;

/// An oscillating pool is as large again after this.
const SWING: Time = 400 * MILLISECOND;

/// How often the manager looks.
const LOOK: Time = MILLISECOND;

/// How large the pool is to be.
enum Plan {
    /// 4, then all, then half and one.
    Resized { duration: Time, most: u32 },
    /// All the time the same; the CPUs change at half-time.
    Widened { at: Time, to: Rc<CpuSet> },
    /// From so many to so many and back.
    Oscillating { least: u32, most: u32 },
}

impl Plan {
    fn size(&self, now: Time, all: u32) -> u32 {
        match *self {
            Plan::Resized { duration, most } => match 3 * now / duration.max(1) {
                0 => 4.min(most),
                1 => most,
                _ => most / 2 + 1,
            },
            Plan::Widened { .. } => all,
            Plan::Oscillating { least, most } => {
                let swing = SWING;
                let phase = now % swing;
                let way = phase.min(swing - phase) * 2;
                least + ((u64::from(most - least) * way) / swing) as u32
            }
        }
    }
}

/// Thread 0 is the manager, the others are workers.
pub(super) struct Pool {
    specs: Vec<Spec>,
    plan: Plan,
    /// Workers that are to run: the first so many.
    wanted: u32,
    alive: Vec<bool>,
    rests: Vec<bool>,
    /// The next worker whose CPUs the manager widens.
    widened: Option<u32>,
}

impl Pool {
    fn new(workers: u32, begun: u32, plan: Plan, allowed: Option<&Rc<CpuSet>>) -> Pool {
        let mut specs = together(0, workers + 1, allowed);
        for spec in specs.iter_mut().skip(begun as usize + 1) {
            spec.start = None;
        }
        let alive = (0..=workers).map(|worker| worker <= begun).collect();
        Pool {
            specs,
            plan,
            wanted: begun,
            alive,
            rests: vec![false; workers as usize + 1],
            widened: None,
        }
    }

    /// 4 workers, then `most`, then half of it and one, a third of the time each.
    pub(super) fn resized(most: u32, duration: Time, allowed: Option<Rc<CpuSet>>) -> Pool {
        let plan = Plan::Resized { duration, most };
        Pool::new(most, 4.min(most), plan, allowed.as_ref())
    }

    /// An eighth of the CPUs for half of the time, then all.
    pub(super) fn widened(workers: u32, duration: Time, machine: &Machine) -> Pool {
        let tight = Rc::new(CpuSet::range(0..(machine.cpus() / 8).max(1)));
        let plan = Plan::Widened {
            at: duration / 2,
            to: Rc::new(CpuSet::range(0..machine.cpus())),
        };
        Pool::new(workers, workers, plan, Some(&tight))
    }

    /// Around the number of CPUs.
    pub(super) fn oscillating(most: u32, machine: &Machine, allowed: Option<Rc<CpuSet>>) -> Pool {
        let least = (machine.cpus() - machine.cpus() / 4).min(most);
        let plan = Plan::Oscillating { least, most };
        Pool::new(most, least, plan, allowed.as_ref())
    }

    fn manage(&mut self, now: Time) -> Step {
        let workers = self.alive.len() as u32 - 1;
        self.wanted = self.plan.size(now, workers);
        let missing = (1..=self.wanted).find(|&worker| !self.alive[worker as usize]);
        if let Some(worker) = missing {
            self.alive[worker as usize] = true;
            return Step::Spawn(worker);
        }
        if let Plan::Widened { at, to } = &self.plan
            && now >= *at
        {
            let worker = self.widened.get_or_insert(0);
            if *worker <= workers {
                *worker += 1;
                return Step::Allow(*worker - 1, Rc::clone(to));
            }
        }
        Step::Sleep(LOOK)
    }
}

impl Workload for Pool {
    fn threads(&self) -> &[Spec] {
        &self.specs
    }

    fn step(&mut self, thread: u32, now: Time, dice: &mut Dice) -> Step {
        if thread == 0 {
            return self.manage(now);
        }
        let rests = &mut self.rests[thread as usize];
        *rests = !*rests;
        if !*rests && thread > self.wanted {
            self.alive[thread as usize] = false;
            return Step::Exit;
        }
        if *rests {
            Step::Compute(dice.around(WORK))
        } else {
            Step::Sleep(dice.around(REST))
        }
    }
}
