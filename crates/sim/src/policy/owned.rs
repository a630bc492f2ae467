//! Linux 6.19: tasks own their ids; where there are more tasks than CPUs, CPUs do.
//!
//! ```text
//! limits     wanted = min(threads, CPUs allowed)
//!            max = wanted + wanted / 4, at most the machine's CPUs
//! mode       more threads than max                     ids of CPUs
//!            fewer than min(wanted * 3/4, CPUs / 2)    ids of tasks
//!            decided when a thread begins or ends, or may run on more CPUs
//! switch     prev: an id in transition is dropped
//!            next: the task's id, or the CPU's; one at or above max is exchanged if a
//!            lower one is free
//! change     whoever began or ended goes through all threads (to CPUs) or all CPUs (to
//!            tasks): ids of who runs are marked as in transition, others are freed.
//!            Until that is done, ids that are handed out are in transition, too.
//! ```
//!
//! The fix-up is done at once here, and takes as long as it takes; the mode stays in
//! transition for that time.
//!
//! Source: sched: Rewrite MM CID management, October 2025, and its later fixes.

use super::mask::Mask;
use super::per_cpu::PerCpu;
use super::{Policy, ensure};
use crate::bill::{Bill, Line, Lock, Part, Time};

const UNSET: u32 = 1 << 31;
const ON_CPU: u32 = 1 << 30;
const TRANSIT: u32 = 1 << 29;

fn on_cpu(word: u32) -> bool {
    word & ON_CPU != 0
}

fn on_task(word: u32) -> bool {
    word < TRANSIT
}

/// The word of a CPU, or of a task.
#[derive(Clone, Copy, Debug)]
struct Word(u32);

impl Default for Word {
    fn default() -> Word {
        Word(UNSET)
    }
}

#[derive(Debug, Default)]
struct Mm {
    mask: Mask,
    mutex: Lock,
    lock: Lock,
    limits: Line,
    cpus: PerCpu<Word>,
    seen: PerCpu<u32>,
    max: u32,
    /// Ids of tasks again when there are fewer threads than this; 0 while they are.
    threshold: u32,
    per_cpu: bool,
    transit_until: Time,
}

/// Linux 6.19.
#[derive(Debug, Default)]
pub(super) struct Owned {
    processes: Vec<Mm>,
    tasks: Vec<Word>,
}

impl Mm {
    fn drop_id(&mut self, bill: &mut Bill, id: u32) {
        self.mask.clear(bill, id);
    }

    fn try_get(&mut self, bill: &mut Bill, below: u32) -> Option<u32> {
        let id = self.mask.first_zero(bill);
        (id < below && self.mask.test_and_set(bill, id)).then_some(id)
    }

    fn get(&mut self, bill: &mut Bill) -> u32 {
        let possible = bill.world.machine.cpus();
        self.try_get(bill, self.max)
            .or_else(|| self.try_get(bill, possible))
            // The kernel would spin here until one is given back.
            .unwrap_or(UNSET)
    }

    fn converge(&mut self, bill: &mut Bill, word: u32) -> u32 {
        let id = word & !ON_CPU;
        if id < self.max {
            return word;
        }
        match self.try_get(bill, self.max) {
            Some(lower) => {
                self.drop_id(bill, id);
                lower | word & ON_CPU
            }
            None => word,
        }
    }

    fn drop_on_cpu(&mut self, bill: &mut Bill, cpu: u32) {
        let word = self.cpus.get_mut(cpu);
        if on_cpu(word.0) {
            word.0 &= !ON_CPU;
            let id = word.0;
            self.drop_id(bill, id);
        }
    }

