//! A domain that runs: the machine of this module on real memory, under real
//! sections.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `table` | the slots, in memory that a child of `fork` finds wiped |
//! | `driver` | carries the machine's requests out |
//! | `stripes` | whose memory the limit admits to |
//! | `thread` | what a thread remembers |
//! | `counts` | what happened so far |
//! | `inner` | the parts put together |

mod counts;
mod driver;
mod inner;
mod stripes;
mod table;
mod thread;

pub use counts::DomainStats;
pub use inner::Admission;
pub(super) use inner::{Config, Ids, Inner};
pub(super) use stripes::Memory;
pub use stripes::{AttachError, Stripes};
pub(crate) use table::wipes;
pub(super) use thread::Mark;
