//! References: counted by cid while they live, by one word once they are dying.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `core` | the protocol: two ways to count, and how to switch |
//! | `reference` | [`Ref`], the count itself |
//! | `arc` | an object that is counted that way |
//! | `error` | what cannot be done |

#[cfg(not(loom))]
mod arc;
pub(crate) mod core;
mod error;
#[cfg(not(loom))]
mod reference;

#[cfg(not(loom))]
pub use arc::{Owner, PercidArc, PercidWeak};
pub use error::RefError;
#[cfg(not(loom))]
pub use reference::{Held, Ref};