    /// `mm_update_max_cids`: whether the mode has to change.
    fn update(&mut self, bill: &mut Bill, users: u32, allowed: u32) -> bool {
        let possible = bill.world.machine.cpus();
        let wanted = users.min(allowed);
        self.max = (wanted + wanted / 4).min(possible);
        bill.store(&mut self.limits);
        if !self.per_cpu {
            if users > self.max {
                self.threshold = (wanted - wanted / 4).min(possible / 2).max(1);
            }
        } else if users < self.threshold {
            self.threshold = 0;
        }
        self.per_cpu != (self.threshold != 0)
    }
}

impl Owned {
    fn mm(&mut self, bill: &Bill, thread: u32) -> (&mut Mm, &mut Vec<Word>) {
        let process = bill.world.process_of(thread);
        (&mut self.processes[process as usize], &mut self.tasks)
    }

    /// Changes the mode, and what everybody holds.
    fn change(&mut self, bill: &mut Bill, process: u32) {
        let mm = &mut self.processes[process as usize];
        mm.per_cpu = !mm.per_cpu;
        bill.barrier();
        if mm.per_cpu {
            for &thread in &bill.world.processes[process as usize].members {
                let cpu = bill.world.threads[thread as usize].cpu;
                // The run queue's lock.
                bill.spend(bill.travel_from(cpu) + bill.costs.rmw);
                let task = ensure(&mut self.tasks, thread);
                if !on_task(task.0) {
                    continue;
                }
                if bill.world.running(cpu) == Some(thread) {
                    task.0 |= TRANSIT;
                    mm.cpus.get_mut(cpu).0 = task.0;
                } else {
                    let id = std::mem::replace(&mut task.0, UNSET);
                    mm.drop_id(bill, id);
                }
            }
        } else {
            for cpu in 0..bill.world.machine.cpus() {
                bill.spend(bill.travel_from(cpu) + bill.costs.rmw);
                let running = bill.world.running(cpu);
                let running = running.filter(|&it| bill.world.process_of(it) == process);
                match (running, on_cpu(mm.cpus.get(cpu).map_or(0, |word| word.0))) {
                    (Some(thread), true) => {
                        let word = mm.cpus.get_mut(cpu);
                        word.0 = word.0 & !ON_CPU | TRANSIT;
                        ensure(&mut self.tasks, thread).0 = word.0;
                    }
                    (None, true) => mm.drop_on_cpu(bill, cpu),
                    (Some(thread), false) => {
                        let task = ensure(&mut self.tasks, thread);
                        if on_task(task.0) {
                            task.0 |= TRANSIT;
                            mm.cpus.get_mut(cpu).0 = task.0;
                        }
                    }
                    (None, false) => {}
                }
            }
        }
        bill.barrier();
        mm.transit_until = bill.now();
        bill.count(|tally| tally.mode_changes += 1);
    }

    fn schedule_out(&mut self, bill: &mut Bill, thread: u32) {
        let (mm, tasks) = self.mm(bill, thread);
        let task = ensure(tasks, thread);
        bill.local();
        if task.0 != UNSET && task.0 & TRANSIT != 0 {
            let id = task.0 & !TRANSIT;
            task.0 = UNSET;
            mm.drop_id(bill, id);
        }
    }

    fn schedule_in(&mut self, bill: &mut Bill, thread: u32) {
        let (mm, tasks) = self.mm(bill, thread);
        let task = ensure(tasks, thread);
        let here = bill.cpu;
        // The limits and the pointer, in a line of their own, and this CPU's word.
        bill.load_seen(&mm.limits, mm.seen.get_mut(here));
        bill.local();
        let cpu = mm.cpus.get_mut(here).0;
        let in_transit = bill.now() < mm.transit_until;
        let word = if mm.per_cpu {
            if on_cpu(cpu & task.0) {
                mm.converge(bill, cpu)
            } else {
                let mut word = cpu;
                if on_task(task.0) {
                    if on_cpu(cpu) {
                        mm.drop_id(bill, task.0);
                        task.0 = UNSET;
                    } else {
                        word = task.0 | ON_CPU;
                    }
                }
                if !on_cpu(word) {
                    word = mm.get(bill) | ON_CPU;
                }
                if in_transit {
                    word = word & !ON_CPU | TRANSIT;
                }
                word
            }
        } else if on_task(task.0 | cpu) {
            mm.converge(bill, task.0)
        } else {
            let mut word = task.0;
            if on_cpu(cpu) {
                if on_task(task.0) {
                    mm.drop_on_cpu(bill, here);
                } else {
                    word = cpu & !ON_CPU;
                }
            }
            if !on_task(word) {
                word = mm.get(bill);
            }
            if in_transit {
                word |= TRANSIT;
            }
            word
        };
        bill.local();
        mm.cpus.get_mut(here).0 = word;
        *task = Word(word);
    }
}

