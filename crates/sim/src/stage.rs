//! A policy with the world that it sees: what schedulers and traces drive.

use std::rc::Rc;

use crate::bill::{Bill, Effects, Part, Tally, Time};
use crate::costs::Costs;
use crate::cpu_set::CpuSet;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::policy::Policy;
use crate::world::{NONE, Process, Thread, World};

/// A policy, the world that it sees, and who watches.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) costs: Costs,
    pub(crate) tally: Tally,
    pub(crate) observer: Observer,
    policy: Box<dyn Policy>,
    effects: Effects,
}

impl Stage {
    pub(crate) fn new(
        machine: Machine,
        costs: Costs,
        policy: Box<dyn Policy>,
        subject: u32,
    ) -> Stage {
        Stage {
            world: World::new(machine),
            costs,
            tally: Tally::default(),
            observer: Observer::new(subject),
            policy,
            effects: Effects::default(),
        }
    }

    /// A process more.
    pub(crate) fn add_process(&mut self) -> u32 {
        self.world.processes.push(Process::default());
        self.policy.process();
        self.world.processes.len() as u32 - 1
    }

    /// A thread more, not yet begun.
    pub(crate) fn add_thread(&mut self, process: u32) -> u32 {
        self.world.threads.push(Thread {
            process,
            cpu: 0,
            allowed: None,
        });
        self.world.threads.len() as u32 - 1
    }

    fn charge(
        &mut self,
        cpu: u32,
        now: Time,
        part: Part,
        step: impl FnOnce(&mut dyn Policy, &mut Bill),
    ) -> Time {
        let Stage {
            world,
            costs,
            tally,
            policy,
            effects,
            ..
        } = self;
        let mut bill = Bill::new(world, costs, (cpu, now, part), tally, effects);
        step(policy.as_mut(), &mut bill);
        bill.now() - now
    }

    fn widen(&mut self, process: u32, allowed: Option<&CpuSet>) {
        let cpus = self.world.machine.cpus();
        let process = &mut self.world.processes[process as usize];
        if process.allowed_count == cpus {
            return;
        }
        match allowed {
            Some(set) => process.allowed.add_all(set),
            None => process.allowed = CpuSet::range(0..cpus),
        }
        process.allowed_count = process.allowed.count().min(cpus);
    }

    /// A thread begins; `cpu` makes it.
    pub(crate) fn born(
        &mut self,
        cpu: u32,
        thread: u32,
        allowed: Option<Rc<CpuSet>>,
        now: Time,
    ) -> Time {
        let process = self.world.process_of(thread);
        self.widen(process, allowed.as_deref());
        self.world.processes[process as usize].members.push(thread);
        let it = &mut self.world.threads[thread as usize];
        it.allowed = allowed;
        it.cpu = cpu;
        self.charge(cpu, now, Part::Life, |policy, bill| {
            policy.born(bill, thread);
        })
    }

    /// The thread that runs there ends. A switch follows.
    pub(crate) fn died(&mut self, cpu: u32, thread: u32, now: Time) -> Time {
        let process = self.world.process_of(thread);
        self.observer.leaves(&self.world, cpu, now);
        let members = &mut self.world.processes[process as usize].members;
        if let Some(place) = members.iter().position(|&it| it == thread) {
            members.swap_remove(place);
        }
        self.charge(cpu, now, Part::Life, |policy, bill| {
            policy.died(bill, thread);
        })
    }

    /// A CPU goes from the thread it runs, which may have died, to another: what that
    /// takes, apart from the switch itself.
    pub(crate) fn switch(
        &mut self,
        cpu: u32,
        next: Option<u32>,
        prev_died: bool,
        now: Time,
    ) -> Time {
        let prev = self.world.running(cpu);
        self.observer.leaves(&self.world, cpu, now);
        self.observe_windows(now);
        self.world.current[cpu as usize] = next.unwrap_or(NONE);
        if let Some(next) = next {
            self.world.threads[next as usize].cpu = cpu;
        }
        let mut lent = 0;
        if let (Some(prev), None) = (prev, next) {
            let process = self.world.process_of(prev);
            lent = self.world.borrow(cpu, process, now, &self.costs);
        }
        self.tally.switches += 1;
        let took = self.charge(cpu, now + lent, Part::Get, |policy, bill| {
            policy.switched(bill, prev.filter(|_| !prev_died), next);
        });
        if let Some(next) = next {
            let id = self.policy.id(next);
            self.observer.enters(&self.world, cpu, next, id, now);
            self.check_alone(cpu, next);
        }
        lent + took
    }

