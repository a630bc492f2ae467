//! A domain that runs: the machine of this module on real memory, under real
//! sections.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `inner` | the parts |
//! | `table` | the slots, in memory that a child of `fork` finds wiped |
//! | `driver` | carries the machine's requests out |
//! | `admit` | an id for who was refused |
//! | `upkeep` | scans and compactions, when they are due |
//! | `members` | who has joined |
//! | `stripes` | whose memory is open for the ids that slots hold |
//! | `thread` | what a thread remembers |
//! | `counts` | what happened so far |

mod admit;
mod clock;
mod counts;
mod driver;
mod inner;
mod members;
mod stripes;
mod table;
#[cfg(all(test, target_os = "linux"))]
mod tests;
mod thread;
mod upkeep;

pub use admit::Admission;
pub use counts::DomainStats;
pub(super) use inner::{Config, Ids, Inner};
pub(super) use stripes::Memory;
pub use stripes::{AttachError, Stripes};
pub(crate) use table::wipes;
pub(crate) use thread::{Mark, REMEMBERED, Remembered};
