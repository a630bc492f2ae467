//! Magazines: words cached per cid, and the depot that they are traded with.
//!
//! # Algorithm
//!
//! Each cid has a *magazine*, a stack of words: push and pop are one section each. One
//! that runs empty takes blocks of words from the *depot*, two or as many as fill half of what
//! it may hold; one that runs full gives as many away. So a producer and a consumer on different
//! cids pay for a trade once in a hundred words.
//!
//! | word of a stripe | changed by |
//! | --- | --- |
//! | `REFILLS`, `FLUSHES` | sections |
//! | `CLAIM` | sections, and the claimant, who gives it back |
//! | `STATE`, `SEEN`, `SEEN_AT` | who holds [`Control`] |
//! | `HEADER`, low half: the length | sections; who holds control, while the gate is closed and fenced |
//! | `HEADER`, high half: the gate | who holds control |
//! | the slots | as the length |
//!
//! The gate is what the magazine may hold at this moment, and 0 closes it. A magazine is
//! taken from under its sections in this order: gate to 0, fence (which aborts every
//! section that has seen it open), length and words, new length, gate open. Sections load
//! the gate before the length.
//!
//! Gates adapt: each miss doubles that of the cid, from the least to the most; a cid that
//! missed nothing for a while is drained, and begins anew.
//!
//! A thread that has no section uses the stripe of threads: the same stack, by single
//! read-modify-writes.
//!
//! Nothing waits, and nothing here belongs to a thread: it works before `main`, in
//! destructors of thread-locals, in signal handlers.
//!
//! Source: J. Bonwick and J. Adams, *Magazines and Vmem* (2001); per CPU in restartable
//! sequences, tcmalloc.

#[cfg(not(loom))]
mod aged;
#[cfg(not(loom))]
mod blocks;
#[cfg(all(test, target_os = "linux", not(loom)))]
mod checker;
#[cfg(not(loom))]
mod clock;
#[cfg(not(loom))]
mod control;
#[cfg(not(loom))]
mod depot;
#[cfg(not(loom))]
mod magazines;
#[cfg(not(loom))]
mod remote;
#[cfg(not(loom))]
mod stripe;
#[cfg(not(loom))]
mod trade;

#[cfg(not(loom))]
pub(crate) use self::clock::{is_over, now};
#[cfg(not(loom))]
pub(crate) use self::control::{Control, Holding};
#[cfg(not(loom))]
pub(crate) use self::magazines::{LARGEST, Magazines, Source, words};
#[cfg(not(loom))]
pub(crate) use self::remote::Taken;
#[cfg(not(loom))]
pub use self::remote::{CidStats, RemoteError};
#[cfg(not(loom))]
pub(crate) use crate::stack::{NONE, Stack};
