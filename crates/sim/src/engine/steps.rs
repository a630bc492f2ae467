//! What a thread does next: computing, waking, waiting, sleeping, starting others.

use std::rc::Rc;

use super::queue::Event;
use super::{Engine, SLICE, Status};
use crate::cpu_set::CpuSet;
use crate::workload::Step;

/// More steps than this without time passing are a mistake of the workload.
const MOST_STEPS: u32 = 100_000;

impl Engine {
    /// The thread's next steps, up to one that takes time.
    pub(super) fn steps(&mut self, cpu: u32, thread: u32) {
        for _ in 0..MOST_STEPS {
            let step = self.workload.step(thread, self.now, &mut self.dice);
            match step {
                Step::Compute(time) => {
                    let it = &mut self.cpus[cpu as usize];
                    it.done = self.now + time + std::mem::take(&mut it.debt);
                    if self.now >= it.slice_end {
                        if self.places.queued(cpu) > 0 {
                            self.preempt(cpu, thread);
                            return;
                        }
                        self.cpus[cpu as usize].slice_end = self.now + SLICE;
                    }
                    self.replan(cpu);
                    return;
                }
                Step::Wake(other) => {
                    self.cpus[cpu as usize].debt += self.stage.costs.wake;
                    self.wake(other, cpu);
                    if self.stage.world.running(cpu) != Some(thread) {
                        // The woken one took its place.
                        return;
                    }
                }
                Step::Wait => {
                    let it = &mut self.threads[thread as usize];
                    if it.wakes > 0 {
                        it.wakes -= 1;
                        continue;
                    }
                    it.status = Status::Waiting;
                    self.dispatch(cpu, false);
                    return;
                }
                Step::Sleep(time) => {
                    self.threads[thread as usize].status = Status::Sleeping;
                    self.queue.push(self.now + time, Event::Awake { thread });
                    self.dispatch(cpu, false);
                    return;
                }
                Step::Spawn(other) => {
                    self.cpus[cpu as usize].debt += self.stage.costs.fork;
                    self.spawn(other, cpu);
                }
                Step::Allow(other, set) => {
                    if self.allow(other, set, cpu) {
                        return;
                    }
                }
                Step::Exit => {
                    let took = self.stage.died(cpu, thread, self.now);
                    self.cpus[cpu as usize].debt += took;
                    self.threads[thread as usize].status = Status::Unborn;
                    self.threads[thread as usize].wakes = 0;
                    self.dispatch(cpu, true);
                    return;
                }
            }
        }
        unreachable!("thread {thread} of the workload does not let time pass");
    }

    fn wake(&mut self, thread: u32, waker: u32) {
        let it = &mut self.threads[thread as usize];
        match it.status {
            Status::Waiting => self.place(thread, waker),
            Status::Unborn => {}
            _ => it.wakes += 1,
        }
    }

    pub(super) fn spawn(&mut self, thread: u32, parent: u32) {
        if self.threads[thread as usize].status != Status::Unborn {
            return;
        }
        let spec = self.workload.threads()[thread as usize].clone();
        let took = self.stage.born(parent, thread, spec.allowed, self.now);
        self.owe(parent, took);
        self.threads[thread as usize].left = 0;
        // A new thread has no CPU to come back to: it is placed, not migrated.
        let cpu = self
            .places
            .choose(&self.stage.world, thread, parent, &mut self.dice);
        self.stage.world.threads[thread as usize].cpu = cpu;
        self.enqueue(thread, cpu);
    }

    /// Whether the thread that says so is switched away.
    fn allow(&mut self, thread: u32, set: Rc<CpuSet>, cpu: u32) -> bool {
        let took = self.stage.allow(cpu, thread, Rc::clone(&set), self.now);
        self.cpus[cpu as usize].debt += took;
        let at = self.stage.world.threads[thread as usize].cpu;
        if set.contains(at) {
            return false;
        }
        match self.threads[thread as usize].status {
            Status::Running if at == cpu => {
                self.threads[thread as usize].left = 0;
                self.threads[thread as usize].status = Status::Queued;
                self.dispatch_then_place(cpu, thread);
                return true;
            }
            Status::Running => {
                let left = self.cpus[at as usize].done.saturating_sub(self.now);
                self.threads[thread as usize].left = left;
                self.threads[thread as usize].status = Status::Queued;
                self.dispatch_then_place(at, thread);
            }
            Status::Queued if self.places.remove(at, thread) => self.place(thread, cpu),
            _ => {}
        }
        false
    }

    fn dispatch_then_place(&mut self, cpu: u32, thread: u32) {
        self.dispatch(cpu, false);
        self.place(thread, cpu);
    }
}
