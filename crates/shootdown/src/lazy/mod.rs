//! Lazy references: shared values that are read without counting.
//!
//! [`LazyCell`] is `arc-swap`'s shape, at a fraction of its cost: a [`Lease`] is taken by a
//! section, and dropped by a store and a load. *When does drop run?* When the last
//! [`Shared`] and the last cell have given a value up: before that very call returns, unless
//! a lease is out; then when the last lease ends. Nobody else's leases, and no sleeping
//! thread, hold it back.
//!
//! # Algorithm
//!
//! Each cid has a few *slots*: `{active, pointer}`. A slot *caches* a value, without
//! counting it, from the first load by its cid on: that is a lazy reference. A load takes
//! the slot, and finds its value there; the lease's drop leaves it. When the last *counted*
//! reference goes, the lazy ones are shot down: found by a mask in the object, marked, and
//! taken away; idle ones at once, held ones by who shoots down, when their holders say that
//! they have left.
//!
//! ```text
//! take   section: active == 0 (acquire); commit active = 1
//! hit    take; p = pointer (acquire); the cell is p (acquire): a lease, until it is left
//! leave  active = 0 (release); pointer is no longer what it was: nudge
//! miss   the slot is taken, and holds something else:
//!        cell += one reader outside; count += 1; cell -= one reader outside, or, if the
//!        cell was changed, count -= 1
//!        install: pointer = p; the object's bit for the slot; count -= 1
//! store  old = swap cell; count of old += readers outside - the cell's own (2^32)
//! ```
//!
//! `protocol` has the rest: installs and shootdowns, each with its argument, and `checker`
//! drives that very code through every reachable state of small worlds.
//!
//! Why a hit is safe: if the cell holds `p` after the commit, `p`'s count was not zero then,
//! so its shootdown has yet to mark this slot. After the mark it makes a fence, and then
//! looks at `active`: the commit came before the fence, so it is seen. And the slot does
//! hold `p`, unmarked, after the commit: until it is left nobody but its holder, and a
//! shootdown of `p`, changes that. A section is needed because two threads with the same cid
//! must not take the slot both; that the fence aborts sections is not.
//!
//! Why a leave needs no section: see `protocol::shootdown`. It is an asymmetric Dekker: the
//! leaver stores `active` and looks at the pointer, the shootdown marks the pointer and looks
//! at `active`, and the fence is what both would need in between. The leaver takes nothing
//! away by itself, so it does not matter whose mark it finds.
//!
//! Why a miss never meets a dead object: a reader that is counted in the cell's word is
//! counted in by whoever takes the object out, in the same read-modify-write that gives the
//! cell's own count back.
//!
//! # Source
//!
//! N. Piggin, "lazy tlb: shoot lazies" (Linux 6.4), and the five ways to send fewer
//! interrupts in its comment, which are [`Policy`].

mod behind;
mod cell;
#[cfg(test)]
mod checker;
mod dead;
mod domain;
mod handles;
mod held;
mod home;
mod lease;
mod list;
mod object;
mod policy;
mod protocol;
mod real;
mod references;
mod shared;
mod slots;
mod work;

pub use cell::{LazyCell, Named};
pub use domain::LazyDomain;
pub use lease::Lease;
pub use policy::{Policy, Saved, ShootdownStats};
pub use shared::Shared;

/// Runs `f`, a signal handler's work, so that nothing is shot down and no destructor runs:
/// what it gives up is put on a list, without a lock and without memory, until somebody
/// does something in the same domain outside of handlers: shoots down, caches a value for
/// the first time, [flushes](LazyDomain::flush), drops the domain. Where the domain and all
/// of its cells are gone nobody can; then it is whoever does so in any domain, or
/// [makes](LazyDomain::new) one.
///
/// ```
/// use std::sync::LazyLock;
///
/// use percid_shootdown::lazy::{self, LazyCell};
///
/// static RELOADED: LazyLock<LazyCell<u32>> = LazyLock::new(|| LazyCell::new(1));
///
/// extern "C" fn handler(_: i32) {
///     lazy::in_handler(|| assert_eq!(*RELOADED.load(), 1));
/// }
///
/// LazyLock::force(&RELOADED); // made outside: few allocators may be used in handlers
/// handler(10);
/// ```
pub fn in_handler<R>(f: impl FnOnce() -> R) -> R {
    dead::in_handler(f)
}

/// Memory is corrupt: unwinding would make it worse.
#[cold]
fn corrupt(what: &str) -> ! {
    eprintln!("percid-shootdown: {what}");
    std::process::abort();
}
