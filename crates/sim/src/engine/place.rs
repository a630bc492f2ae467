//! Where threads go.
//!
//! As Linux does, in outline: a woken thread goes to its last CPU, or to the waker's if
//! that is another L3 and a coin says so; if that is busy, to an idle CPU of the same L3;
//! if there is none, it queues. A CPU that gets idle takes a thread from the longest
//! queue of its L3, and once in a millisecond from elsewhere. At its tick a busy CPU with
//! a queue gives a thread to an idle CPU, if there is one.

use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;
use crate::machine::Machine;
use crate::world::World;

/// Between two looks of an idle CPU at other L3 groups.
const FAR_LOOK: Time = 1_000_000;

/// Who waits where.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) idle: CpuSet,
    queues: Vec<std::collections::VecDeque<u32>>,
    queued_in_l3: Vec<u32>,
    looked_far: Vec<Time>,
    machine: Machine,
}

impl Places {
    pub(super) fn new(machine: Machine) -> Places {
        let cpus = machine.cpus() as usize;
        Places {
            idle: CpuSet::range(0..machine.cpus()),
            queues: vec![Default::default(); cpus],
            queued_in_l3: vec![0; machine.l3_groups() as usize],
            looked_far: vec![0; cpus],
            machine,
        }
    }

    pub(super) fn queued(&self, cpu: u32) -> usize {
        self.queues[cpu as usize].len()
    }

    pub(super) fn push_back(&mut self, cpu: u32, thread: u32) {
        self.queues[cpu as usize].push_back(thread);
        self.queued_in_l3[self.machine.l3_of(cpu) as usize] += 1;
    }

    pub(super) fn push_front(&mut self, cpu: u32, thread: u32) {
        self.queues[cpu as usize].push_front(thread);
        self.queued_in_l3[self.machine.l3_of(cpu) as usize] += 1;
    }

    pub(super) fn pop(&mut self, cpu: u32) -> Option<u32> {
        let thread = self.queues[cpu as usize].pop_front()?;
        self.queued_in_l3[self.machine.l3_of(cpu) as usize] -= 1;
        Some(thread)
    }

    /// Takes a certain thread out of a queue; whether it was there.
    pub(super) fn remove(&mut self, cpu: u32, thread: u32) -> bool {
        let queue = &mut self.queues[cpu as usize];
        let Some(place) = queue.iter().position(|&it| it == thread) else {
            return false;
        };
        queue.remove(place);
        self.queued_in_l3[self.machine.l3_of(cpu) as usize] -= 1;
        true
    }

    /// Where a thread that was woken goes.
    pub(super) fn choose(&self, world: &World, thread: u32, waker: u32, dice: &mut Dice) -> u32 {
        let it = &world.threads[thread as usize];
        let machine = &self.machine;
        let may = |cpu: u32| it.may_run_on(cpu);
        let mut target = it.cpu;
        if machine.l3_of(target) != machine.l3_of(waker) && may(waker) && dice.coin() {
            target = waker;
        }
        if !may(target) {
            let all = 0..machine.cpus();
            let set = it.allowed.as_ref().expect("it may not run everywhere");
            return self
                .idle
                .first_in(all.clone(), target, may)
                .or_else(|| set.first_in(all, dice.below(machine.cpus().into()) as u32, |_| true))
                .unwrap_or(target);
        }
        for cpu in [target, it.cpu] {
            if self.idle.contains(cpu) && may(cpu) {
                return cpu;
            }
        }
        let group = machine.cpus_of_l3(machine.l3_of(target));
        self.idle.first_in(group, target + 1, may).unwrap_or(target)
    }

    /// Whom a CPU that has nothing to do takes from another: the thread, and where it is.
    pub(super) fn pull(&mut self, world: &World, cpu: u32, now: Time) -> Option<(u32, u32)> {
        let mine = self.machine.l3_of(cpu);
        if let Some(found) = self.pull_from(world, cpu, mine) {
            return Some(found);
        }
        if now < self.looked_far[cpu as usize] {
            return None;
        }
        self.looked_far[cpu as usize] = now + FAR_LOOK;
        let groups = self.queued_in_l3.iter().zip(0..);
        let (_, busiest) = groups
            .filter(|(queued, _)| **queued > 0)
            .max_by_key(|(queued, l3)| (**queued, std::cmp::Reverse(*l3)))?;
        self.pull_from(world, cpu, busiest)
    }

    /// A queued thread of a busy CPU, and an idle CPU for it: what the kernel's idle
    /// balancer does, which a tick of a busy CPU wakes.
    pub(super) fn push(&mut self, world: &World, cpu: u32) -> Option<(u32, u32)> {
        let thread = *self.queues[cpu as usize].front()?;
        let may = |cpu: u32| world.threads[thread as usize].may_run_on(cpu);
        let group = self.machine.cpus_of_l3(self.machine.l3_of(cpu));
        let all = 0..self.machine.cpus();
        let to = self
            .idle
            .first_in(group, cpu, may)
            .or_else(|| self.idle.first_in(all, cpu, may))?;
        self.remove(cpu, thread);
        Some((thread, to))
    }

    fn pull_from(&mut self, world: &World, cpu: u32, l3: u32) -> Option<(u32, u32)> {
        if self.queued_in_l3[l3 as usize] == 0 {
            return None;
        }
        let from = self
            .machine
            .cpus_of_l3(l3)
            // Who waits for an idle CPU to begin is not taken from it.
            .filter(|&other| other != cpu && world.running(other).is_some())
            .max_by_key(|&other| (self.queued(other), std::cmp::Reverse(other)))?;
        let queue = &self.queues[from as usize];
        if queue.is_empty() {
            return None;
        }
        let may = |thread: &&u32| world.threads[**thread as usize].may_run_on(cpu);
        let thread = *queue.iter().find(may)?;
        self.remove(from, thread);
        Some((thread, from))
    }
}
