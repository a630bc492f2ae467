//! The ids of a domain: which CPU holds which, and how that changes.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`SlotWord`] | the word of a CPU's slot: UNSET, VALID or LAZY, under a tag |
//! | [`Bitmap`] | the ids that are taken |
//! | [`Procedure`] | a slow path as a machine without input or output |
//! | [`Shared`], [`drive`] | what carries its requests out |
//! | [`victim()`], [`Aged`], [`Policy`] | choices that any answer keeps sound |
//!
//! # Example
//!
//! ```
//! use percid_cid::domain::{Acquire, Policy, Procedure, Request};
//!
//! // The first thing a rejected thread needs to know is where it is.
//! let acquire = Acquire::new(Policy::default(), None);
//! assert_eq!(acquire.request(), Request::Cpu);
//! ```

mod aged;
mod bitmap;
#[cfg(not(loom))]
mod builder;
#[cfg(all(test, not(loom)))]
mod checker;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
mod live;
mod policy;
mod protocol;
mod victim;
mod word;

pub use aged::Aged;
pub use bitmap::{Bitmap, Claim};
#[cfg(not(loom))]
pub use builder::{Bound, DomainBuilder, DomainError};
#[cfg(not(loom))]
pub use handle::{Domain, Joined};
#[cfg(not(loom))]
pub use live::{Admission, AttachError, DomainStats, Stripes};
#[cfg(not(loom))]
pub(crate) use live::{Mark, REMEMBERED, Remembered, wipes};
pub use policy::Policy;
pub use protocol::{
    Acquire, Answer, Attempts, Compact, Depth, Outcome, Place, Procedure, REJECTIONS, Request,
    Reset, Rules, Scan, Shared, Sound, drive,
};
pub use victim::victim;
pub use word::{SlotState, SlotWord};
