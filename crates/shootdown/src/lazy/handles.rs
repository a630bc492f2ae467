//! Who may still make something in a home, and when it is used again.
//!
//! ```text
//! hold       handles += 1, by who has one, or an object
//! give up    handles -= 1; at 0: nobody can make an object there
//! again      nothing is left; handles 0 -> 1; nothing is left, still: it is the caller's.
//!            else give up
//! ```
//!
//! Nothing is left when as many objects were freed as were made. Who has an object may hold
//! the home again without asking anybody, and give it up: so the caller looks once more when
//! it has the only handle. By then all that were made are seen, for whoever made them had a
//! handle, and has given it up; and what is seen to be freed is freed.

use core::marker::PhantomData;

use crate::sync::atomic::Ordering::{self, Acquire, Relaxed, SeqCst};
use crate::sync::atomic::{AtomicUsize, fence};

/// Which rules hold: all, except in the mutants that loom's tests define.
pub(crate) trait Rules: 'static {
    /// What was made under the handles, from who gave one up to who has the only one.
    /// (Sequentially consistent for `any`: see there.)
    const GIVE_UP: Ordering = SeqCst;
    const AGAIN: Ordering = Acquire;
    /// Who gives the last one up looks for work after that: pairs with the fence of who
    /// leaves work and looks for handles (`Behind`).
    const LAST_FENCES: bool = true;
    /// What is left is looked for with the handle.
    const LOOKS_AGAIN: bool = true;
    /// Who has the only one sees what was done before something was seen to be freed.
    const SEES_ENDS: bool = true;
    /// Who has freed something looks for handles, and for others who have, after that:
    /// pairs with the fence of who gives the last handle up, and with its own like.
    const END_FENCES: bool = true;
}

/// Every rule holds.
pub(crate) struct Sound;

impl Rules for Sound {}

/// Domains and cells.
pub(crate) struct Handles<R = Sound>(AtomicUsize, PhantomData<R>);

impl<R: Rules> Handles<R> {
    /// One.
    pub(crate) fn new() -> Handles<R> {
        Handles(AtomicUsize::new(1), PhantomData)
    }

    /// One more.
    // Ordering: Relaxed: whoever holds one more has one, or an object.
    pub(crate) fn hold(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less; whether that was the last one.
    pub(crate) fn give_up(&self) -> bool {
        let last = self.0.fetch_sub(1, R::GIVE_UP) == 1;
        if last && R::LAST_FENCES {
            fence(SeqCst);
        }
        last
    }

    /// Whether there are any.
    // Ordering: SeqCst pairs with `give_up`: who leaves work to whoever comes looks here
    // after that, and who gives the last one up looks for work after that.
    pub(crate) fn any(&self) -> bool {
        self.0.load(SeqCst) != 0
    }

    /// Whether there are none, by who has freed something, or has given the last one up: of
    /// all these the last one to ask sees that, and sees what all others have freed.
    pub(crate) fn are_gone(&self) -> bool {
        // Ordering: SeqCst, as `Rules::END_FENCES` says: what was freed is a plain store.
        if R::END_FENCES {
            fence(SeqCst);
        }
        !self.any()
    }

    /// Takes the only one; whether nothing is left, so that it may be used. `None`: there
    /// are others, or something is left that was seen without a handle.
    pub(crate) fn begin_again(&self, is_empty: impl Fn() -> bool) -> Option<bool> {
        if !is_empty() {
            return None;
        }
        // Ordering: Acquire, as below: the look with the handle is not behind this one.
        if R::SEES_ENDS {
            fence(Acquire);
        }
        if self.0.compare_exchange(0, 1, R::AGAIN, Relaxed).is_err() {
            return None;
        }
        let is_left = R::LOOKS_AGAIN && !is_empty();
        // Ordering: Acquire pairs with the Release fence of who has freed something: what
        // it stood in may be given back now.
        if R::SEES_ENDS {
            fence(Acquire);
        }
        Some(!is_left)
    }
}
