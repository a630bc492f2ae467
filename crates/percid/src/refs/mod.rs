//! References: counted by cid while they live, by one word once they are dying.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `core` | the protocol: two ways to count |
//! | `switch` | the protocol: who goes from one way to the other, and when |
//! | `reference` | [`Ref`], the count itself |
//! | `held` | a reference that is put by itself |
//! | `block` | the allocation that a counted object is in |
//! | `owner` | whose drop ends the object's life |
//! | `arc` | references to it |
//! | `weak` | references that do not keep it |
//! | `reads` | what owners and references have of their object |
//! | `error` | what cannot be done |

#[cfg(not(loom))]
mod arc;
#[cfg(not(loom))]
mod block;
pub(crate) mod core;
mod error;
#[cfg(not(loom))]
mod held;
#[cfg(all(test, loom))]
mod loom;
#[cfg(not(loom))]
mod owner;
#[cfg(not(loom))]
mod reads;
#[cfg(not(loom))]
mod reference;
mod switch;
#[cfg(not(loom))]
mod weak;

#[cfg(not(loom))]
pub use arc::PercidArc;
pub use error::RefError;
#[cfg(not(loom))]
pub use held::Held;
#[cfg(not(loom))]
pub use owner::Owner;
#[cfg(not(loom))]
pub use reference::Ref;
#[cfg(not(loom))]
pub use weak::PercidWeak;
