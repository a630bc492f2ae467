//! The process-wide choice of where ids come from: made once, with its reason.

mod code;
mod turn;

use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use percid_rseq::membarrier::{self, BarrierError};
use percid_rseq::trial::{self, Disturbance, Trial};
use percid_rseq::{Owner, Preserved, RegistrationError, registration};

use self::code::{decode, encode};
use self::turn::Turn;
use crate::domain::wipes;
use crate::environment::requested;

/// Set at program start, it chooses a backend: `fallback` keeps percid from using
/// sections; `table` has percid keep the process's ids although the kernel does.
pub const BACKEND_VARIABLE: &str = "PERCID_BACKEND";

/// Set at program start, it changes the trial of the kernel that comes with the first
/// use: `skip` leaves it out, for sandboxes that kill who starts a thread; `fail` and
/// `fail-fence` have it find that the kernel does not abort sections, or not by fences.
pub const TRIAL_VARIABLE: &str = "PERCID_TRIAL";

/// Where a section finds its cid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The kernel's `mm_cid`, in the thread's rseq area (Linux 6.3).
    MmCid,
    /// A table that percid keeps, by CPU: in domains, and in the process where the
    /// kernel keeps no ids.
    Table,
    /// The thread: no sections, atomic read-modify-writes on a stripe that the
    /// thread holds until it ends.
    Thread,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::MmCid => "sections by mm_cid",
            Source::Table => "sections by a table",
            Source::Thread => "fallback by thread",
        })
    }
}

/// Why a source was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The kernel keeps ids, in areas that libc registers.
    LibcRegisters,
    /// The kernel keeps ids, in areas that this program registers through percid.
    PercidRegisters,
    /// The environment asked for the fallback.
    Requested,
    /// The environment asked for a table.
    TableRequested,
    /// rseq works, but the kernel keeps no ids (before Linux 6.3): percid does.
    NoMmCid,
    /// The kernel keeps no ids, and offers no fence to keep them by: membarrier is
    /// refused, or older than Linux 5.10.
    NoFence(BarrierError),
    /// The kernel keeps no ids, and memory that a child of `fork` finds wiped
    /// (MADV_WIPEONFORK) is refused, which tables need.
    NoWipe,
    /// Threads cannot run sections.
    NoSections(RegistrationError),
    /// This kernel does not restart sections that are disturbed like this: it was tried,
    /// and one committed that should not have.
    NotAborted(Disturbance),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::LibcRegisters => f.write_str("the kernel keeps ids and libc registers threads"),
            Reason::PercidRegisters => {
                f.write_str("the kernel keeps ids; libc does not register threads, so percid does")
            }
            Reason::Requested => write!(f, "{BACKEND_VARIABLE}=fallback was set at program start"),
            Reason::TableRequested => {
                write!(f, "{BACKEND_VARIABLE}=table was set at program start")
            }
            Reason::NoMmCid => f.write_str(
                "this kernel's rseq has no mm_cid (Linux 6.3 has), so percid keeps the ids",
            ),
            Reason::NoFence(why) => write!(
                f,
                "this kernel's rseq has no mm_cid (Linux 6.3 has), and percid cannot keep ids: {why}"
            ),
            Reason::NoWipe => f.write_str(
                "this kernel's rseq has no mm_cid (Linux 6.3 has), and percid cannot keep ids: \
                 madvise(MADV_WIPEONFORK) is refused",
            ),
            Reason::NoSections(why) => why.fmt(f),
            Reason::NotAborted(what) => write!(
                f,
                "this kernel does not restart sections after {what}: it is broken, and sections \
                 would lose updates"
            ),
        }
    }
}

/// The choice for this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backend {
    /// Where ids come from.
    pub source: Source,
    /// Why.
    pub reason: Reason,
    /// Whether the kernel was seen to abort sections that are preempted or signalled.
    /// False where that could not be tried in full (pinning refused, a machine too
    /// busy), was not asked for, or is of no matter; `percid doctor` tries for longer.
    pub verified: bool,
}

impl Backend {
    fn because(reason: Reason, verified: bool) -> Backend {
        let source = match reason {
            Reason::LibcRegisters | Reason::PercidRegisters => Source::MmCid,
            Reason::NoMmCid | Reason::TableRequested => Source::Table,
            Reason::Requested
            | Reason::NoFence(_)
            | Reason::NoWipe
            | Reason::NoSections(_)
            | Reason::NotAborted(_) => Source::Thread,
        };
        Backend {
            source,
            reason,
            verified: verified && source != Source::Thread,
        }
    }
}

