//! The process-wide choice of where ids come from: made once, with its reason.

use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use percid_rseq::membarrier::{self, BarrierError};
use percid_rseq::{Owner, Preserved, RegistrationError, registration};

use crate::environment::requested;

/// Set at program start, it chooses a backend: `fallback` keeps percid from using
/// sections; `table` has percid keep the process's ids although the kernel does.
pub const BACKEND_VARIABLE: &str = "PERCID_BACKEND";

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
    /// Threads cannot run sections.
    NoSections(RegistrationError),
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
            Reason::NoSections(why) => why.fmt(f),
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
}

impl Backend {
    fn because(reason: Reason) -> Backend {
        let source = match reason {
            Reason::LibcRegisters | Reason::PercidRegisters => Source::MmCid,
            Reason::NoMmCid | Reason::TableRequested => Source::Table,
            Reason::Requested | Reason::NoFence(_) | Reason::NoSections(_) => Source::Thread,
        };
        Backend { source, reason }
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
/// # Fork and signals
///
/// May be called from a signal handler. A child of `fork` keeps the choice.
#[must_use]
pub fn backend() -> Backend {
    static CHOICE: AtomicU64 = AtomicU64::new(0);
    // Ordering: Relaxed. The choice is the number itself; the first one stands.
    if let Some(reason) = decode(CHOICE.load(Ordering::Relaxed)) {
        return Backend::because(reason);
    }
    let _errno = Preserved::new();
    let mine = choose();
    match CHOICE.compare_exchange(0, encode(mine), Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Backend::because(mine),
        Err(first) => Backend::because(decode(first).unwrap_or(mine)),
    }
}

/// Whether ids can be moved: sections of other CPUs can be fenced. Asked once.
pub(crate) fn fences() -> bool {
    static FENCES: AtomicU8 = AtomicU8::new(0);
    // Ordering: Relaxed. The answer is the number itself.
    match FENCES.load(Ordering::Relaxed) {
        0 => {
            let works = membarrier::fence().is_ok();
            FENCES.store(1 + u8::from(works), Ordering::Relaxed);
            works
        }
        known => known == 2,
    }
}

fn choose() -> Reason {
    let asked_for = |what| requested(BACKEND_VARIABLE).is_some_and(|value| value.as_str() == what);
    if asked_for("fallback") {
        return Reason::Requested;
    }
    match registration() {
        Err(why) => Reason::NoSections(why),
        Ok(found) if !found.features.mm_cid => match membarrier::fence() {
            Ok(()) => Reason::NoMmCid,
            Err(why) => Reason::NoFence(why),
        },
        Ok(_) if asked_for("table") && fences() => Reason::TableRequested,
        Ok(found) => match found.owner {
            Owner::Libc => Reason::LibcRegisters,
            Owner::Percid => Reason::PercidRegisters,
        },
    }
}

/// A reason as a number that is not 0: what it is in the low byte, an error
/// number above.
fn encode(reason: Reason) -> u64 {
    use RegistrationError as E;
    match reason {
        Reason::LibcRegisters => 1,
        Reason::PercidRegisters => 2,
        Reason::Requested => 3,
        Reason::NoMmCid => 4,
        Reason::TableRequested => 15,
        Reason::NoFence(BarrierError::Refused(errno)) => {
            13 | u64::from(errno.cast_unsigned()) << 32
        }
        // There is no other in a fence of all CPUs.
        Reason::NoFence(_) => 14,
        Reason::NoSections(E::UnsupportedTarget) => 5,
        Reason::NoSections(E::NoSyscall) => 6,
        Reason::NoSections(E::Taken) => 7,
        Reason::NoSections(E::ThreadNotRegistered) => 8,
        Reason::NoSections(E::AreaTooSmall) => 9,
        Reason::NoSections(E::NoThreadExit) => 10,
        Reason::NoSections(E::Refused(errno)) => 11 | u64::from(errno.cast_unsigned()) << 32,
        // The enum may grow; an unknown reason is still a reason.
        Reason::NoSections(_) => 12,
    }
}

fn decode(code: u64) -> Option<Reason> {
    use RegistrationError as E;
    let errno = ((code >> 32) as u32).cast_signed();
    Some(match code as u8 {
        1 => Reason::LibcRegisters,
        2 => Reason::PercidRegisters,
        3 => Reason::Requested,
        4 => Reason::NoMmCid,
        15 => Reason::TableRequested,
        5 => Reason::NoSections(E::UnsupportedTarget),
        6 => Reason::NoSections(E::NoSyscall),
        7 => Reason::NoSections(E::Taken),
        8 => Reason::NoSections(E::ThreadNotRegistered),
        9 => Reason::NoSections(E::AreaTooSmall),
        10 => Reason::NoSections(E::NoThreadExit),
        11 | 12 => Reason::NoSections(E::Refused(errno)),
        13 => Reason::NoFence(BarrierError::Refused(errno)),
        14 => Reason::NoFence(BarrierError::Unsupported),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_its_code() {
        use RegistrationError as E;
        for reason in [
            Reason::LibcRegisters,
            Reason::PercidRegisters,
            Reason::Requested,
            Reason::NoMmCid,
            Reason::TableRequested,
            Reason::NoFence(BarrierError::Unsupported),
            Reason::NoFence(BarrierError::Refused(7)),
            Reason::NoSections(E::UnsupportedTarget),
            Reason::NoSections(E::NoSyscall),
            Reason::NoSections(E::Taken),
            Reason::NoSections(E::ThreadNotRegistered),
            Reason::NoSections(E::AreaTooSmall),
            Reason::NoSections(E::NoThreadExit),
            Reason::NoSections(E::Refused(-1)),
            Reason::NoSections(E::Refused(i32::MAX)),
        ] {
            assert_eq!(decode(encode(reason)), Some(reason), "{reason}");
        }
        assert_eq!(decode(0), None);
    }

    #[test]
    fn the_choice_stands() {
        let first = backend();
        assert_eq!(backend(), first);
        if requested(BACKEND_VARIABLE).is_some_and(|value| value.as_str() == "fallback") {
            assert_eq!(first.reason, Reason::Requested);
        }
    }
}
