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

use std::rc::Rc;

use self::place::Places;
use self::queue::{Event, Queue};
use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;
use crate::stage::Stage;
use crate::workload::{Step, Workload};

const SLICE: Time = 3_000_000;
const PREEMPTS_AFTER: Time = 1_000_000;
const TICK: Time = 4_000_000;
/// A CPU looks at the queues of its L3 every so many ticks.
const BALANCE_TICKS: u64 = 16;

/// More steps than this without time passing are a mistake of the workload.
const MOST_STEPS: u32 = 100_000;

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

    fn preempt(&mut self, cpu: u32, thread: u32) {
        let left = self.cpus[cpu as usize].done.saturating_sub(self.now);
        let it = &mut self.threads[thread as usize];
        it.left = left;
        it.status = Status::Queued;
        self.places.push_back(cpu, thread);
        self.dispatch(cpu, false);
    }

    /// The thread's next steps, up to one that takes time.
    fn steps(&mut self, cpu: u32, thread: u32) {
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

    fn spawn(&mut self, thread: u32, parent: u32) {
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

    /// A CPU pays, if it is running somebody.
    fn owe(&mut self, cpu: u32, time: Time) {
        if self.stage.world.running(cpu).is_some() {
            self.cpus[cpu as usize].debt += time;
        }
    }

    /// A thread that can run goes somewhere.
    fn place(&mut self, thread: u32, waker: u32) {
        let cpu = self
            .places
            .choose(&self.stage.world, thread, waker, &mut self.dice);
        let took = self.stage.migrate(waker, thread, cpu, self.now);
        self.owe(waker, took);
        self.enqueue(thread, cpu);
    }

    fn enqueue(&mut self, thread: u32, cpu: u32) {
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

    /// A CPU goes to the next thread, or idle.
    fn dispatch(&mut self, cpu: u32, died: bool) {
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

    fn tick(&mut self, cpu: u32) {
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
