//! Does this kernel restart sections? Tried, not believed.
//!
//! A kernel that fails to abort sections breaks everything silently (arm64 on Linux
//! 6.19 and early 7.0 did). So before sections are relied on, a thread opens one that
//! waits inside for a flag, and who disturbs it sets the flag afterwards:
//!
//! | disturbance | by whom |
//! | --- | --- |
//! | [`Preemption`](Disturbance::Preemption) | another thread that runs on the same CPU, to which both are pinned |
//! | [`FenceOfCpu`](Disturbance::FenceOfCpu), [`Fence`](Disturbance::Fence) | [`membarrier`](crate::membarrier), from the calling thread |
//! | [`Signal`](Disturbance::Signal) | a signal whose handler sets the flag |
//!
//! A section that commits after that was not restarted: proof of a broken kernel. One
//! that aborts is evidence, no more: something else may have aborted it.
//!
//! # Why there is no false alarm
//!
//! - The section compares its CPU inside with the one that its thread was pinned to; so
//!   whoever runs there later, with its own eyes, has preempted it.
//! - A fence has succeeded before the flag is set; a signal's handler sets it.
//! - Each try has a number, which the flag must hold: no flag serves two tries.
//!
//! # How it is done
//!
//! Two threads that libc does not know, on stacks of their own, in memory that is mapped
//! for this and given back; both wait a bounded time for each other. They run no code of
//! the program: all signals are blocked in them, but the one that is tried.
//!
//! Source: the idea of librseq's self-tests, turned around.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod actors;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod signal;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod stage;

use core::fmt;

/// What must abort a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disturbance {
    /// Another thread runs on the section's CPU.
    Preemption,
    /// [`fence_cpu`](crate::membarrier::fence_cpu) of its CPU.
    FenceOfCpu,
    /// [`fence`](crate::membarrier::fence).
    Fence,
    /// The thread handles a signal.
    Signal,
}

impl Disturbance {
    /// All of them.
    pub const ALL: [Disturbance; 4] = [
        Disturbance::Preemption,
        Disturbance::FenceOfCpu,
        Disturbance::Fence,
        Disturbance::Signal,
    ];

    /// Those that need no membarrier.
    pub const BY_THREADS: [Disturbance; 2] = [Disturbance::Preemption, Disturbance::Signal];

    /// Those by membarrier.
    pub const BY_FENCES: [Disturbance; 2] = [Disturbance::FenceOfCpu, Disturbance::Fence];
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disturbance::Preemption => "preemption",
            Disturbance::FenceOfCpu => "a fence of its CPU",
            Disturbance::Fence => "a fence of all CPUs",
            Disturbance::Signal => "a signal",
        })
    }
}

/// What is known of a disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Sections were disturbed, and none committed.
    Aborts,
    /// A section was disturbed and committed all the same: the kernel is broken.
    Commits,
    /// No section could be disturbed: pinning or the like is refused here, or it took
    /// too long.
    Unverified,
}

/// How often a disturbance came, and what of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Sections that were disturbed for sure.
    pub disturbed: u32,
    /// Sections that were aborted.
    pub aborted: u32,
    /// Sections that were disturbed for sure, and committed.
    pub committed: u32,
}

impl Tally {
    /// What that says.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match *self {
            Tally { committed: 1.., .. } => Verdict::Commits,
            Tally {
                disturbed: 1..,
                aborted: 1..,
                ..
            } => Verdict::Aborts,
            _ => Verdict::Unverified,
        }
    }
}

/// What came of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    tallies: [Tally; Disturbance::ALL.len()],
}

impl Trial {
    /// How often a disturbance came, and what of it.
    #[must_use]
    pub fn tally(&self, disturbance: Disturbance) -> Tally {
        self.tallies[disturbance as usize]
    }

    /// What is known of a disturbance.
    #[must_use]
    pub fn verdict(&self, disturbance: Disturbance) -> Verdict {
        self.tally(disturbance).verdict()
    }

    /// A disturbance that this kernel does not abort sections for.
    #[must_use]
    pub fn broken(&self) -> Option<Disturbance> {
        Disturbance::ALL
            .into_iter()
            .find(|&one| self.verdict(one) == Verdict::Commits)
    }

    /// Whether sections were seen to be aborted by each of these.
    #[must_use]
    pub fn confirms(&self, disturbances: &[Disturbance]) -> bool {
        let aborts = |&one| self.verdict(one) == Verdict::Aborts;
        disturbances.iter().all(aborts)
    }
}

/// Tries whether this kernel aborts sections that are disturbed, each so many times.
///
/// ```
/// use percid_rseq::trial::{self, Disturbance};
///
/// let trial = trial::run(&Disturbance::ALL, 1);
/// assert_eq!(trial.broken(), None, "this kernel does not restart sections");
/// println!("tried in full: {}", trial.confirms(&Disturbance::ALL));
/// ```
///
/// # Cost
///
/// Two threads, 140 KiB of address space for as long, and some 0.1 milliseconds for each
/// try: half a millisecond for one of each. Where a scheduler does not let a thread that
/// wakes up run before another's slice is over, a preemption takes some milliseconds.
///
/// # Fallback
///
/// Where there are no sections, or no threads to be had, everything is unverified.
///
/// # Fork and signals
///
/// May be called from a signal handler. All signals are blocked in the calling thread
/// meanwhile. For [`Disturbance::Signal`] the process has a handler of `SIGURG` or
/// `SIGWINCH` meanwhile, whichever had none; what is sent to others is ignored, as it
/// was before. Libc's thread locks and lists are not touched; a child that another thread
/// forks meanwhile has none of it.
#[must_use]
pub fn run(disturbances: &[Disturbance], rounds: u32) -> Trial {
    run_as(disturbances, rounds, true)
}

/// As [`run`], with sections that nothing aborts unless `armed`.
fn run_as(disturbances: &[Disturbance], rounds: u32, armed: bool) -> Trial {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    if crate::section::SUPPORTED {
        return actors::run(disturbances, rounds, armed);
    }
    let _ = (disturbances, rounds, armed);
    Trial::default()
}

/// For this project's tests only: what a trial finds on a kernel that aborts no sections.
#[must_use]
pub(crate) fn run_disarmed(disturbances: &[Disturbance], rounds: u32) -> Trial {
    run_as(disturbances, rounds, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let verdict = |disturbed, aborted, committed| {
            Tally {
                disturbed,
                aborted,
                committed,
            }
            .verdict()
        };
        assert_eq!(verdict(0, 0, 0), Verdict::Unverified);
        // Aborted by something else.
        assert_eq!(verdict(0, 1, 0), Verdict::Unverified);
        assert_eq!(verdict(1, 1, 0), Verdict::Aborts);
        // One is enough.
        assert_eq!(verdict(50, 49, 1), Verdict::Commits);
    }

    #[test]
    fn what_is_broken_is_named() {
        let mut trial = Trial::default();
        assert_eq!(trial.broken(), None);
        assert!(!trial.confirms(&Disturbance::ALL) && trial.confirms(&[]));
        trial.tallies[Disturbance::Fence as usize].committed = 1;
        assert_eq!(trial.broken(), Some(Disturbance::Fence));
    }
}
