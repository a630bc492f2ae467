//! Whose turn it is on a CPU, and where a thread that can run goes.

use super::queue::Event;
use super::{Engine, SLICE, Status, TICK};
use crate::bill::Time;

/// A thread that has run for so long gives way to one that is woken.
const PREEMPTS_AFTER: Time = 1_000_000;

/// A CPU looks at the queues of its L3 every so many ticks.
const BALANCE_TICKS: u64 = 16;

impl Engine {
    /// A thread that can run goes somewhere.
    pub(super) fn place(&mut self, thread: u32, waker: u32) {
        let cpu = self
            .places
            .choose(&self.stage.world, thread, waker, &mut self.dice);
        let took = self.stage.migrate(waker, thread, cpu, self.now);
        self.owe(waker, took);
        self.enqueue(thread, cpu);
    }

    pub(super) fn enqueue(&mut self, thread: u32, cpu: u32) {
        self.threads[thread as usize].status = Status::Queued;
        let Some(current) = self.stage.world.running(cpu) else {
            self.places.push_back(cpu, thread);
            self.places.idle.remove(cpu);
            let at = self.cpus[cpu as usize].free_at.max(self.now);
            self.queue.push(at, Event::Begin { cpu });
            return;
        };
        let it = &self.cpus[cpu as usize];
        // Who is in the middle of its steps is not preempted.
        if self.now > it.since + PREEMPTS_AFTER && it.done > self.now {
            self.places.push_front(cpu, thread);
            self.preempt(cpu, current);
        } else {
            self.places.push_back(cpu, thread);
            if it.done > self.now {
                self.replan(cpu);
            }
        }
    }

    pub(super) fn preempt(&mut self, cpu: u32, thread: u32) {
        let left = self.cpus[cpu as usize].done.saturating_sub(self.now);
        let it = &mut self.threads[thread as usize];
        it.left = left;
        it.status = Status::Queued;
        self.places.push_back(cpu, thread);
        self.dispatch(cpu, false);
    }

    /// A CPU goes to the next thread, or idle.
    pub(super) fn dispatch(&mut self, cpu: u32, died: bool) {
        let next = match self.places.pop(cpu) {
            Some(next) => Some(next),
            None => match self.places.pull(&self.stage.world, cpu, self.now) {
                Some((thread, _)) => {
                    let took = self.stage.migrate(cpu, thread, cpu, self.now);
                    self.cpus[cpu as usize].debt += took;
                    Some(thread)
                }
                None => None,
            },
        };
        if self.stage.world.running(cpu).is_some() {
            self.busy += self.now - self.cpus[cpu as usize].since;
        }
        let was_idle = self.stage.world.running(cpu).is_none();
        let owed = std::mem::take(&mut self.cpus[cpu as usize].debt);
        let ids = self.stage.switch(cpu, next, died, self.now + owed);
        let took = owed + self.stage.costs.switch + ids;
        let it = &mut self.cpus[cpu as usize];
        it.run = it.run.wrapping_add(1);
        match next {
            Some(thread) => {
                self.turns += 1;
                self.places.idle.remove(cpu);
                it.since = self.now;
                it.slice_end = self.now + took + SLICE;
                let mine = &mut self.threads[thread as usize];
                mine.status = Status::Running;
                it.done = self.now + took + std::mem::take(&mut mine.left);
                self.replan(cpu);
                if was_idle {
                    self.queue.push(self.now + took, Event::Settle { cpu });
                }
            }
            None => {
                it.plan = it.plan.wrapping_add(1);
                it.free_at = self.now + took;
                self.busy += took;
                if self.places.queued(cpu) == 0 {
                    self.places.idle.insert(cpu);
                }
            }
        }
    }

    pub(super) fn tick(&mut self, cpu: u32) {
        self.queue.push(self.now + TICK, Event::Tick { cpu });
        let Some(thread) = self.stage.world.running(cpu) else {
            return;
        };
        let took = self.stage.tick(cpu, thread, self.now);
        self.delay(cpu, took);
        if let Some((thread, to)) = self.places.push(&self.stage.world, cpu) {
            let took = self.stage.migrate(cpu, thread, to, self.now);
            self.delay(cpu, took);
            self.enqueue(thread, to);
        }
        let number = self.now / TICK + u64::from(cpu);
        if number.is_multiple_of(BALANCE_TICKS) && self.places.queued(cpu) == 0 {
            self.balance(cpu);
        }
    }

    /// A CPU with nobody queued takes one from a queue of two or more.
    fn balance(&mut self, cpu: u32) {
        if let Some((thread, from)) = self.places.pull(&self.stage.world, cpu, self.now) {
            if self.places.queued(from) == 0 {
                // It would only change its queue.
                self.places.push_back(from, thread);
                return;
            }
            let took = self.stage.migrate(cpu, thread, cpu, self.now);
            self.places.push_back(cpu, thread);
            self.delay(cpu, took);
            self.replan(cpu);
        }
    }
}
