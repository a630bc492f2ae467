//! The choice as a number, for a static that a signal handler may set.

use percid_rseq::RegistrationError;
use percid_rseq::membarrier::BarrierError;
use percid_rseq::trial::Disturbance;

use super::{Backend, Reason};

/// Set in the number of a choice that was verified.
const VERIFIED: u64 = 1 << 8;

/// A choice as a number that is not 0.
pub(super) fn encode(backend: Backend) -> u64 {
    encode_reason(backend.reason) | if backend.verified { VERIFIED } else { 0 }
}

/// The choice that a number stands for; 0 is none.
pub(super) fn decode(code: u64) -> Option<Backend> {
    let reason = decode_reason(code)?;
    Some(Backend::because(reason, code & VERIFIED != 0))
}

/// A reason as a number that is not 0: what it is in the low byte, an error
/// number or the like from bit 32 on.
fn encode_reason(reason: Reason) -> u64 {
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
        Reason::NoSections(E::Interrupted) => 18,
        Reason::NoWipe => 17,
        Reason::NotAborted(what) => 16 | (what as u64) << 32,
        // The enum may grow; an unknown reason is still a reason.
        Reason::NoSections(_) => 12,
    }
}

fn decode_reason(code: u64) -> Option<Reason> {
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
        18 => Reason::NoSections(E::Interrupted),
        11 | 12 => Reason::NoSections(E::Refused(errno)),
        13 => Reason::NoFence(BarrierError::Refused(errno)),
        14 => Reason::NoFence(BarrierError::Unsupported),
        17 => Reason::NoWipe,
        16 => Reason::NotAborted(
            Disturbance::ALL
                .into_iter()
                .find(|&what| what as i32 == errno)?,
        ),
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
            Reason::NoWipe,
            Reason::NoSections(E::UnsupportedTarget),
            Reason::NoSections(E::NoSyscall),
            Reason::NoSections(E::Taken),
            Reason::NoSections(E::ThreadNotRegistered),
            Reason::NoSections(E::AreaTooSmall),
            Reason::NoSections(E::NoThreadExit),
            Reason::NoSections(E::Interrupted),
            Reason::NoSections(E::Refused(-1)),
            Reason::NoSections(E::Refused(i32::MAX)),
            Reason::NotAborted(Disturbance::Preemption),
            Reason::NotAborted(Disturbance::Signal),
        ] {
            for verified in [false, true] {
                let backend = Backend::because(reason, verified);
                assert_eq!(decode(encode(backend)), Some(backend), "{reason}");
            }
        }
        assert_eq!(decode(0), None);
    }
}
