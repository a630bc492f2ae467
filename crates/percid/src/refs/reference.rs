//! The reference count.

use core::fmt;

use percid_cid::Domain;

use super::RefError;
use super::core::Core;
use super::held::Held;
use crate::arena::{ArenaError, Gate, ScopedGate};
use crate::scope::{Process, Scope};

/// A reference count that many threads change at once: the kernel's percpu_ref.
///
/// While it lives, a `get` or a `put` counts in the stripe of the current cid: no atomic
/// read-modify-write, no cache line that moves. Nobody then knows whether the count is
/// zero, and nobody needs to, for one reference is its owner's: the one that it begins
/// with. [`kill`](Ref::kill) gives that one back and brings the others together in one
/// word; the last [`put`](Ref::put) calls the release function.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use percid::Ref;
///
/// static RELEASED: AtomicBool = AtomicBool::new(false);
/// static REQUESTS: Ref = Ref::new(|| RELEASED.store(true, Ordering::Relaxed));
///
/// REQUESTS.get();
/// let other = REQUESTS.try_get_live().expect("not killed yet");
/// REQUESTS.kill()?;
/// assert!(REQUESTS.try_get_live().is_none());
/// REQUESTS.put();
/// assert!(!RELEASED.load(Ordering::Relaxed));
/// drop(other);
/// assert!(RELEASED.load(Ordering::Relaxed));
/// # Ok::<(), percid::RefError>(())
/// ```
///
/// A [`PercidArc`](crate::PercidArc) puts its references by itself.
///
/// # Cost
///
/// `get`, `put` and the `try_` functions: one section, which is three loads and two plain
/// stores, no atomic read-modify-write and no fence. `kill` and `switch_to_atomic`: one
/// fence of the whole process, 0.3 to 11 microseconds, and one load for each active cid.
/// Once killed, one read-modify-write each.
///
/// 24 bytes in place and the release function, and eight in each active cid's stripe from
/// the first use to the drop.
///
/// # Shapes and units
///
/// Up to 2^58 references; the process is aborted beyond, as by `Arc`. A single stripe may
/// wrap: a reference may be put under another cid than it was got.
///
/// # Errors
///
/// [`RefError`] says what a switch cannot be done for; nothing has changed then. Only
/// after [`RefError::Fence`] something has: it stays as it was between the two modes,
/// everything works, nothing is released, and the same call may be made again.
///
/// # Panics
///
/// `get` of a count that was released, and a put of a reference that nobody got: at the
/// put itself in the atomic mode, at the next switch otherwise, and not at all where
/// somebody else's reference makes up for it. Nothing is released then.
///
/// A release function that panics does so in whoever put the last reference; it is not
/// called again.
///
/// # Fallback
///
/// A thread without sections counts in the one word, by read-modify-writes, in every
/// mode. Where there are no sections, no fences, or no words of the arena, all do. Where
/// the fence is refused later, as in a sandbox that is entered while references live,
/// `kill` returns [`RefError::Fence`] and the object is kept.
///
/// # Fork and signals
///
/// `get`, the `try_` functions and `put` may be called from a signal handler, and so a
/// release function may run there; switches and `kill` may not. A child of `fork` has
/// all references of its parent, also those of threads that it does not have, which
/// nobody puts there. It takes over a switch in whose middle it was forked. A thread that
/// ends with references leaves them counted.
///
/// # Source
///
/// The kernel's percpu_ref: T. Heo and K. Overstreet (Linux 3.11), with a fence that
/// aborts sections in the place of RCU's grace period.
pub struct Ref<F: Fn() = fn(), S: Scope = Process> {
    core: Core<S::Gate>,
    release: F,
}

impl<F: Fn()> Ref<F> {
    /// A live count with one reference, which is for [`kill`](Ref::kill) to put.
    /// `release` is called when the last one has gone.
    ///
    /// It takes its words from the arena at the first `get`.
    #[must_use]
    pub const fn new(release: F) -> Ref<F> {
        Ref {
            core: Core::new(Gate::new()),
            release,
        }
    }
}

impl<F: Fn()> Ref<F, Domain> {
    /// A live count by the ids of a domain, which it keeps alive: with one reference, as
    /// from [`new`](Ref::new).
    ///
    /// Its words grow with the threads of the domain, however many there are beside. A
    /// `get` or a `put` costs two loads more than one by the process's ids.
    ///
    /// ```
    /// use percid::{Bound, Domain, Ref};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Domain::builder().bound(Bound::Strict).build()?;
    /// let released = std::cell::Cell::new(false);
    /// let jobs = Ref::in_domain(&pool, || released.set(true))?;
    /// drop(jobs.try_get_live().expect("not killed yet"));
    /// jobs.kill()?;
    /// assert!(released.get());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use.
    pub fn in_domain(domain: &Domain, release: F) -> Result<Ref<F, Domain>, ArenaError> {
        Ok(Ref {
            core: Core::new(ScopedGate::new(domain)?),
            release,
        })
    }
}

