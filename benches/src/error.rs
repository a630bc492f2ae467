//! Why a measurement was not made.

use std::io;

use percid::ArenaError;

/// Why a measurement was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Results are verified before anything is timed; these were wrong.
    #[error(
        "{implementation} counted {counted} where {expected} were due: its figures would mean nothing"
    )]
    Wrong {
        /// Which implementation.
        implementation: &'static str,
        /// What it says.
        counted: u64,
        /// What it must say.
        expected: u64,
    },
    /// An implementation could not be set up.
    #[error("{implementation} could not be set up: {why}")]
    Arena {
        /// Which implementation.
        implementation: &'static str,
        /// Why.
        why: ArenaError,
    },
    /// A domain for an implementation could not be had.
    #[error("{implementation} could not be set up: {why}")]
    Domain {
        /// Which implementation.
        implementation: &'static str,
        /// Why.
        why: String,
    },
    /// A file of counters could not be had.
    #[error("{implementation} could not be set up: {why}")]
    File {
        /// Which implementation.
        implementation: &'static str,
        /// Why.
        why: percid::file::FileError,
    },
    /// Processes could not be started, or did not come to their end.
    #[error("processes that count at the same time: {0}")]
    Process(io::Error),
    /// A thread could not be started.
    #[error("could not start thread {number}: {why}; ask for fewer with --threads")]
    Thread {
        /// Which of them, from 0.
        number: usize,
        /// Why.
        why: io::Error,
    },
    /// Another thread of the measurement failed; its error is the one to show.
    #[error("another thread of the measurement failed")]
    Abandoned,
    /// Two threads are to work under two ids at the same time, and did not. Worth
    /// another try in another process: the kernel may give ids otherwise.
    #[error("{active} ids were active where two threads work on two CPUs")]
    OtherIds {
        /// Ids that were active.
        active: u32,
    },
    /// The system does not say how much memory is resident.
    #[error("cannot tell how much memory is resident: {0}; mount /proc")]
    Resident(io::Error),
    /// There is no such implementation of such a case.
    #[error("there is no implementation {implementation} of the case {case} of the suite {suite}")]
    Unknown {
        /// Name of the suite.
        suite: String,
        /// Name of the case.
        case: String,
        /// Name of the implementation.
        implementation: String,
    },
    /// A measurement that was made in another process failed there.
    #[error("measuring {implementation} in a process of its own failed: {why}")]
    Elsewhere {
        /// Which implementation.
        implementation: &'static str,
        /// What that process said.
        why: String,
    },
}

/// Fails unless an implementation counted what was due.
pub(crate) fn expect(
    implementation: &'static str,
    counted: u64,
    expected: u64,
) -> Result<(), Error> {
    if counted == expected {
        Ok(())
    } else {
        Err(Error::Wrong {
            implementation,
            counted,
            expected,
        })
    }
}