    /// After a switch from idle, as in `finish_task_switch()`: what it takes to give the
    /// map back that the CPU had kept.
    pub(crate) fn settle(&mut self, cpu: u32, now: Time) -> Time {
        self.world.give_back(cpu, now, &self.costs)
    }

    /// What every policy is for: nobody else of the process runs under that id.
    fn check_alone(&self, cpu: u32, thread: u32) {
        if cfg!(debug_assertions)
            && let Some(id) = self.policy.id(thread)
        {
            let process = self.world.process_of(thread);
            for (&other, at) in self.world.current.iter().zip(0..) {
                if at != cpu && other != NONE && self.world.process_of(other) == process {
                    assert_ne!(
                        self.policy.id(other),
                        Some(id),
                        "two CPUs, {cpu} and {at}, run process {process} under one id"
                    );
                }
            }
        }
    }

    /// A thread that does not run goes to another CPU; `cpu` moves it.
    pub(crate) fn migrate(&mut self, cpu: u32, thread: u32, to: u32, now: Time) -> Time {
        let from = self.world.threads[thread as usize].cpu;
        if from == to {
            return 0;
        }
        self.world.threads[thread as usize].cpu = to;
        self.tally.migrations += 1;
        self.charge(cpu, now, Part::Migrate, |policy, bill| {
            policy.migrated(bill, thread, from, to);
        })
    }

    /// A thread may run elsewhere from now on; `cpu` says so.
    pub(crate) fn allow(&mut self, cpu: u32, thread: u32, allowed: Rc<CpuSet>, now: Time) -> Time {
        let process = self.world.process_of(thread);
        let before = self.world.processes[process as usize].allowed_count;
        self.widen(process, Some(&allowed));
        self.world.threads[thread as usize].allowed = Some(allowed);
        if self.world.processes[process as usize].allowed_count == before {
            return 0;
        }
        self.charge(cpu, now, Part::Life, |policy, bill| {
            policy.allowed(bill, thread);
        })
    }

    /// The tick of a CPU that runs a thread.
    pub(crate) fn tick(&mut self, cpu: u32, thread: u32, now: Time) -> Time {
        self.charge(cpu, now, Part::Scan, |policy, bill| {
            policy.tick(bill, thread);
        })
    }

    /// The next section of the thread on a CPU.
    pub(crate) fn operate(&mut self, cpu: u32, thread: u32, now: Time) -> Time {
        self.observer.leaves(&self.world, cpu, now);
        let took = self.charge(cpu, now, Part::Slow, |policy, bill| {
            policy.operate(bill, thread);
        });
        let id = self.policy.id(thread);
        self.observer.enters(&self.world, cpu, thread, id, now);
        self.check_alone(cpu, thread);
        took
    }

    /// Closes the windows of the observer that are over.
    pub(crate) fn observe_windows(&mut self, now: Time) {
        if self.observer.is_over(now) {
            let held = self.policy.held(self.observer.subject());
            self.observer.close(&self.world, held, now);
        }
    }

    /// CPUs that were interrupted since it was asked last.
    pub(crate) fn take_stalls(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.effects.stalls)
    }

    /// CPUs whose threads will find their ids gone.
    pub(crate) fn take_operate(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.effects.operate)
    }

    /// The id of a thread that runs.
    pub(crate) fn id(&self, thread: u32) -> Option<u32> {
        self.policy.id(thread)
    }

    /// Ids that are taken in the first process.
    #[cfg(test)]
    pub(crate) fn held(&self) -> u32 {
        self.policy.held(0)
    }

    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.stalls.is_empty() || !self.effects.operate.is_empty()
    }
}
