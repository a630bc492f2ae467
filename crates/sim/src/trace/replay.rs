//! A trace drives a policy.

use super::Trace;
use super::parse::Happened;
use crate::bill::Time;
use crate::costs::Costs;
use crate::machine::Machine;
use crate::policy::Name;
use crate::report::{Ids, Report, Shares};
use crate::stage::Stage;

const TICK: Time = 4_000_000;

/// Ticks that are made up for when nothing happens for long.
const MOST_TICKS: u64 = 64;

struct Replay {
    stage: Stage,
    alive: Vec<bool>,
    since: Vec<Time>,
    /// CPUs whose threads find their ids gone.
    rejected: Vec<u32>,
    next_tick: Time,
    busy: Time,
    turns: u64,
}

pub(super) fn replay(
    trace: &Trace,
    subject: u32,
    machine: Machine,
    costs: &Costs,
    policy: Name,
) -> Report {
    let mut stage = Stage::new(machine, costs.clone(), policy.make(), subject);
    for &process in &trace.processes {
        while stage.world.processes.len() as u32 <= process {
            stage.add_process();
        }
        stage.add_thread(process);
    }
    while stage.world.processes.len() as u32 <= subject {
        stage.add_process();
    }
    let mut replay = Replay {
        alive: vec![false; trace.processes.len()],
        since: vec![0; machine.cpus() as usize],
        stage,
        rejected: Vec::new(),
        next_tick: TICK,
        busy: 0,
        turns: 0,
    };
    let mut end = 0;
    for record in &trace.records {
        end = record.at;
        replay.ticks(record.at);
        replay.happens(record.at, record.happened);
        replay.effects(record.at);
    }
    for cpu in 0..machine.cpus() {
        replay.account(cpu, end);
        replay.stage.observer.leaves(&replay.stage.world, cpu, end);
    }
    replay.stage.observer.shorten(end);
    replay.stage.observe_windows(end.max(1));
    let Replay {
        stage, busy, turns, ..
    } = replay;
    Report {
        workload: "trace".to_owned(),
        policy: policy.as_str(),
        machine,
        threads: stage.observer.most_threads,
        seed: 0,
        duration: end,
        busy,
        turns,
        shares: Shares::new(&stage.tally, busy, turns),
        ids: Ids::new(&stage.observer),
        tally: stage.tally,
    }
}

impl Replay {
    fn ticks(&mut self, now: Time) {
        self.next_tick = self
            .next_tick
            .max(now.saturating_sub(MOST_TICKS * TICK) / TICK * TICK);
        while self.next_tick <= now {
            for cpu in 0..self.stage.world.machine.cpus() {
                if let Some(thread) = self.stage.world.running(cpu) {
                    self.stage.tick(cpu, thread, self.next_tick);
                }
            }
            self.effects(self.next_tick);
            self.next_tick += TICK;
        }
    }

    fn account(&mut self, cpu: u32, now: Time) {
        if self.stage.world.running(cpu).is_some() {
            self.busy += now - self.since[cpu as usize];
        }
        self.since[cpu as usize] = now;
    }

    fn effects(&mut self, now: Time) {
        self.stage.take_stalls();
        // Whoever was rejected has come to its next section by now.
        for cpu in std::mem::take(&mut self.rejected) {
            if let Some(thread) = self.stage.world.running(cpu)
                && self.stage.id(thread).is_none()
            {
                self.stage.operate(cpu, thread, now);
            }
        }
        self.rejected = self.stage.take_operate();
    }

    fn be_alive(&mut self, cpu: u32, thread: u32, now: Time) {
        if !std::mem::replace(&mut self.alive[thread as usize], true) {
            self.stage.born(cpu, thread, None, now);
        }
    }

    fn switch(&mut self, cpu: u32, next: Option<u32>, died: bool, now: Time) {
        self.account(cpu, now);
        let took = self.stage.switch(cpu, next, died, now);
        if next.is_some() {
            self.stage.settle(cpu, now + took);
        }
        self.turns += u64::from(next.is_some());
    }

    fn happens(&mut self, now: Time, happened: Happened) {
        match happened {
            Happened::Migrate { thread, to } => {
                let from = self.stage.world.threads[thread as usize].cpu;
                // Who is still running was not seen to stop: it moves when it runs next.
                let runs = self.stage.world.running(from) == Some(thread);
                if self.alive[thread as usize] && !runs {
                    self.stage.migrate(to, thread, to, now);
                }
            }
            Happened::Switch {
                cpu,
                prev,
                dies,
                next,
            } => {
                // What ran there before the trace, or after a gap.
                if let Some(prev) = prev
                    && self.stage.world.running(cpu) != Some(prev)
                {
                    self.bring(cpu, prev, now);
                    self.switch(cpu, Some(prev), false, now);
                }
                let died = dies && prev.is_some();
                if let (Some(prev), true) = (prev, died) {
                    self.account(cpu, now);
                    self.stage.died(cpu, prev, now);
                    self.alive[prev as usize] = false;
                }
                if let Some(next) = next {
                    self.bring(cpu, next, now);
                }
                self.switch(cpu, next, died, now);
            }
        }
    }

    /// A thread is to run on a CPU: it is born, or moved there, or not seen to stop.
    fn bring(&mut self, cpu: u32, thread: u32, now: Time) {
        self.be_alive(cpu, thread, now);
        let at = self.stage.world.threads[thread as usize].cpu;
        if at == cpu {
            return;
        }
        if self.stage.world.running(at) == Some(thread) {
            self.switch(at, None, false, now);
        }
        self.stage.migrate(cpu, thread, cpu, now);
    }
}
