//! The policies: who gets which id, and when it is taken back.
//!
//! | policy | what it is | source |
//! | --- | --- | --- |
//! | [`Name::Linux63`] | an id at every switch, under a lock of the process | af7f588d8f73, Linux 6.3 |
//! | [`Name::V3`] | an id per CPU; hooks at both ends of a migration | RFC v3, 5 April 2023 |
//! | [`Name::V6`] | an id per CPU; a periodic scan takes idle ones back | RFC v6, 13 April 2023 |
//! | [`Name::Linux64`] | v6, and an id that moves with a migrating thread | 223baf9d17f2, Linux 6.4 |
//! | [`Name::Linux613`] | the same, and a CPU's recent id is tried first | 7e019dcc470f, Linux 6.13 |
//! | [`Name::Linux614`] | the same, and recent ids only below the bound | 02d954c0fdf9, Linux 6.14 |
//! | [`Name::Linux619`] | ids of tasks, or of CPUs where there are more tasks | the rewrite of October 2025, Linux 6.19 |
//! | [`Name::Strict`], [`Name::Relaxed`] | this project's `Domain`, in user space | percid-cid |
//! | [`Name::Thread`] | the lowest free id from birth to death | as in many libraries |
//!
//! The kernels' machines are written from their published patches, the domain's runs
//! percid-cid's own procedures.

mod domain;
mod hooks;
mod locked;
mod mask;
mod merged;
mod owned;
mod per_cpu;
mod scanned;
mod slot;
#[cfg(test)]
mod tests;
mod thread;

use serde::Serialize;

use crate::bill::Bill;

/// A policy as the scheduler drives it. Threads and processes are numbers; what a step
/// costs is said to the [`Bill`], whose world shows the scheduler as it is *after* the
/// change that the call is about.
pub trait Policy {
    /// A process begins.
    fn process(&mut self);

    /// A thread is made, by whoever runs on the bill's CPU.
    fn born(&mut self, bill: &mut Bill, thread: u32);

    /// The thread on the bill's CPU ends; it is no member any more.
    fn died(&mut self, bill: &mut Bill, thread: u32);

    /// The bill's CPU goes from one thread to another. `prev` is `None` too if it has
    /// died.
    fn switched(&mut self, bill: &mut Bill, prev: Option<u32>, next: Option<u32>);

    /// A thread that does not run was put on another CPU.
    fn migrated(&mut self, bill: &mut Bill, thread: u32, from: u32, to: u32) {
        let _ = (bill, thread, from, to);
    }

    /// A thread may run elsewhere from now on.
    fn allowed(&mut self, bill: &mut Bill, thread: u32) {
        let _ = (bill, thread);
    }

    /// The scheduler's tick finds a thread on the bill's CPU.
    fn tick(&mut self, bill: &mut Bill, thread: u32) {
        let _ = (bill, thread);
    }

    /// A section of the thread on the bill's CPU, whose id may be gone.
    fn operate(&mut self, bill: &mut Bill, thread: u32) {
        let _ = (bill, thread);
    }

    /// The id that a thread runs under now.
    fn id(&self, thread: u32) -> Option<u32>;

    /// Ids that are taken in a process.
    fn held(&self, process: u32) -> u32;
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Name {
    /// Linux 6.3.
    #[serde(rename = "linux-6.3")]
    Linux63,
    /// Version 3 of the patch.
    #[serde(rename = "rfc-v3")]
    V3,
    /// Version 6 of the patch.
    #[serde(rename = "rfc-v6")]
    V6,
    /// Linux 6.4.
    #[serde(rename = "linux-6.4")]
    Linux64,
    /// Linux 6.13.
    #[serde(rename = "linux-6.13")]
    Linux613,
    /// Linux 6.14.
    #[serde(rename = "linux-6.14")]
    Linux614,
    /// Linux 6.19.
    #[serde(rename = "linux-6.19")]
    Linux619,
    /// A strict domain.
    #[serde(rename = "percid-strict")]
    Strict,
    /// A relaxed domain.
    #[serde(rename = "percid-relaxed")]
    Relaxed,
    /// Ids of threads.
    #[serde(rename = "thread")]
    Thread,
}

impl Name {
    /// All of them, the oldest first.
    pub const ALL: [Name; 10] = [
        Name::Linux63,
        Name::V3,
        Name::V6,
        Name::Linux64,
        Name::Linux613,
        Name::Linux614,
        Name::Linux619,
        Name::Strict,
        Name::Relaxed,
        Name::Thread,
    ];

