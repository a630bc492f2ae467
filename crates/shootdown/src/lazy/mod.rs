//! Lazy references: shared values that are read without counting.
//!
//! [`LazyCell`] is `arc-swap`'s shape, at a fraction of its cost: a [`Lease`] is taken and
//! dropped by a section each. *When does drop run?* When the last [`Shared`] and the last
//! cell have given a value up: before that very call returns, unless a lease is out; then
//! when the last lease ends. Nobody else's leases, and no sleeping thread, hold it back.
//!
//! # Algorithm
//!
//! Each cid has a few *slots*: `{active, dying, pointer}`. A slot *caches* a value, without
//! counting it, from the first load by its cid on: that is a lazy reference. A load finds
//! its value there and sets `active`; the lease's drop clears it. When the last *counted*
//! reference goes, the lazy ones are shot down: found by a mask in the object, marked, and
//! taken away; idle ones at once, held ones by who holds them.
//!
//! ```text
//! hit    p = cell (acquire)
//!        section: active == 0, dying == 0, pointer == p, in this order, each acquire;
//!                 commit active = 1
//!        cell is still p (acquire): a lease; otherwise leave, and again
//! leave  section: dying == 0 (acquire); commit active = 0 (release)
//!        or marked: the holder resolves the mark while it still holds
//! miss   cell += one reader outside; count += 1; cell -= one reader outside, or, if the
//!        cell was changed, count -= 1
//!        take an idle slot, whatever it holds, by a hit on that; install; count -= 1
//! store  old = swap cell; count of old += readers outside - the cell's own (2^32)
//! ```
//!
//! `protocol` has the rest: installs, leaves, shootdowns, each with its argument, and
//! `checker` drives that very code through every reachable state of small worlds.
//!
//! Why a hit is safe: if the cell still holds `p` after the commit, `p`'s count was not
//! zero at the commit, so its shootdown has not yet looked at this slot, and will find
//! `active` set. The slot held `p` at the commit, for `dying` and `active` were 0 before
//! the pointer was loaded: whoever changes the pointer sets one of them first, and lets
//! the section see it, or aborts it.
//!
//! Why a miss never meets a dead object: a reader that is counted in the cell's word is
//! counted in by whoever takes the object out, in the same read-modify-write that gives the
//! cell's own count back.
//!
//! # Source
//!
//! N. Piggin, "lazy tlb: shoot lazies" (Linux 6.4), and the five ways to send fewer
//! interrupts in its comment, which are [`Policy`].

mod cell;
#[cfg(test)]
mod checker;
mod domain;
mod inner;
mod lease;
mod object;
mod policy;
mod protocol;
mod shared;
mod slots;

pub use cell::{LazyCell, Named};
pub use domain::LazyDomain;
pub use lease::Lease;
pub use policy::{Policy, ShootdownStats};
pub use shared::Shared;

/// Runs `f`, a signal handler's work, so that nothing is shot down and no destructor runs:
/// what it gives up is put on a list, without a lock and without memory, until somebody
/// does something in the same domain outside of handlers.
pub fn in_handler<R>(f: impl FnOnce() -> R) -> R {
    inner::in_handler(f)
}
