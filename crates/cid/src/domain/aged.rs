//! Which slots a scan looks for.

use super::word::SlotState;

/// Which slots a [`Scan`](super::Scan) finds aged: the answer of whoever drives it.
///
/// ```
/// use percid_cid::domain::{Aged, SlotState};
///
/// let idle = Aged::ByTime { period: 100 };
/// assert!(idle.finds(SlotState::Valid(3), 60));
/// assert!(!idle.finds(SlotState::Lazy(3), 60));
/// assert!(Aged::Above { free: 2 }.finds(SlotState::Valid(3), 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aged {
    /// LAZY for a period: its owner had that long to prove its use. VALID for half of
    /// one: scans are a period apart, and an owner that proved its use right after the
    /// last one is asked again by the next.
    ByTime {
        /// Between scans, in the unit of ages.
        period: u64,
    },
    /// VALID under a higher id than this one, which is free: whoever comes to the mark moves
    /// down. For a second scan, after what the first one freed.
    Above {
        /// The lowest free id.
        free: u32,
    },
}

impl Aged {
    /// Whether the scan looks for a slot in this state, which it has been in for so long.
    #[must_use]
    pub fn finds(self, state: SlotState, age: u64) -> bool {
        match (self, state) {
            (_, SlotState::Unset) => false,
            (Aged::ByTime { period }, SlotState::Valid(_)) => age >= period / 2,
            (Aged::ByTime { period }, SlotState::Lazy(_)) => age >= period,
            (Aged::Above { free }, SlotState::Valid(cid)) => cid > free,
            (Aged::Above { .. }, SlotState::Lazy(_)) => false,
        }
    }
}