    /// As it is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Linux63 => "linux-6.3",
            Name::V3 => "rfc-v3",
            Name::V6 => "rfc-v6",
            Name::Linux64 => "linux-6.4",
            Name::Linux613 => "linux-6.13",
            Name::Linux614 => "linux-6.14",
            Name::Linux619 => "linux-6.19",
            Name::Strict => "percid-strict",
            Name::Relaxed => "percid-relaxed",
            Name::Thread => "thread",
        }
    }

    /// What it does, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Name::Linux63 => "takes an id at every switch, under a lock of the process",
            Name::V3 => "an id per CPU, dropped and taken by hooks when a thread migrates",
            Name::V6 => "an id per CPU, taken back by a scan when it was idle for 100 ms",
            Name::Linux64 => "v6, and an id moves with a thread that migrates",
            Name::Linux613 => "6.4, and a CPU tries the id that it had last",
            Name::Linux614 => "6.13, and only if that id is below min(threads, CPUs)",
            Name::Linux619 => "tasks own ids; CPUs do while there are more tasks than CPUs",
            Name::Strict => "a percid domain in user space, bounded by its threads",
            Name::Relaxed => "a percid domain in user space, bounded by the CPUs in use",
            Name::Thread => "a thread keeps the lowest free id from birth to death",
        }
    }

    /// Where its rules are from.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Name::Linux63 => {
                "commit af7f588d8f73, sched: Introduce per-memory-map concurrency ID (Linux 6.3)"
            }
            Name::V3 => {
                "[RFC PATCH v3] sched: Fix performance regression introduced by mm_cid, 5 April 2023"
            }
            Name::V6 => {
                "[RFC PATCH v6] sched: Fix performance regression introduced by mm_cid, 13 April 2023"
            }
            Name::Linux64 => {
                "commit 223baf9d17f2, sched: Fix performance regression introduced by mm_cid (Linux 6.4)"
            }
            Name::Linux613 => {
                "commit 7e019dcc470f, sched: Improve cache locality of RSEQ concurrency IDs for \
                 intermittent workloads (Linux 6.13)"
            }
            Name::Linux614 => {
                "commit 02d954c0fdf9, sched: Compact RSEQ concurrency IDs with reduced threads and \
                 affinity (Linux 6.14)"
            }
            Name::Linux619 => {
                "sched: Rewrite MM CID management, T. Gleixner, October 2025 (Linux 6.19), with the \
                 transition bit of its later fixes"
            }
            Name::Strict | Name::Relaxed => {
                "the procedures of percid-cid (Acquire, Scan, Compact), run unchanged"
            }
            Name::Thread => "the usual way of libraries without restartable sequences",
        }
    }

    /// Makes it.
    #[must_use]
    pub fn make(self) -> Box<dyn Policy> {
        match self {
            Name::Linux63 => Box::new(locked::Locked::default()),
            Name::V3 => Box::new(hooks::Hooks::default()),
            Name::V6 => Box::new(scanned::Scanned::default()),
            Name::Linux64 => Box::new(merged::Merged::new(merged::Since::Linux64)),
            Name::Linux613 => Box::new(merged::Merged::new(merged::Since::Linux613)),
            Name::Linux614 => Box::new(merged::Merged::new(merged::Since::Linux614)),
            Name::Linux619 => Box::new(owned::Owned::default()),
            Name::Strict => Box::new(domain::InUserSpace::new(domain::Bounds::Joined)),
            Name::Relaxed => Box::new(domain::InUserSpace::new(domain::Bounds::Cpus)),
            Name::Thread => Box::new(thread::OfThreads::default()),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let found = Name::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| {
            let known = Name::ALL.map(Name::as_str).join(", ");
            format!("there is no policy '{text}'; the policies are: {known}")
        })
    }
}

/// Grows a table so that it has a place for `index`.
fn ensure<T: Default>(table: &mut Vec<T>, index: u32) -> &mut T {
    let index = index as usize;
    if table.len() <= index {
        table.resize_with(index + 1, T::default);
    }
    &mut table[index]
}
