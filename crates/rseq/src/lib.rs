//! The kernel's door: restartable sequences and membarrier.
//!
//! A *section* is a restartable sequence (rseq): a few instructions that load
//! the thread's concurrency id (cid), work on the memory that belongs to it and
//! end in one store. When the thread is preempted, migrated or signalled in
//! between, the kernel sends it to an abort handler, and nothing was stored. So
//! a section needs no atomic read-modify-write and no fence.
//!
//! This crate holds all the assembly of percid, and nothing that allocates: it
//! is `no_std`, takes no lock, and every function may be called from a signal
//! handler. Most programs want the structures of the `percid` crate, which
//! choose stripes, fall back and sum; this is what they stand on.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`enter_thread`], [`Registration`] | finds libc's rseq area or registers one |
//! | [`prepare_unload`] | takes back what a thread has of this copy |
//! | [`Features`] | what the kernel and the area offer |
//! | [`section`] | the operations, one contract for every architecture |
//! | [`portable`] | the same operations as atomics, for threads that run no sections |
//! | [`trial`] | whether this kernel restarts sections at all |
//! | [`membarrier`] | fences that abort sections, light and heavy barriers |
//!
//! # Example
//!
//! ```
//! use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
//! use percid_rseq::section::{self, MmCid, WordAddress};
//!
//! // One stripe, 8 bytes apart from the next: enough for cid 0 only.
//! static LIMIT: AtomicU32 = AtomicU32::new(1);
//! static WORD: AtomicU64 = AtomicU64::new(0);
//!
//! if percid_rseq::enter_thread().is_ok() {
//!     // SAFETY: the limit is 1, so only stripe 0 is written: `WORD` itself.
//!     let done = unsafe { section::add::<_, 3>(MmCid { limit: &LIMIT }, WordAddress::new(WORD.as_ptr()), 5) };
//!     // A thread that runs alone has cid 0, but is it alone? Ask, never assume.
//!     if done.is_ok() {
//!         assert_eq!(WORD.load(Ordering::Relaxed), 5);
//!     }
//! }
//! ```
//!
//! # Fork and signals
//!
//! A signal aborts an open section before its handler runs, so sections may be
//! used in handlers. A child of `fork` keeps its thread's registration. A child
//! of `vfork` or of `clone(CLONE_VM)` shares its parent's area and *looks*
//! registered although it is not, and nothing can see that: do not run sections
//! between `vfork` and `exec`.
//!
//! # Libraries that are loaded and unloaded
//!
//! The kernel looks at the last section of a thread until the thread runs another
//! one, and libc calls a destructor of this crate when a thread ends. So a shared
//! library that uses percid must not simply be closed with `dlclose`: either
//!
//! - each thread that has used it calls [`prepare_unload`] after its last use, also
//!   threads that are asleep when the library goes: a library whose threads are its
//!   host's ends each of its entry points with it; or
//! - it stays loaded: link it with `-C link-arg=-Wl,-z,nodelete`.
//!
//! What belongs to no thread is taken back when the library is unloaded (glibc; other
//! libcs do not unload). Its thread-locals use the little space that libc keeps for
//! libraries loaded later (glibc: enough for a few copies, and it is had back when the
//! one that was loaded last goes first; musl: none, so there percid must be part of
//! the program). Rust `dylib`s (`-C prefer-dynamic`) cannot share the crate: its
//! assembly names symbols that they do not export.
#![no_std]
#![cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "what registers threads has nobody to register")
)]

mod arch;
mod area;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod blocked;
mod errno;
#[cfg(unix)]
mod exit_key;
mod features;
mod generation;
mod index;
#[cfg(percid_inject)]
pub mod inject;
pub mod membarrier;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod own;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "own_none.rs"]
mod own;
pub mod portable;
mod possible;
mod process;
mod refusal;
mod registration;
pub mod section;
pub mod trial;
mod unload;
mod words;

pub use area::{ThreadIds, thread_ids};
pub use errno::Preserved;
#[doc(hidden)]
pub use errno::errno;
#[cfg(unix)]
#[doc(hidden)]
pub use exit_key::{ExitKey, ExitKeyError};
pub use features::Features;
#[doc(hidden)]
pub use generation::{generation, holder, is_gone};
pub use possible::possible_cpus;
#[doc(hidden)]
pub use process::OsError;
pub use refusal::Refusal;
pub use registration::{Owner, Registration, RegistrationError, enter_thread, registration};
pub use unload::prepare_unload;
#[doc(hidden)]
pub use words::{ThreadWords, thread_words};

/// For this project's tests only; not part of the interface.
#[doc(hidden)]
pub mod testing {
    pub use crate::registration::testing::*;

    /// What a trial finds on a kernel that aborts no sections.
    #[must_use]
    pub fn trial_without_aborts(
        disturbances: &[crate::trial::Disturbance],
        rounds: u32,
    ) -> crate::trial::Trial {
        crate::trial::run_disarmed(disturbances, rounds)
    }
}
