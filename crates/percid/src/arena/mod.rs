//! The arena: dense words, one in every stripe that is in use.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `layout` | where the words are |
//! | `reservation` | address space without memory |
//! | `frontier` | how far the reservation is open |
//! | `free_list` | which words are free |
//! | `standby` | words for when there is no arena |
//! | `ledger` | draining a word that others add to, and setting it |
//! | `shared` | an arena: the parts put together |
//! | `process` | the process's arena, and whose ids it is sharded by |
//! | `handle` | a place in it, in four bytes |
//! | `word` | a word of it |
//! | `gated` | what a structure needs of words behind a gate |
//! | `gate` | a word that is added to while its gate is open |
//! | `run` | consecutive words of it |
//! | `scoped` | the arena of a domain, and runs of words of it |
//! | `scoped_word` | one word of it |
//! | `scoped_gate` | a word of a domain that is added to while its gate is open |
//! | `operation` | one section, whatever its ids and its stripes |
//! | `stripes` | the stripes of some words, to read |

#[cfg(not(loom))]
mod apart;
mod error;
pub(crate) mod free_list;
pub(crate) mod frontier;
#[cfg(not(loom))]
mod gate;
pub(crate) mod gated;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
mod layout;
pub(crate) mod ledger;
#[cfg(all(test, loom))]
mod loom;
#[cfg(not(loom))]
mod operation;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
mod reservation;
#[cfg(not(loom))]
mod run;
#[cfg(not(loom))]
mod scoped;
#[cfg(not(loom))]
mod scoped_gate;
#[cfg(not(loom))]
mod scoped_word;
#[cfg(not(loom))]
mod shared;
#[cfg(not(loom))]
mod standby;
#[cfg(not(loom))]
mod stripes;
#[cfg(not(loom))]
mod word;

pub use error::ArenaError;
#[cfg(not(loom))]
pub(crate) use gate::Gate;
pub(crate) use gated::Gated;
#[cfg(not(loom))]
pub(crate) use layout::STRIPE_SHIFT;
#[cfg(not(loom))]
pub use operation::Operation;
#[cfg(not(loom))]
pub use process::arena_stats;
#[cfg(not(loom))]
pub(crate) use process::limit as process_limit;
#[cfg(not(loom))]
pub(crate) use run::{Run, run_once};
#[cfg(not(loom))]
pub(crate) use scoped::ScopedRun;
#[cfg(not(loom))]
pub use scoped::domain_arena_stats;
#[cfg(not(loom))]
pub(crate) use scoped_gate::ScopedGate;
#[cfg(not(loom))]
pub(crate) use scoped_word::ScopedWord;
#[cfg(not(loom))]
pub use shared::ArenaStats;
#[cfg(not(loom))]
pub(crate) use shared::LONGEST_RUN;
#[cfg(not(loom))]
pub use stripes::{StripeOwner, StripeRef, Stripes};
#[cfg(not(loom))]
pub(crate) use word::Word;
