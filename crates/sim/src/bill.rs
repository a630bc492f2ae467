//! What the steps of a policy cost the CPU that makes them.
//!
//! # Model
//!
//! A [`Line`] is in the cache of the CPU that wrote it last. Whoever else reads or
//! changes it waits for it to travel, which depends on the distance. Read-modify-writes
//! of one line, and holders of one [`Lock`], come one after the other, in the order of
//! simulated time: who comes later waits until the line or the lock is free.
//!
//! Handing a contended lock on moves three lines: the holder's store takes the lock's
//! line from the first waiter, who reads it back and then writes it (a queued spin lock,
//! whose waiters spin each on a line of their own). A free lock that another CPU held
//! last moves one.
//!
//! What a policy does in one step is done at once: no other CPU sees it half done. So
//! compare-and-swaps never fail here, but for those whose line is on its way at that
//! moment. Interleavings are the business of the checker in percid-cid.

use serde::Serialize;

use crate::costs::Costs;
use crate::machine::{Distance, Machine};
use crate::world::World;

/// Simulated time, in nanoseconds.
pub type Time = u64;

/// A cache line that CPUs share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    owner: u32,
    version: u32,
    free_at: Time,
}

impl Default for Line {
    fn default() -> Line {
        Line {
            owner: NOBODY,
            version: 0,
            free_at: 0,
        }
    }
}

/// A line that nobody has touched is cold, and moves like one of the same L3.
const NOBODY: u32 = u32::MAX;

impl Line {
    fn write_by(&mut self, cpu: u32) {
        self.owner = cpu;
        self.version = self.version.wrapping_add(1);
    }

    /// An atomic read-modify-write that is not the policy's: what it takes.
    pub(crate) fn occupy(&mut self, machine: &Machine, costs: &Costs, cpu: u32, now: Time) -> Time {
        let wait = self.free_at.saturating_sub(now);
        let took = wait + travel(machine, costs, self.owner, cpu) + costs.rmw;
        self.write_by(cpu);
        self.free_at = now + took;
        took
    }

    /// Whether somebody has changed it since that version.
    pub(crate) fn has_changed_since(&self, seen: u32) -> bool {
        self.version != seen
    }

    /// Whether a change of it is on its way at this time.
    pub(crate) fn is_busy(&self, now: Time) -> bool {
        self.free_at > now
    }
}

/// Steps of one CPU are simulated at once, and others in between that come before some of
/// them. For lines that does not matter within this time.
const SOON: Time = 2_000;

/// How long a line takes from one CPU to another.
fn travel(machine: &Machine, costs: &Costs, from: u32, to: u32) -> Time {
    if from == NOBODY {
        return costs.near;
    }
    match machine.distance(from, to) {
        Distance::Here => 0,
        Distance::L3 => costs.near,
        Distance::Node => costs.node,
        Distance::Far => costs.far,
    }
}

/// A spin lock in a line of its own.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    line: Line,
    taken_at: Time,
    free_at: Time,
}

/// What a step is part of: profiles of kernels name functions, and so do we.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Getting an id when a thread is switched to.
    Get,
    /// Giving one back when a thread is switched away from.
    Put,
    /// Because a thread changed its CPU.
    Migrate,
    /// Periodic work.
    Scan,
    /// Threads that begin, end or change their affinity.
    Life,
    /// The slow paths of sections that were rejected.
    Slow,
}

/// How many kinds of parts there are.
pub(crate) const PARTS: usize = 6;

/// What a run has cost so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Context switches.
    pub switches: u64,
    /// Threads that changed their CPU.
    pub migrations: u64,
    /// Atomic read-modify-writes for ids.
    pub rmws: u64,
    /// Lock acquisitions for ids.
    pub locks: u64,
    /// Of those, the ones that waited.
    pub locks_waited: u64,
    /// Time that they waited, and that the lock took to be handed on.
    pub lock_wait: Time,
    /// Time that locks were held.
    pub lock_hold: Time,
    /// Full barriers that a CPU made for itself.
    pub barriers: u64,
    /// Barriers across CPUs.
    pub fences: u64,
    /// CPUs that those interrupted.
    pub interrupts: u64,
    /// Time that the interrupted lost.
    pub stalled: Time,
    /// Times that the ids of a process were gone through.
    pub scans: u64,
    /// The longest of those.
    pub longest_scan: Time,
    /// Changes between ids of tasks and ids of CPUs.
    pub mode_changes: u64,
    /// Operations that found no id and went to a fallback.
    pub fallbacks: u64,
    /// Time by part: get, put, migrate, scan, life, slow.
    pub time: [Time; PARTS],
}

impl Tally {
    /// Time that ids have cost, without what interrupted CPUs lost.
    #[must_use]
    pub fn id_time(&self) -> Time {
        self.time.iter().sum()
    }

    /// Time of one part.
    #[must_use]
    pub fn of(&self, part: Part) -> Time {
        self.time[part as usize]
    }
}

/// What a policy's step means for other CPUs.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Interrupted CPUs.
    pub(crate) stalls: Vec<u32>,
    /// CPUs whose thread finds its id gone at its next section.
    pub(crate) operate: Vec<u32>,
}

