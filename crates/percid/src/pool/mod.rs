//! Pools: memory for objects of one size, cached per cid.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`RawPool`] | memory of one layout, for authors of allocators |
//! | [`Pool`] | values that are made once and used again |
//!
//! Both stand on the magazines of `magazine`, and on the chunks of `chunks`; `decay` says how
//! memory goes back.

mod builder;
mod check;
mod chunks;
mod decay;
mod handle;
mod mode;
mod raw;
mod remote;
mod typed;

use core::fmt;

pub use self::builder::{PoolBuilder, RawPoolBuilder};
pub use self::handle::Handle;
pub use self::mode::{Mode, PoolStats};
pub use self::raw::RawPool;
pub use self::typed::Pool;

/// Why a pool has no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolError {
    /// The system refuses the memory, with this error number.
    NoMemory {
        /// The system's error number.
        os_error: i32,
    },
    /// The pool has as many objects as it may have, and none of them is free.
    Full {
        /// So many.
        objects: u64,
    },
    /// No pool can hold such objects: they are larger than a sixteenth of what a pool
    /// reserves, or aligned to more than 2 MiB.
    Unsuitable,
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::NoMemory { os_error } => {
                write!(f, "the system refuses memory for a pool (error {os_error})")
            }
            PoolError::Full { objects } => {
                write!(f, "all of the pool's {objects} objects are in use")
            }
            PoolError::Unsuitable => {
                f.write_str("objects of this size or alignment are too large for a pool")
            }
        }
    }
}

impl core::error::Error for PoolError {}
