//! The arena: dense words, one in every stripe that is in use.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `layout` | where the words are |
//! | `reservation` | address space without memory |
//! | `os` | what the system is asked for |
//! | `frontier` | how far the reservation is open |
//! | `free_list` | which words are free |
//! | `standby` | words for when there is no arena |
//! | `ledger` | draining a word that others add to |
//! | `shared` | an arena: the parts put together |
//! | `process` | the process's arena, and whose ids it is sharded by |
//! | `word` | a word of it, in four bytes |
//! | `scoped` | the arena of a domain, and a word of it |

mod error;
pub(crate) mod free_list;
pub(crate) mod frontier;
#[cfg(not(loom))]
mod layout;
pub(crate) mod ledger;
#[cfg(all(test, loom))]
mod loom;
#[cfg(not(loom))]
mod os;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
mod reservation;
#[cfg(not(loom))]
mod scoped;
#[cfg(not(loom))]
mod shared;
#[cfg(not(loom))]
mod standby;
#[cfg(not(loom))]
mod word;

pub use error::ArenaError;
#[cfg(not(loom))]
pub use process::arena_stats;
#[cfg(not(loom))]
pub(crate) use scoped::ScopedWord;
#[cfg(not(loom))]
pub use scoped::domain_arena_stats;
#[cfg(not(loom))]
pub use shared::ArenaStats;
#[cfg(not(loom))]
pub(crate) use word::Word;
