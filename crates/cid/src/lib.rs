//! Compact concurrency ids: who owns which stripe, and how many there are.
//!
//! A *cid* is the lowest free number, given to whoever runs now. A process with
//! three busy threads uses the ids 0 to 2, on however many CPUs; so memory that
//! is indexed by cid grows with active threads, not with CPUs.
//!
//! | part | what it answers |
//! | --- | --- |
//! | [`backend()`] | where this process's ids come from, and why |
//! | [`fences`] | whether sections can be fenced |
//! | [`Source`] | the kernel's `mm_cid`, a table, or the thread |
//! | [`Limit`] | how many stripes may be touched |
//! | [`Domain`] | ids that are narrower than the process's, or that the kernel does not keep |
//! | [`domain`] | the machine that hands out a domain's ids |
//! | [`thread_stripe`] | the stripe of a thread that cannot run sections |
//! | [`prepare_unload`] | takes back what a thread has, before the library goes |
//!
//! # Example
//!
//! ```
//! let backend = percid_cid::backend();
//! println!("{}: {}", backend.source, backend.reason);
//! ```
//!
//! # Without `std`
//!
//! The feature `std` is on by default. Without it the crate is `no_std`, needs `libc` and
//! `alloc`, and allocates in [`Domain`]s that are made and joined, and nowhere else. On
//! Linux on x86-64 and aarch64 all is as with it; other Unix systems have one stripe for all
//! their threads.
//!
//! # Fork and signals
//!
//! Nothing here takes a lock, and only making a domain and joining it allocate, so all
//! the rest may be called from signal handlers. A child of `fork` keeps the backend of
//! its parent.

#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

#[cfg(not(any(unix, feature = "std")))]
compile_error!("without the feature `std` percid-cid needs a Unix");

#[cfg(not(loom))]
mod backend;
pub mod domain;
mod environment;
mod id_set;
mod limit;
#[cfg(not(loom))]
mod local;
#[cfg(all(test, loom))]
mod loom;
mod sync;
#[cfg(not(loom))]
mod thread;

#[cfg(not(loom))]
pub use backend::{
    BACKEND_VARIABLE, Backend, Reason, Source, TRIAL_VARIABLE, backend, fence, fences,
};
#[cfg(not(loom))]
pub use domain::{Bound, Domain, DomainBuilder, DomainError, DomainStats, Joined};
#[cfg(not(loom))]
pub use environment::possible_cids;
pub use environment::{POSSIBLE_VARIABLE, requested};
pub use id_set::IdSet;
pub use limit::Limit;
#[cfg(not(loom))]
pub use thread::{THREAD_STRIPES, prepare_unload, thread_stripe};
