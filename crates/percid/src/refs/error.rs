//! What cannot be done to a reference count.

use core::fmt;

use percid_rseq::membarrier::BarrierError;

/// Why a reference count was not switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefError {
    /// It was killed before.
    AlreadyKilled,
    /// It was not killed.
    NotKilled,
    /// Its last reference has gone.
    Released,
    /// There are references left.
    InUse,
    /// The fence was refused, so what sections counted cannot be brought together.
    /// Everything else goes on, and nothing is released; try again.
    Fence(BarrierError),
}

impl fmt::Display for RefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefError::AlreadyKilled => f.write_str("the reference count was killed before"),
            RefError::NotKilled => f.write_str("the reference count was not killed"),
            RefError::Released => {
                f.write_str("the last reference has gone; begin another life with `reinit`")
            }
            RefError::InUse => f.write_str("there are references left; wait for the release"),
            RefError::Fence(why) => {
                write!(f, "counts of sections cannot be brought together: {why}")
            }
        }
    }
}

impl core::error::Error for RefError {}
