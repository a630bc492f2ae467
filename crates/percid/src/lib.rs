//! Data structures sharded by the compact concurrency id: per-CPU speed,
//! per-thread memory.
//!
//! A [`Counter`] in a `static` is added to with plain instructions, in a
//! restartable sequence: no atomic read-modify-write, no fence, no cache line
//! that moves between CPUs. Its shards are indexed by the compact concurrency id
//! (cid), the lowest free number that the kernel gives to whoever runs now; so
//! its memory grows with the threads that are active, not with the CPUs that the
//! machine has or the threads that the program keeps.
//!
//! ```
//! use percid::Counter;
//!
//! static REQUESTS: Counter = Counter::new();
//!
//! std::thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| (0..1000).for_each(|_| REQUESTS.inc()));
//!     }
//! });
//! assert_eq!(REQUESTS.sum(), 4000);
//! ```
//!
//! The [guide] says which structure fits which need, what may be relied on, and how it
//! works.
//!
//! # Features
//!
//! `std` is on by default, the others are off and need it.
//!
//! | feature | brings |
//! | --- | --- |
//! | `std` | [`Family`], [`PerCid`], [`mod@file`] |
//! | `serde` | snapshots and totals that can be serialised |
//! | `hdrhistogram` | `HistogramSnapshot::to_hdr` |
//! | `metrics` | `Recorder`, for the macros of the crate `metrics` |
//! | `prometheus-client` | metrics in the registries of the crate `prometheus-client` |
//!
//! # Without `std`
//!
//! With `default-features = false` the crate is `no_std` and stands on `libc` and `alloc`:
//! all structures but those that the feature brings are there, and are the same. Pools,
//! counters and references in a `static` never use the heap, so an allocator can be made of
//! [`RawPool`]s in a program that has no other. It takes a Unix; where that is not Linux on
//! x86-64 or aarch64, threads share one stripe.
//!
//! # Fallback
//!
//! Sections need Linux 6.3, or 5.10 with membarrier, on x86-64 or aarch64, and a thread
//! that is registered. Everywhere else, and in any single thread that is not registered,
//! the same operations are single atomics on a stripe of the thread. The results are exact
//! either way; [`backend`] says which one runs, and why.
//!
//! # Fork and signals
//!
//! Counting takes no lock and allocates nothing from the heap, from the first use on: so
//! it works in signal handlers, before `main` and in destructors of thread-locals. So do
//! pools of memory and references. What allocates or waits says so: making and joining a
//! [`Domain`], and making what is in one; new sets of labels; new values of a [`PerCid`];
//! write locks; ending a [`Ref`].
//!
//! A child of `fork` starts with its parent's counts and counts on by itself. Between
//! `vfork` and `exec` use nothing of this crate: the child shares its parent's
//! registration, and nothing can see that.
//!
//! # Libraries that are loaded and unloaded
//!
//! In a shared library that may be closed with `dlclose`, each thread calls
//! [`prepare_unload`] after its last use of the library; [`PrepareUnload`] does it at
//! the end of an entry point. Otherwise the kernel kills a thread that it finds with a
//! section in code that is gone. A library that cannot do that must stay loaded: link
//! it with `-C link-arg=-Wl,-z,nodelete`. `percid-rseq` says more.
//!
//! What the library's counters held stays reserved until the process ends: address
//! space, and the few pages that were used.

#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

#[cfg(not(any(unix, feature = "std")))]
compile_error!("without the feature `std` percid needs a Unix");

#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod arena;
#[cfg(not(loom))]
mod bounded;
#[cfg(all(test, target_os = "linux", not(loom)))]
mod checker;
#[cfg(not(loom))]
mod counter;
#[cfg(not(loom))]
mod extremes;
#[cfg(all(feature = "std", not(loom)))]
mod family;
#[cfg(all(
    feature = "std",
    target_os = "linux",
    target_pointer_width = "64",
    not(loom)
))]
pub mod file;
#[cfg(not(loom))]
mod gauge;
#[cfg(not(loom))]
pub mod guide;
#[cfg(not(loom))]
mod histogram;
#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod list;
#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod magazine;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod min_max;
#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod object_lock;
#[cfg(not(loom))]
mod os;
#[cfg(not(loom))]
mod part;
#[cfg(all(feature = "std", not(loom)))]
mod per_cid;
#[cfg(not(loom))]
mod pool;
#[cfg(all(feature = "prometheus-client", not(loom)))]
pub mod prometheus;
#[cfg(all(feature = "metrics", not(loom)))]
mod recorder;
#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod refs;
#[cfg(not(loom))]
mod room;
#[cfg(not(loom))]
mod scope;
#[cfg_attr(loom, allow(dead_code, reason = "only the models run"))]
mod stack;
#[cfg(not(loom))]
mod stats;
mod sync;
#[cfg(not(loom))]
mod unload;

pub use arena::ArenaError;
#[cfg(not(loom))]
pub use arena::{
    ArenaStats, Operation, StripeOwner, StripeRef, Stripes, arena_stats, domain_arena_stats,
};
#[cfg(not(loom))]
pub use bounded::BoundedCounter;
#[cfg(not(loom))]
pub use counter::Counter;
#[cfg(all(feature = "std", not(loom)))]
pub use family::{Family, FamilyIter};
#[cfg(all(
    feature = "std",
    target_os = "linux",
    target_pointer_width = "64",
    not(loom)
))]
pub use file::Arena;
#[cfg(not(loom))]
pub use gauge::Gauge;
#[cfg(not(loom))]
pub use histogram::{Bucket, Histogram, HistogramSnapshot};
#[cfg(not(loom))]
pub use list::{Link, Linked, List, Taken};
#[cfg(not(loom))]
pub use magazine::{CidStats, RemoteError};
#[cfg(not(loom))]
pub use min_max::MinMax;
pub use object_lock::{LockSpace, ObjectLock, ReadGuard, WriteSection};
#[cfg(not(loom))]
pub use object_lock::{Locked, LockedMut, LockedRef};
#[cfg(not(loom))]
pub use part::Part;
#[cfg(all(feature = "std", not(loom)))]
pub use per_cid::{PerCid, PerCidError};
#[cfg(not(loom))]
pub use percid_cid::{
    Backend, Bound, Domain, DomainBuilder, DomainError, DomainStats, Joined, Reason, Source,
    backend,
};
#[cfg(not(loom))]
pub use pool::{Handle, Mode, Pool, PoolBuilder, PoolError, PoolStats, RawPool, RawPoolBuilder};
#[cfg(all(feature = "metrics", not(loom)))]
pub use recorder::{Description, Metric, Recorder, Value};
pub use refs::RefError;
#[cfg(not(loom))]
pub use refs::{Held, Owner, PercidArc, PercidWeak, Ref};
#[cfg(not(loom))]
pub use room::{Place, Room};
#[cfg(not(loom))]
pub use scope::{Process, Scope};
#[cfg(not(loom))]
pub use stats::{Stats, StatsSnapshot};
#[cfg(not(loom))]
pub use unload::{PrepareUnload, prepare_unload};
