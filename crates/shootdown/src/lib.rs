//! Reclamation on restartable sequences: reads without atomic read-modify-writes or
//! fences, and an answer to the question *when does drop run?*
//!
//! | part | what it is for | when drop runs |
//! | --- | --- | --- |
//! | [`ReclaimDomain`] | linked structures: readers hold a [`Guard`] | after the last reader, in a later call to the domain |
//! | [`Reclaimer`] | the same for programs that pause | about two of its periods after the last reader |
//! | [`Barriers`] | fences that many callers share | |
//!
//! # Fork and signals
//!
//! Every part says what holds for it. Between `vfork` and `exec` use nothing of this
//! crate.

mod barriers;
#[cfg(not(loom))]
mod domain;
#[cfg(not(loom))]
mod fork_lock;
#[cfg(not(loom))]
mod generation;
#[cfg(all(test, loom))]
mod loom;
mod sync;

pub use barriers::{Barriers, Point};
#[cfg(not(loom))]
pub use domain::{DomainStats, Guard, ReclaimDomain, Reclaimer};
#[cfg(not(loom))]
pub use percid_rseq::membarrier::BarrierError;
