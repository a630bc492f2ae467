//! The least and the greatest of what many threads record.

use core::fmt;

use percid_cid::Domain;

use crate::arena::ArenaError;
use crate::extremes::{greatest, raise};
use crate::room::Room;
use crate::scope::{Process, Scope};

/// The least and the greatest value of all that many threads record.
///
/// ```
/// use percid::MinMax;
///
/// static SIZES: MinMax = MinMax::new();
///
/// assert_eq!((SIZES.min(), SIZES.max()), (None, None));
/// [40, 7, 1500].into_iter().for_each(|size| SIZES.record(size));
/// assert_eq!((SIZES.min(), SIZES.max()), (Some(7), Some(1500)));
/// ```
///
/// # Cost
///
/// `record`: two sections that load, and one more for each extreme that is new. Reading:
/// one load for each active cid.
///
/// # Shapes and units
///
/// Unsigned numbers in whatever is recorded. Sixteen bytes in each active cid's stripe.
///
/// # Fallback
///
/// Without sections, a relaxed `fetch_max` on the thread's stripe. A value from which
/// one from [`new`](MinMax::new) finds no memory is lost; [`try_new`](MinMax::try_new)
/// reports that before.
///
/// # Fork and signals
///
/// Every method may be called from a signal handler. A child of `fork` starts with its
/// parent's extremes.
pub struct MinMax<S: Scope = Process> {
    /// The complement of the least, and the greatest: words that only grow, from 0.
    room: Room<S>,
}

impl MinMax {
    /// Nothing recorded yet, for a `static` or anywhere else.
    #[must_use]
    pub const fn new() -> MinMax {
        MinMax { room: Room::new(2) }
    }

    /// Nothing recorded yet, with its words.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or the arena is full.
    pub fn try_new() -> Result<MinMax, ArenaError> {
        Ok(MinMax {
            room: Room::try_new(2)?,
        })
    }
}

impl MinMax<Domain> {
    /// Nothing recorded yet, sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// As [`try_new`](MinMax::try_new).
    pub fn in_domain(domain: &Domain) -> Result<MinMax<Domain>, ArenaError> {
        Ok(MinMax {
            room: Room::in_domain(domain, 2)?,
        })
    }
}

impl<S: Scope> MinMax<S> {
    /// Records a value.
    #[inline]
    pub fn record(&self, value: u64) {
        // Without memory there is nothing to do.
        // SAFETY: the room has two words, which change here only.
        let _ = unsafe { raise(&self.room, 0, !value) };
        // SAFETY: as above.
        let _ = unsafe { raise(&self.room, 1, value) };
    }

    /// The least value recorded, if there is any.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        ends(greatest(&self.room, 0), greatest(&self.room, 1)).map(|(min, _)| min)
    }

    /// The greatest value recorded, if there is any.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        ends(greatest(&self.room, 0), greatest(&self.room, 1)).map(|(_, max)| max)
    }
}

/// The extremes, from the words: of no value at all, the least is above the greatest.
pub(crate) fn ends(complement: u64, greatest: u64) -> Option<(u64, u64)> {
    (!complement <= greatest).then_some((!complement, greatest))
}

impl Default for MinMax {
    fn default() -> MinMax {
        MinMax::new()
    }
}

/// Shows both.
impl<S: Scope> fmt::Debug for MinMax<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MinMax")
            .field("min", &self.min())
            .field("max", &self.max())
            .finish()
    }
}
