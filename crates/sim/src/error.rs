//! Why there is no run.

use crate::costs::CostError;
use crate::cpu_set::CpuSetError;
use crate::machine::MachineError;
use crate::scenario::MOST_THREADS;
use crate::trace::TraceError;

/// Why there is no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Too many threads.
    #[error("{0} threads are too many: {MOST_THREADS} at most")]
    Threads(u32),
    /// No time, or too much.
    #[error("a run takes more than nothing and at most an hour of simulated time")]
    Duration,
    /// A pause or a hop of no length.
    #[error("a pause and a hop take time: give at least a microsecond")]
    NoTime,
    /// An affinity that holds no CPU of the machine.
    #[error("no thread could run: none of the CPUs {set} is among the machine's {cpus}")]
    Affinity {
        /// What was asked for.
        set: String,
        /// CPUs of the machine.
        cpus: u32,
    },
    /// A machine that is too small for a trace.
    #[error("the trace has {trace} CPUs, the machine only {machine}; leave --cpus out")]
    SmallMachine {
        /// CPUs of the machine.
        machine: u32,
        /// CPUs of the trace.
        trace: u32,
    },
    /// No set of CPUs.
    #[error(transparent)]
    CpuSet(#[from] CpuSetError),
    /// No cost.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// No trace.
    #[error(transparent)]
    Trace(#[from] TraceError),
}
