//! The scheduler: CPUs, run queues, slices, wake-ups and migrations, event by event.
//!
//! # Model
//!
//! Each CPU runs one thread and has a queue. A thread runs until it waits, sleeps or
//! ends, or until its slice of 3 ms is over and others are queued; a woken thread takes
//! the place of one that has run for a millisecond. A tick comes every 4 ms to every CPU.
//! Where threads go is said in [`place`]. All chance comes from one seed, and events at
//! the same time happen in the order in which they were made: the same seed gives the
//! same run.
//!
//! What a policy costs, the CPU that pays cannot do otherwise: a lock that is waited for
//! delays the switch that waits, and everything after it.

mod place;
mod queue;
mod steps;
mod turns;

use self::place::Places;
use self::queue::{Event, Queue};
use crate::bill::Time;
use crate::dice::Dice;
use crate::stage::Stage;
use crate::workload::Workload;

const SLICE: Time = 3_000_000;
const TICK: Time = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Unborn,
    Running,
    Queued,
    Waiting,
    Sleeping,
}

#[derive(Clone, Debug)]
struct Thread {
    status: Status,
    /// What is left of its computation.
    left: Time,
    /// Wake-ups that it has not waited for yet.
    wakes: u32,
}

#[derive(Clone, Debug, Default)]
struct Cpu {
    /// Number of the plan; events of others are stale.
    plan: u32,
    /// Number of the thread's turn.
    run: u32,
    /// When the switch to the thread began.
    since: Time,
    slice_end: Time,
    /// When the thread's computation is done.
    done: Time,
    /// Time that the CPU owes before it goes on.
    debt: Time,
    /// An idle CPU is still busy with its last switch.
    free_at: Time,
}

/// The scheduler of a run.
pub(crate) struct Engine {
    pub(crate) stage: Stage,
    /// CPU time that was not idle.
    pub(crate) busy: Time,
    /// Times that a thread was switched to.
    pub(crate) turns: u64,
    workload: Box<dyn Workload>,
    dice: Dice,
    queue: Queue,
    places: Places,
    cpus: Vec<Cpu>,
    threads: Vec<Thread>,
    now: Time,
}

impl Engine {
    pub(crate) fn new(mut stage: Stage, workload: Box<dyn Workload>, dice: Dice) -> Engine {
        let machine = stage.world.machine;
        let mut queue = Queue::default();
        for (index, spec) in (0..).zip(workload.threads()) {
            while stage.world.processes.len() as u32 <= spec.process {
                stage.add_process();
            }
            let thread = stage.add_thread(spec.process);
            debug_assert_eq!(thread, index);
            if let Some(at) = spec.start {
                queue.push(at, Event::Start { thread });
            }
        }
        for cpu in 0..machine.cpus() {
            // Ticks are spread over their period.
            let at = TICK * u64::from(cpu) / u64::from(machine.cpus());
            queue.push(at, Event::Tick { cpu });
        }
        let thread = Thread {
            status: Status::Unborn,
            left: 0,
            wakes: 0,
        };
        Engine {
            threads: vec![thread; stage.world.threads.len()],
            stage,
            busy: 0,
            turns: 0,
            workload,
            dice,
            queue,
            places: Places::new(machine),
            cpus: vec![Cpu::default(); machine.cpus() as usize],
            now: 0,
        }
    }

    /// Runs until that time; `passed` is told now and then how far it is.
    pub(crate) fn run(&mut self, until: Time, passed: &mut dyn FnMut(Time)) {
        let mut told = 0;
        while let Some((at, event)) = self.queue.pop() {
            if at >= until {
                break;
            }
            self.now = at;
            if at - told >= until / 100 {
                passed(at - told);
                told = at;
            }
            self.happens(event);
            if self.stage.has_effects() {
                self.spread_effects();
            }
        }
        self.now = until;
        for cpu in 0..self.cpus.len() as u32 {
            if self.stage.world.running(cpu).is_some() {
                self.busy += until.saturating_sub(self.cpus[cpu as usize].since);
            }
            self.stage.observer.leaves(&self.stage.world, cpu, until);
        }
        self.stage.observer.shorten(until);
        self.stage.observe_windows(until);
        passed(until - told);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Plan { cpu, plan } => {
                if self.cpus[cpu as usize].plan == plan {
                    self.plan_ends(cpu);
                }
            }
            Event::Begin { cpu } => {
                if self.stage.world.running(cpu).is_none() && self.places.queued(cpu) > 0 {
                    self.dispatch(cpu, false);
                }
            }
            Event::Operate { cpu, run } => {
                if self.cpus[cpu as usize].run == run
                    && let Some(thread) = self.stage.world.running(cpu)
                {
                    let took = self.stage.operate(cpu, thread, self.now);
                    self.delay(cpu, took);
                }
            }
            Event::Settle { cpu } => {
                let took = self.stage.settle(cpu, self.now);
                self.delay(cpu, took);
            }
            Event::Tick { cpu } => self.tick(cpu),
            Event::Awake { thread } => {
                if self.threads[thread as usize].status == Status::Sleeping {
                    let cpu = self.stage.world.threads[thread as usize].cpu;
                    self.place(thread, cpu);
                }
            }
            Event::Start { thread } => {
                let cpus = u64::from(self.stage.world.machine.cpus());
                let spec = &self.workload.threads()[thread as usize];
                let all = 0..cpus as u32;
                let near = self.dice.below(cpus) as u32;
                let cpu = match &spec.allowed {
                    Some(set) => set.first_in(all, near, |_| true).unwrap_or(near),
                    None => near,
                };
                self.spawn(thread, cpu);
            }
        }
    }

    /// Interrupted CPUs lose time; threads whose id was taken come to their next section.
    fn spread_effects(&mut self) {
        let stall = self.stage.costs.stall;
        for cpu in self.stage.take_stalls() {
            self.delay(cpu, stall);
        }
        let at = self.now + self.stage.costs.operation;
        for cpu in self.stage.take_operate() {
            let run = self.cpus[cpu as usize].run;
            self.queue.push(at, Event::Operate { cpu, run });
        }
    }

    /// The thread of a CPU gets on later.
    fn delay(&mut self, cpu: u32, time: Time) {
        if time > 0 && self.stage.world.running(cpu).is_some() {
            self.cpus[cpu as usize].done += time;
            self.replan(cpu);
        }
    }

    fn replan(&mut self, cpu: u32) {
        let queued = self.places.queued(cpu) > 0;
        let it = &mut self.cpus[cpu as usize];
        it.plan = it.plan.wrapping_add(1);
        let at = if queued {
            it.done.min(it.slice_end.max(self.now))
        } else {
            it.done
        };
        let plan = it.plan;
        self.queue.push(at, Event::Plan { cpu, plan });
    }

    fn plan_ends(&mut self, cpu: u32) {
        let Some(thread) = self.stage.world.running(cpu) else {
            return;
        };
        let it = &self.cpus[cpu as usize];
        if self.now < it.done {
            // The slice is over, and others wait.
            if self.places.queued(cpu) > 0 {
                self.preempt(cpu, thread);
            } else {
                self.replan(cpu);
            }
        } else {
            self.steps(cpu, thread);
        }
    }

    /// A CPU pays, if it is running somebody.
    fn owe(&mut self, cpu: u32, time: Time) {
        if self.stage.world.running(cpu).is_some() {
            self.cpus[cpu as usize].debt += time;
        }
    }
}