impl Policy for Owned {
    fn process(&mut self) {
        self.processes.push(Mm::default());
    }

    fn born(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        let of = &bill.world.processes[process as usize];
        let (users, allowed) = (of.users(), of.allowed_count);
        let (mm, tasks) = self.mm(bill, thread);
        bill.lock(&mut mm.mutex);
        bill.lock(&mut mm.lock);
        *ensure(tasks, thread) = Word::default();
        let changes = mm.update(bill, users, allowed);
        if users == 1 || !changes && !mm.per_cpu {
            let id = mm.get(bill);
            *ensure(tasks, thread) = Word(id);
        }
        bill.unlock(&mut mm.lock);
        if changes {
            self.change(bill, process);
            let (mm, tasks) = self.mm(bill, thread);
            if !mm.per_cpu {
                *ensure(tasks, thread) = Word(mm.get(bill));
            }
        }
        let (mm, _) = self.mm(bill, thread);
        bill.unlock(&mut mm.mutex);
    }

    fn died(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        let of = &bill.world.processes[process as usize];
        let (users, allowed) = (of.users(), of.allowed_count);
        let (mm, tasks) = self.mm(bill, thread);
        bill.lock(&mut mm.mutex);
        bill.lock(&mut mm.lock);
        let word = std::mem::take(ensure(tasks, thread)).0 & !TRANSIT;
        if on_task(word) {
            mm.drop_id(bill, word);
        }
        if users == 0 {
            mm.drop_on_cpu(bill, bill.cpu);
        }
        let changes = mm.update(bill, users, allowed);
        if changes {
            mm.drop_on_cpu(bill, bill.cpu);
        }
        bill.unlock(&mut mm.lock);
        if changes {
            self.change(bill, process);
        }
        let (mm, _) = self.mm(bill, thread);
        bill.unlock(&mut mm.mutex);
    }

    fn switched(&mut self, bill: &mut Bill, prev: Option<u32>, next: Option<u32>) {
        if let Some(prev) = prev {
            bill.part(Part::Put);
            self.schedule_out(bill, prev);
        }
        if let Some(next) = next {
            bill.part(Part::Get);
            self.schedule_in(bill, next);
        }
    }

    fn allowed(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        let of = &bill.world.processes[process as usize];
        let (users, allowed) = (of.users(), of.allowed_count);
        let (mm, _) = self.mm(bill, thread);
        bill.lock(&mut mm.lock);
        let wanted = users.min(allowed);
        if mm.per_cpu {
            // The change itself is deferred to a worker, a moment later.
            mm.threshold = (wanted - wanted / 4)
                .min(bill.world.machine.cpus() / 2)
                .max(1);
        }
        let changes = mm.update(bill, users, allowed);
        bill.unlock(&mut mm.lock);
        if changes {
            self.change(bill, process);
        }
    }

    fn id(&self, thread: u32) -> Option<u32> {
        let word = self.tasks.get(thread as usize)?.0;
        (word & UNSET == 0).then_some(word & !(ON_CPU | TRANSIT))
    }

    fn held(&self, process: u32) -> u32 {
        self.processes[process as usize].mask.taken()
    }
}
