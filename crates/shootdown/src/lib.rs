//! Reclamation on restartable sequences: reads without atomic read-modify-writes or
//! fences, and an answer to the question *when does drop run?*
//!
//! | part | what it is for | when drop runs |
//! | --- | --- | --- |
//! | [`Barriers`] | fences that many callers share | |
//!
//! # Fork and signals
//!
//! Every part says what holds for it. Between `vfork` and `exec` use nothing of this
//! crate.

mod barriers;
#[cfg(all(test, loom))]
mod loom;
mod sync;

pub use barriers::{Barriers, Point};
#[cfg(not(loom))]
pub use percid_rseq::membarrier::BarrierError;