impl<F: Fn(), S: Scope> Ref<F, S> {
    /// One reference more. The caller has one, or knows that somebody else does.
    ///
    /// # Panics
    ///
    /// If it was released.
    #[inline]
    pub fn get(&self) {
        assert!(
            self.core.try_get(),
            "a reference was got of a count that was released"
        );
    }

    /// Gives a reference back that [`get`](Ref::get) or [`Held::keep`] took, on whatever
    /// thread.
    ///
    /// # Panics
    ///
    /// If nobody got it, as far as that can be told; and when the release function does.
    #[inline]
    pub fn put(&self) {
        if self.core.put() {
            (self.release)();
        }
    }

    /// One reference more, until it is dropped; `None` when the last one has gone.
    #[inline]
    #[must_use = "without the reference that is returned nothing is held"]
    pub fn try_get(&self) -> Option<Held<'_, F, S>> {
        self.core.try_get().then(|| Held(self))
    }

    /// One reference more, until it is dropped; `None` once it was killed.
    ///
    /// While `kill` runs it may be either. After [`kill`](Ref::kill) has returned, or
    /// called what it confirms by, it is always `None`.
    #[inline]
    #[must_use = "without the reference that is returned nothing is held"]
    pub fn try_get_live(&self) -> Option<Held<'_, F, S>> {
        self.core.try_get_live().then(|| Held(self))
    }

    /// Ends its life: nobody gets a live reference from now on, and the first reference
    /// is put. Once the others are, the release function is called; perhaps by this.
    ///
    /// # Errors
    ///
    /// [`RefError::AlreadyKilled`]; [`RefError::Fence`]: call it again.
    pub fn kill(&self) -> Result<(), RefError> {
        self.kill_and_confirm(|| {})
    }

    /// As [`kill`](Ref::kill), and calls `confirm` when nobody gets a live reference any
    /// more and before the first one is put.
    ///
    /// A panic of `confirm` is passed on when that has been put.
    ///
    /// # Errors
    ///
    /// As [`kill`](Ref::kill). `confirm` is not called then.
    pub fn kill_and_confirm(&self, confirm: impl FnOnce()) -> Result<(), RefError> {
        self.core.kill()?;
        let _first = Held(self);
        confirm();
        Ok(())
    }

    /// Counts in the one word from now on, so that its readers can tell. It stays so
    /// until [`switch_to_percid`](Ref::switch_to_percid), also in later lives.
    ///
    /// # Errors
    ///
    /// [`RefError::Fence`].
    pub fn switch_to_atomic(&self) -> Result<(), RefError> {
        self.core.switch_to_atomic()
    }

    /// Counts by cid again; whether it does: not once it was killed, and not where that
    /// is impossible.
    pub fn switch_to_percid(&self) -> bool {
        self.core.switch_to_percid()
    }

    /// Takes a [`kill`](Ref::kill) back before the last reference has gone.
    ///
    /// # Errors
    ///
    /// [`RefError::NotKilled`], [`RefError::Released`].
    pub fn resurrect(&self) -> Result<(), RefError> {
        self.core.resurrect()
    }

    /// Begins another life after the last reference has gone, with one reference.
    ///
    /// The release function may still be running, in whoever put that one.
    ///
    /// # Errors
    ///
    /// [`RefError::NotKilled`], [`RefError::InUse`].
    pub fn reinit(&self) -> Result<(), RefError> {
        self.core.reinit()
    }

    /// Whether the last reference has gone: final, until [`reinit`](Ref::reinit).
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.core.is_zero()
    }

    /// Whether it was killed.
    #[must_use]
    pub fn is_dying(&self) -> bool {
        self.core.is_dying()
    }

    /// Whether it counts by cid at this moment.
    #[must_use]
    pub fn is_percid(&self) -> bool {
        self.core.is_percid()
    }
}

/// Shows the mode; the count is known to nobody while it lives.
impl<F: Fn(), S: Scope> fmt::Debug for Ref<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ref")
            .field("percid", &self.is_percid())
            .field("dying", &self.is_dying())
            .field("zero", &self.is_zero())
            .finish()
    }
}
