//! What policies can see of the scheduler.

use std::rc::Rc;

use crate::bill::{Line, Time};
use crate::costs::Costs;
use crate::cpu_set::CpuSet;
use crate::machine::Machine;

/// No thread: the CPU is idle.
pub const NONE: u32 = u32::MAX;

/// A thread as policies see it.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its process.
    pub process: u32,
    /// Where it runs, waits, or ran last.
    pub cpu: u32,
    /// Where it may run; `None`: everywhere.
    pub allowed: Option<Rc<CpuSet>>,
}

impl Thread {
    /// Whether it may run there.
    #[must_use]
    pub fn may_run_on(&self, cpu: u32) -> bool {
        self.allowed.as_ref().is_none_or(|set| set.contains(cpu))
    }
}

/// A process: the threads of one memory map.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The threads that are alive.
    pub members: Vec<u32>,
    /// CPUs that any of its threads was ever allowed on; only grows.
    pub allowed: CpuSet,
    /// Number of those.
    pub allowed_count: u32,
    /// The line of `mm_count`, which the kernel writes when a CPU goes from a thread
    /// of the process to idle and back.
    pub count: Line,
}

impl Process {
    /// Threads that are alive.
    #[must_use]
    pub fn users(&self) -> u32 {
        self.members.len() as u32
    }

    /// The ids that are needed: `min(threads, allowed CPUs)`.
    #[must_use]
    pub fn bound(&self) -> u32 {
        self.users().min(self.allowed_count)
    }
}

/// The scheduler's state at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// The CPUs.
    pub machine: Machine,
    /// All threads, alive or not.
    pub threads: Vec<Thread>,
    /// All processes.
    pub processes: Vec<Process>,
    /// The thread on each CPU, or [`NONE`].
    pub current: Vec<u32>,
    /// The process whose memory map an idle CPU still borrows, or [`NONE`].
    pub borrowed: Vec<u32>,
}

impl World {
    /// Nobody runs yet.
    #[must_use]
    pub fn new(machine: Machine) -> World {
        World {
            machine,
            threads: Vec::new(),
            processes: Vec::new(),
            current: vec![NONE; machine.cpus() as usize],
            borrowed: vec![NONE; machine.cpus() as usize],
        }
    }

    /// The process of a thread.
    #[must_use]
    pub fn process_of(&self, thread: u32) -> u32 {
        self.threads[thread as usize].process
    }

    /// The thread that runs there.
    #[must_use]
    pub fn running(&self, cpu: u32) -> Option<u32> {
        let thread = self.current.get(cpu as usize).copied();
        thread.filter(|&thread| thread != NONE)
    }

    /// Whether a thread of the process runs there.
    #[must_use]
    pub fn runs(&self, process: u32, cpu: u32) -> bool {
        self.running(cpu)
            .is_some_and(|thread| self.process_of(thread) == process)
    }

    /// A CPU that gets idle keeps the thread's memory map, and counts itself: what that
    /// takes.
    pub(crate) fn borrow(&mut self, cpu: u32, process: u32, now: Time, costs: &Costs) -> Time {
        self.borrowed[cpu as usize] = process;
        let count = &mut self.processes[process as usize].count;
        count.occupy(&self.machine, costs, cpu, now)
    }

    /// It gives the map back when it runs a thread again: what that takes.
    pub(crate) fn give_back(&mut self, cpu: u32, now: Time, costs: &Costs) -> Time {
        let process = std::mem::replace(&mut self.borrowed[cpu as usize], NONE);
        match self.processes.get_mut(process as usize) {
            Some(process) => process.count.occupy(&self.machine, costs, cpu, now),
            None => 0,
        }
    }
}
