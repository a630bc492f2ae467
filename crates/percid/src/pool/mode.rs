//! How a pool works here, and how large it is.

use core::fmt;

use percid_cid::{Backend, backend, fence};
use percid_rseq::membarrier::BarrierError;

/// How a pool works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mode {
    /// By sections, or what else and why.
    pub backend: Backend,
    /// Whether objects can be taken from other cids, and why not.
    pub fence: Result<(), BarrierError>,
}

impl Mode {
    /// How everything here works.
    pub(crate) fn here() -> Mode {
        Mode {
            backend: backend(),
            fence: fence(),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Backend { source, reason, .. } = self.backend;
        write!(f, "{source}: {reason}")?;
        match self.fence {
            Ok(()) => f.write_str("; objects of other cids can be taken"),
            Err(why) => write!(f, "; objects stay with their cids: {why}"),
        }
    }
}

/// How large a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Objects that have memory, in use or free.
    pub objects: u64,
    /// Free objects in the caches of cids.
    pub cached: u64,
    /// Bytes from one object to the next.
    pub stride: usize,
    /// Bytes of objects whose memory went back to the system so far.
    pub given_back: u64,
}
