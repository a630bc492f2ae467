//! Reclamation on restartable sequences: reads without atomic read-modify-writes or
//! fences, and an answer to the question *when does drop run?*
//!
//! | part | what it is for | when drop runs |
//! | --- | --- | --- |
//! | [`CopyCell`] | small values that are copied out | the old value is freed before `replace` returns |
//! | [`Atomic`] | a pointer that readers follow under a [`Guard`]: swappable values, linked structures | after the last reader, in a later call to the domain |
//! | [`Bound`] | the same in a domain that is made at run time | after the last reader, in a later call to the domain |
//! | [`ReclaimDomain`] | what those stand on: one for each [`brand!`], or one [in a domain of ids](ReclaimDomain::in_domain) | after the last reader, in a later call to the domain |
//! | [`Reclaimer`] | the same for programs that pause | about two of its periods after the last reader |
//! | [`lazy::LazyCell`] | shared values that are replaced now and then: readers hold a [`lazy::Lease`] | before `store` returns, or when the last lease of that value ends |
//! | [`Barriers`] | fences that many callers share | |
//!
//! The [guide] says which of them fits which need, and what to write for what other crates
//! have. How a section works, what a cid is and what holds at forks and in sandboxes, says
//! [the guide of `percid`](percid::guide).
//!
//! # Fork and signals
//!
//! Every part says what holds for it. Between `vfork` and `exec` use nothing of this
//! crate, nor in a child that a signal handler forks.

#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod barriers;
#[cfg(loom)]
#[allow(dead_code, reason = "only the models run")]
#[path = "lazy/behind.rs"]
mod behind;
#[cfg(not(loom))]
mod copy_cell;
#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod counted;
#[cfg(not(loom))]
mod domain;
#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod fork_lock;
#[cfg(not(loom))]
pub mod guide;
#[cfg(loom)]
#[allow(dead_code, reason = "only the models run")]
#[path = "lazy/handles.rs"]
mod handles;
#[cfg(loom)]
#[allow(dead_code, reason = "only the models run")]
#[path = "lazy/held.rs"]
mod held;
#[cfg(not(loom))]
pub mod lazy;
#[cfg(loom)]
#[allow(dead_code, reason = "only the models run")]
#[path = "lazy/list.rs"]
mod list;
#[cfg(all(test, loom))]
mod loom;
#[cfg(not(loom))]
mod pointers;
#[cfg(loom)]
#[allow(dead_code, reason = "only the models run")]
#[path = "lazy/references.rs"]
mod references;
mod sync;

pub use barriers::{Barriers, Point};
#[cfg(not(loom))]
pub use copy_cell::CopyCell;
#[cfg(not(loom))]
pub use domain::{DomainStats, Guard, ReclaimDomain, Reclaimer};
#[cfg(not(loom))]
pub use percid_rseq::membarrier::BarrierError;
#[cfg(not(loom))]
pub use pointers::{Atomic, Bound, Brand, Global, Guarded, Lost, Owned};

/// What a cell's marker has, that its values may be replaced by another reference to it.
#[cfg(not(loom))]
type Invariant<T> = fn(T) -> T;