/// Collects what one CPU does for ids, from one moment on.
#[derive(Debug)]
pub struct Bill<'a> {
    /// The scheduler as it is now.
    pub world: &'a World,
    /// The cost model.
    pub costs: &'a Costs,
    /// The CPU that acts.
    pub cpu: u32,
    start: Time,
    now: Time,
    part: Part,
    tally: &'a mut Tally,
    effects: &'a mut Effects,
}

impl<'a> Bill<'a> {
    pub(crate) fn new(
        world: &'a World,
        costs: &'a Costs,
        (cpu, now, part): (u32, Time, Part),
        tally: &'a mut Tally,
        effects: &'a mut Effects,
    ) -> Bill<'a> {
        Bill {
            world,
            costs,
            cpu,
            start: now,
            now,
            part,
            tally,
            effects,
        }
    }

    /// The moment that the CPU has come to.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// What follows is part of this.
    pub fn part(&mut self, part: Part) {
        self.part = part;
    }

    /// Time passes.
    pub fn spend(&mut self, time: Time) {
        self.now += time;
        self.tally.time[self.part as usize] += time;
    }

    /// Counts.
    pub fn count(&mut self, count: impl FnOnce(&mut Tally)) {
        count(self.tally);
    }

    /// How long a line takes from a CPU to this one.
    #[must_use]
    pub fn travel_from(&self, from: u32) -> Time {
        travel(&self.world.machine, self.costs, from, self.cpu)
    }

    /// A load or store of what this CPU has.
    pub fn local(&mut self) {
        self.spend(self.costs.hit);
    }

    /// A load of a line that is in nobody's cache but the last writer's. It waits its
    /// turn where others change it all the time.
    pub fn load(&mut self, line: &Line) {
        let wait = match line.owner == self.cpu {
            true => 0,
            false => line.free_at.saturating_sub(self.now),
        };
        self.spend(wait + self.travel_from(line.owner) + self.costs.hit);
    }

    /// A load of a line of which this CPU has seen that version.
    pub fn load_seen(&mut self, line: &Line, seen: &mut u32) {
        if *seen == line.version {
            self.local();
        } else {
            *seen = line.version;
            self.load(line);
        }
    }

    /// A plain store: a store buffer hides the way of the line.
    pub fn store(&mut self, line: &mut Line) {
        self.local();
        line.write_by(self.cpu);
    }

    /// A load and then a plain store of the same line: it travels twice, to be read
    /// and to be owned.
    pub fn load_store(&mut self, line: &mut Line) {
        self.spend(2 * (self.travel_from(line.owner) + self.costs.hit));
        line.write_by(self.cpu);
    }

    /// An atomic read-modify-write.
    pub fn rmw(&mut self, line: &mut Line) {
        let wait = line.free_at.saturating_sub(self.now);
        self.spend(wait + self.travel_from(line.owner) + self.costs.rmw);
        line.write_by(self.cpu);
        // What comes after a long wait has not happened yet, as others see it.
        if self.now - self.start < SOON {
            line.free_at = self.now;
        }
        self.tally.rmws += 1;
    }

    /// Takes a lock.
    pub fn lock(&mut self, lock: &mut Lock) {
        let wait = lock.free_at.saturating_sub(self.now);
        let travel = self.travel_from(lock.line.owner);
        self.tally.locks += 1;
        self.tally.rmws += 1;
        if wait > 0 {
            let handed = wait + 3 * travel;
            self.tally.locks_waited += 1;
            self.tally.lock_wait += handed;
            self.spend(handed + self.costs.rmw);
        } else {
            self.spend(travel + self.costs.rmw);
        }
        lock.line.write_by(self.cpu);
        lock.taken_at = self.now;
        lock.free_at = self.now;
    }

    /// Gives it back.
    pub fn unlock(&mut self, lock: &mut Lock) {
        self.local();
        self.tally.lock_hold += self.now - lock.taken_at;
        lock.free_at = self.now;
    }

    /// A full barrier of this CPU.
    pub fn barrier(&mut self) {
        self.tally.barriers += 1;
        self.spend(self.costs.barrier);
    }

    /// A membarrier for one CPU.
    pub fn fence(&mut self, process: u32, cpu: u32, kernel: &mut Lock) {
        self.fence_where(process, cpu..cpu + 1, kernel);
    }

    /// A membarrier for all CPUs.
    pub fn fence_all(&mut self, process: u32, kernel: &mut Lock) {
        self.fence_where(process, 0..self.world.machine.cpus(), kernel);
    }

    fn fence_where(&mut self, process: u32, cpus: std::ops::Range<u32>, kernel: &mut Lock) {
        let before = self.effects.stalls.len();
        for cpu in cpus {
            if cpu != self.cpu && self.world.runs(process, cpu) {
                self.effects.stalls.push(cpu);
            }
        }
        let victims = (self.effects.stalls.len() - before) as u64;
        self.tally.fences += 1;
        self.tally.interrupts += victims;
        self.tally.stalled += victims * self.costs.stall;
        if victims == 0 {
            self.spend(self.costs.fence_idle);
            return;
        }
        // The kernel sends the interrupts of one membarrier after another. A sleeping
        // lock of its own, so it is not counted among those of ids.
        let wait = kernel.free_at.saturating_sub(self.now);
        self.spend(wait + self.costs.fence + (victims - 1) * self.costs.fence_more);
        kernel.free_at = self.now;
    }

    /// The thread on that CPU finds its id gone at its next section.
    pub fn rejects(&mut self, cpu: u32) {
        self.effects.operate.push(cpu);
    }
}