/// Where this process's ids come from, and why. Decided at the first use of any
/// structure, or of this function, and the same ever after.
///
/// ```
/// use percid_cid::Source;
///
/// let backend = percid_cid::backend();
/// match backend.source {
///     Source::MmCid => println!("restartable sequences: {}", backend.reason),
///     _ => println!("single atomics: {}", backend.reason),
/// }
/// ```
///
/// # Cost
///
/// The first time about half a millisecond, for a [trial] of the
/// kernel; up to some ten on a machine that is busy. Of threads that begin at once one does
/// it, and the others wait for what it finds, some tenths of a second at most. Afterwards a
/// load.
///
/// # Fork and signals
///
/// May be called from a signal handler. A child of `fork` keeps the choice.
#[must_use]
pub fn backend() -> Backend {
    static CHOICE: AtomicU64 = AtomicU64::new(0);
    static TURN: Turn = Turn::new();
    // Ordering: Relaxed. The choice is the number itself; the first one stands.
    let known = || decode(CHOICE.load(Ordering::Relaxed));
    if let Some(known) = known() {
        return known;
    }
    let _errno = Preserved::new();
    let _turn = TURN.take(|| known().is_some());
    if let Some(known) = known() {
        return known;
    }
    let mine = choose();
    match CHOICE.compare_exchange(0, encode(mine), Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => mine,
        Err(first) => decode(first).unwrap_or(mine),
    }
}

/// Whether sections of other CPUs can be [fenced](percid_rseq::membarrier::fence), and
/// are aborted by it: membarrier answers, and a [trial] found nothing
/// wrong. Without, domains have the thread as their source.
///
/// ```
/// println!("fences: {}", percid_cid::fences());
/// ```
///
/// # Cost
///
/// As [`backend`], the first time half as long.
///
/// # Fork and signals
///
/// As [`backend`].
#[must_use]
pub fn fences() -> bool {
    static FENCES: AtomicU8 = AtomicU8::new(0);
    static TURN: Turn = Turn::new();
    // Ordering: Relaxed. The answer is the number itself.
    match FENCES.load(Ordering::Relaxed) {
        0 => {
            let _errno = Preserved::new();
            let _turn = TURN.take(|| FENCES.load(Ordering::Relaxed) != 0);
            match FENCES.load(Ordering::Relaxed) {
                0 => {}
                known => return known == 2,
            }
            let works = membarrier::fence().is_ok() && tried(Kind::Fences).0.is_none();
            let mine = 1 + u8::from(works);
            // The first answer stands, as `backend`'s.
            match FENCES.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => works,
                Err(first) => first == 2,
            }
        }
        known => known == 2,
    }
}

/// A [fence](percid_rseq::membarrier::fence) of this process's sections, if they are aborted
/// by it: see [`fences`].
///
/// ```
/// if let Err(why) = percid_cid::fence() {
///     println!("what sections hold cannot be taken: {why}");
/// }
/// ```
///
/// # Errors
///
/// As the fence's; `Unsupported`, too, where the trial has found that it aborts nothing.
///
/// # Cost
///
/// The fence's, and the first time what `fences` costs.
///
/// # Fork and signals
///
/// As [`backend`].
pub fn fence() -> Result<(), BarrierError> {
    membarrier::fence()?;
    // Where there are no sections there is nothing to try.
    if backend().source == Source::Thread || fences() {
        Ok(())
    } else {
        Err(BarrierError::Unsupported)
    }
}

/// Whether there can be tables: ids can be moved, and a child of `fork` finds out that
/// they are not its own.
pub(crate) fn tables() -> bool {
    fences() && wipes()
}

/// What a trial is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Threads,
    Fences,
}

/// Tries the kernel: what it does not abort sections for, and whether it was seen to abort
/// them otherwise. Nothing and no, where it is not to be tried.
fn tried(kind: Kind) -> (Option<Disturbance>, bool) {
    let disturbances = match kind {
        Kind::Threads => &Disturbance::BY_THREADS,
        Kind::Fences => &Disturbance::BY_FENCES,
    };
    let wanted = requested(TRIAL_VARIABLE);
    match (wanted.as_ref().map_or("", |value| value.as_str()), kind) {
        ("skip", _) => (None, false),
        ("fail", Kind::Threads) | ("fail-fence", Kind::Fences) => (Some(disturbances[0]), false),
        _ => {
            let found: Trial = trial::run(disturbances, 1);
            (found.broken(), found.confirms(disturbances))
        }
    }
}

fn choose() -> Backend {
    let unverified = |reason| Backend::because(reason, false);
    let asked_for = |what| requested(BACKEND_VARIABLE).is_some_and(|value| value.as_str() == what);
    if asked_for("fallback") {
        return unverified(Reason::Requested);
    }
    let found = match registration() {
        Err(why) => return unverified(Reason::NoSections(why)),
        Ok(found) => found,
    };
    let reason = if !found.features.mm_cid {
        if let Err(why) = membarrier::fence() {
            return unverified(Reason::NoFence(why));
        }
        if !fences() {
            return unverified(Reason::NotAborted(Disturbance::Fence));
        }
        if !wipes() {
            return unverified(Reason::NoWipe);
        }
        Reason::NoMmCid
    } else if asked_for("table") && tables() {
        Reason::TableRequested
    } else {
        match found.owner {
            Owner::Libc => Reason::LibcRegisters,
            Owner::Percid => Reason::PercidRegisters,
        }
    };
    match tried(Kind::Threads) {
        (Some(what), _) => unverified(Reason::NotAborted(what)),
        (None, verified) => Backend::because(reason, verified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_stands() {
        let first = backend();
        assert_eq!(backend(), first);
        if requested(BACKEND_VARIABLE).is_some_and(|value| value.as_str() == "fallback") {
            assert_eq!(first.reason, Reason::Requested);
        }
    }
}
