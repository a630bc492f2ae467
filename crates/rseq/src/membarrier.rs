//! Barriers on the slow side: membarrier.
//!
//! | function | after it returns `Ok` |
//! | --- | --- |
//! | [`fence`] | every section of the process that began before has committed or aborted |
//! | [`fence_cpu`] | the same for sections on one CPU |
//! | [`heavy_barrier`] | every other thread has passed a full memory barrier; sections go on |
//! | [`light_barrier`] | the compiler has moved nothing across; pairs with [`heavy_barrier`] |
//!
//! # Cost
//!
//! A system call. 0.3 microseconds when no other thread of the process runs, 9
//! to 11 when one does, and each one stops its victim for about half of that
//! (two-core virtual machine, Linux 6.18). The kernel serialises them: share
//! them.
//!
//! # Errors
//!
//! A barrier that returns an error has ordered *nothing*: reclaim nothing.
//!
//! # Fork and signals
//!
//! May be called from signal handlers. A child of `fork` inherits the
//! registration; after `exec` it is made anew.

use core::fmt;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::errno::Preserved;

/// What the kernel's membarrier can do, as it says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commands {
    /// Every command, as the kernel's bit mask.
    pub mask: u32,
    /// Barrier over this process's running threads (Linux 4.14).
    pub private_expedited: bool,
    /// The same, aborting sections (Linux 5.10).
    pub private_expedited_rseq: bool,
}

/// Why a barrier was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BarrierError {
    /// The kernel, or a sandbox around the program, does not offer it.
    Unsupported,
    /// There is no such CPU. The kernel would say that the fence succeeded.
    NoSuchCpu(u32),
    /// The kernel refused, with this error number.
    Refused(i32),
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BarrierError::Unsupported => {
                f.write_str("the kernel or a sandbox does not offer this membarrier command")
            }
            BarrierError::NoSuchCpu(cpu) => write!(f, "there is no CPU {cpu} to fence"),
            BarrierError::Refused(errno) => {
                write!(f, "the kernel refused the barrier (error {errno})")
            }
        }
    }
}

impl core::error::Error for BarrierError {}

/// What the kernel's membarrier can do; nothing where it is refused.
#[must_use]
pub fn commands() -> Commands {
    let _errno = Preserved::new();
    sys::commands()
}

/// Waits until every section that began before, on any CPU, has committed or
/// aborted; also a full memory barrier on every running thread of the process.
///
/// ```
/// # // Not everywhere is membarrier allowed.
/// if percid_rseq::membarrier::fence().is_ok() {
///     // No section that began before this line can still commit.
/// }
/// ```
///
/// # Errors
///
/// See [`BarrierError`]. Nothing is ordered then.
pub fn fence() -> Result<(), BarrierError> {
    let _errno = Preserved::new();
    sys::barrier(sys::Barrier::Rseq)
}

/// As [`fence`], for the sections that run on `cpu` only.
///
/// Ids move between CPUs: this is for what belongs to a CPU (a table's slot),
/// never for what belongs to an id.
///
/// ```
/// use percid_rseq::membarrier::{self, BarrierError};
///
/// // The kernel would call that a success.
/// assert_eq!(membarrier::fence_cpu(u32::MAX), Err(BarrierError::NoSuchCpu(u32::MAX)));
/// ```
///
/// # Errors
///
/// See [`BarrierError`]. Nothing is ordered then.
pub fn fence_cpu(cpu: u32) -> Result<(), BarrierError> {
    if cpu >= crate::possible_cpus() {
        return Err(BarrierError::NoSuchCpu(cpu));
    }
    let _errno = Preserved::new();
    sys::barrier(sys::Barrier::RseqOnCpu(cpu))
}

/// Keeps the compiler from moving memory accesses across, and costs nothing.
///
/// The fast side of an asymmetric pair: if the slow side calls
/// [`heavy_barrier`], either it sees what was stored before this, or what
/// follows this sees what was stored before the heavy barrier.
#[inline(always)]
pub fn light_barrier() {
    compiler_fence(Ordering::SeqCst);
}

/// A full memory barrier on every running thread of the process. Does *not*
/// abort sections.
///
/// # Errors
///
/// See [`BarrierError`]. Nothing is ordered then: both sides must use real
/// fences instead.
pub fn heavy_barrier() -> Result<(), BarrierError> {
    let _errno = Preserved::new();
    sys::barrier(sys::Barrier::Memory)
}

#[cfg(target_os = "linux")]
mod sys {
    use super::{BarrierError, Commands};

    /// The kernel's `MEMBARRIER_CMD_FLAG_CPU`; not in the libc crate.
    const FLAG_CPU: libc::c_uint = 1;

    #[derive(Clone, Copy)]
    pub(super) enum Barrier {
        Memory,
        Rseq,
        RseqOnCpu(u32),
    }

    pub(super) fn commands() -> Commands {
        let Ok(mask) = membarrier(libc::MEMBARRIER_CMD_QUERY, 0, 0) else {
            return Commands::default();
        };
        let has = |command: libc::c_int| mask & command != 0;
        Commands {
            mask: mask.cast_unsigned(),
            private_expedited: has(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED),
            private_expedited_rseq: has(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ),
        }
    }

    /// Issues the barrier; registers the process for it the first time, when the
    /// kernel answers that it is not.
    pub(super) fn barrier(barrier: Barrier) -> Result<(), BarrierError> {
        let (command, register, flags, cpu) = match barrier {
            Barrier::Memory => (
                libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED,
                libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
                0,
                0,
            ),
            Barrier::Rseq => (
                libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
                libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
                0,
                0,
            ),
            Barrier::RseqOnCpu(cpu) => (
                libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
                libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
                FLAG_CPU,
                cpu,
            ),
        };
        let mut result = membarrier(command, flags, cpu);
        if result == Err(libc::EPERM) {
            result = membarrier(register, 0, 0).and_then(|_| membarrier(command, flags, cpu));
        }
        match result {
            Ok(_) => Ok(()),
            Err(libc::ENOSYS | libc::EINVAL) => Err(BarrierError::Unsupported),
            Err(errno) => Err(BarrierError::Refused(errno)),
        }
    }

    fn membarrier(
        command: libc::c_int,
        flags: libc::c_uint,
        cpu: u32,
    ) -> Result<libc::c_int, libc::c_int> {
        // SAFETY: membarrier touches no memory of the program.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, command, flags, cpu) };
        if result >= 0 {
            // The mask of QUERY fits in an int.
            Ok(result as libc::c_int)
        } else {
            Err(crate::errno::errno())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod sys {
    use super::{BarrierError, Commands};

    #[derive(Clone, Copy)]
    pub(super) enum Barrier {
        Memory,
        Rseq,
        RseqOnCpu(#[allow(dead_code)] u32),
    }

    pub(super) fn commands() -> Commands {
        Commands::default()
    }

    pub(super) fn barrier(_: Barrier) -> Result<(), BarrierError> {
        Err(BarrierError::Unsupported)
    }
}
