//! What the threads do.

mod bursts;
mod hackbench;
mod pool;
mod roaming;
mod sysbench;

use std::rc::Rc;

use serde::Serialize;

use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;
use crate::machine::Machine;

pub(crate) const MICROSECOND: Time = 1_000;
pub(crate) const MILLISECOND: Time = 1_000_000;

/// A thread that may begin.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its process.
    pub process: u32,
    /// When it begins by itself; `None`: another one spawns it.
    pub start: Option<Time>,
    /// Where it may run at first; `None`: everywhere.
    pub allowed: Option<Rc<CpuSet>>,
}

/// What a thread does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Computes for so long.
    Compute(Time),
    /// Wakes a thread that waits, or will not let it wait once.
    Wake(u32),
    /// Waits until it is woken.
    Wait,
    /// Sleeps for so long.
    Sleep(Time),
    /// Begins a thread that has not begun or has ended.
    Spawn(u32),
    /// From now on a thread may run there only.
    Allow(u32, Rc<CpuSet>),
    /// Ends.
    Exit,
}

/// What the threads do, step by step.
pub trait Workload {
    /// All threads there may be.
    fn threads(&self) -> &[Spec];

    /// The next step of a thread.
    fn step(&mut self, thread: u32, now: Time, dice: &mut Dice) -> Step;

    /// The process whose ids are looked at.
    fn subject(&self) -> u32 {
        0
    }
}

/// The workloads by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Clients in one process, a server process for each.
    Sysbench,
    /// Groups of senders and receivers in one process.
    Hackbench,
    /// Bursts with pauses, beside a thread that is always busy.
    Bursts,
    /// One thread that roams all CPUs.
    Roaming,
    /// A pool that is resized from 4 to 512 to 257 threads.
    Pool,
    /// A tight set of CPUs that is widened.
    Cpuset,
    /// A number of threads that oscillates around the CPUs.
    Oscillate,
}

/// The sizes of a workload that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Threads: clients of sysbench, all of hackbench, bursting ones of bursts, the
    /// largest pool. 0: what suits the machine.
    pub threads: u32,
    /// How long it runs.
    pub duration: Time,
    /// Pause between bursts.
    pub pause: Time,
    /// Between two hops of a roaming thread.
    pub hop: Time,
    /// Where all threads may run; `None`: everywhere.
    #[serde(skip)]
    pub cpuset: Option<CpuSet>,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            threads: 0,
            duration: 1_000 * MILLISECOND,
            pause: 200 * MILLISECOND,
            hop: MILLISECOND,
            cpuset: None,
        }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::Sysbench,
        Kind::Hackbench,
        Kind::Bursts,
        Kind::Roaming,
        Kind::Pool,
        Kind::Cpuset,
        Kind::Oscillate,
    ];

    /// As it is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Sysbench => "sysbench",
            Kind::Hackbench => "hackbench",
            Kind::Bursts => "bursts",
            Kind::Roaming => "roaming",
            Kind::Pool => "pool",
            Kind::Cpuset => "cpuset",
            Kind::Oscillate => "oscillate",
        }
    }

    /// What it does, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Kind::Sysbench => {
                "clients (threads of one process) ask servers (a process each) and wait: about 10 \
                 and 20 microseconds a query"
            }
            Kind::Hackbench => {
                "threads of one process in groups of 20 senders and 20 receivers, a microsecond a \
                 message"
            }
            Kind::Bursts => {
                "bursts of 5 ms with pauses between, beside one thread that never pauses"
            }
            Kind::Roaming => "one thread that is moved to every CPU in turn, in a random order",
            Kind::Pool => "a pool with 4 threads for a third of the time, then 512, then 257",
            Kind::Cpuset => {
                "threads within an eighth of the CPUs for half of the time, then anywhere"
            }
            Kind::Oscillate => {
                "a pool whose size swings from three quarters of the CPUs to five quarters and back in 400 ms"
            }
        }
    }

    /// Threads of the subject, if nobody chose a number.
    fn threads_on(self, machine: &Machine) -> u32 {
        let cpus = machine.cpus();
        match self {
            Kind::Sysbench => cpus,
            Kind::Hackbench => (cpus / 8).max(1) * 40,
            Kind::Bursts => (cpus / 2).max(1),
            Kind::Roaming => 1,
            Kind::Pool => 512,
            Kind::Cpuset => cpus,
            Kind::Oscillate => cpus + cpus / 4 + 1,
        }
    }

    /// Makes it for a machine.
    #[must_use]
    pub fn make(self, machine: &Machine, sizes: &Sizes) -> Box<dyn Workload> {
        let threads = match sizes.threads {
            0 => self.threads_on(machine),
            threads => threads,
        };
        let base = sizes.cpuset.clone().map(Rc::new);
        match self {
            Kind::Sysbench => Box::new(sysbench::Sysbench::new(threads, base)),
            Kind::Hackbench => Box::new(hackbench::Hackbench::new(threads, base)),
            Kind::Bursts => Box::new(bursts::Bursts::new(threads, sizes.pause, base)),
            Kind::Roaming => {
                let cpus = sizes.cpuset.clone();
                let cpus = cpus.unwrap_or_else(|| CpuSet::range(0..machine.cpus()));
                Box::new(roaming::Roaming::new(threads, sizes.hop, &cpus))
            }
            Kind::Pool => Box::new(pool::Pool::resized(threads, sizes.duration, base)),
            Kind::Cpuset => Box::new(pool::Pool::widened(threads, sizes.duration, machine)),
            Kind::Oscillate => Box::new(pool::Pool::oscillating(threads, machine, base)),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let known = Kind::ALL.map(Kind::as_str).join(", ");
            format!("there is no workload '{text}'; the workloads are: {known}")
        })
    }
}

/// Between the beginnings of two threads: somebody makes one after the other.
const APART: Time = 15 * MICROSECOND;

/// Threads of one process that begin with the workload.
fn together(process: u32, threads: u32, allowed: Option<&Rc<CpuSet>>) -> Vec<Spec> {
    let spec = |thread| Spec {
        process,
        start: Some(u64::from(thread) * APART),
        allowed: allowed.cloned(),
    };
    (0..threads).map(spec).collect()
}
