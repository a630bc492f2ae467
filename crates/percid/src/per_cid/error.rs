//! Why a value could not be had.

use core::fmt;

use percid_rseq::membarrier::BarrierError;

/// Why a value could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PerCidError {
    /// This thread is inside already: in a function given to it, or in the code that this
    /// signal handler interrupted.
    Entered,
    /// There is no fence here, so others cannot be kept from their values.
    NoFence(BarrierError),
    /// This many values were in use by threads that only the parent of a `fork` has. All
    /// others were visited.
    Poisoned(usize),
}

impl fmt::Display for PerCidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PerCidError::Entered => f.write_str("this thread has one of the values already"),
            PerCidError::NoFence(why) => {
                write!(f, "others cannot be kept from their values: {why}")
            }
            PerCidError::Poisoned(values) => write!(
                f,
                "{values} values were in use by threads that only the parent of a fork has"
            ),
        }
    }
}

impl core::error::Error for PerCidError {}
