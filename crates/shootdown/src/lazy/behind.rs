//! What handlers leave behind: homes with work, and without a handle by which anybody would
//! come to do it. They are kept on a list of the process, for whoever comes by any domain.
//!
//! ```text
//! leave    by a handler, after it has put its work on the home's lists:
//!          without handles: behind: false -> true; it was false: push the home
//! last     the last handle goes: handles -= 1; look for work; in a handler: leave
//! take     all homes; of each: its link; behind = false; then do its work
//! ```
//!
//! A handler that finds handles leaves its work to who gives the last one up, and looks for
//! work after that. One that finds the home on the list already leaves it to who takes it
//! from there, and does the work after saying so.
//!
//! In atomics alone, so that loom checks it, and that each rule here is needed.

use core::marker::PhantomData;

use super::handles::{self, Handles};
use super::list::{List, NONE};
use crate::sync::atomic::Ordering::{self, AcqRel, Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicU64, fence};

/// Which rules hold: all, except in the mutants that loom's tests define.
pub(crate) trait Rules: 'static {
    /// A handler looks at the handles after its work is on a list: pairs with the fence of
    /// who gives the last one up, and looks for work after that.
    const FENCES: bool = true;
    /// From a handler that finds the home on the list to who takes it from there.
    const TAKEN: Ordering = AcqRel;
    /// The link is read before others may push the home again.
    const LINK_FIRST: bool = true;
}

/// Every rule holds.
pub(crate) struct Sound;

impl Rules for Sound {}

/// Whether a home is on the list, and its link.
pub(crate) struct Behind<R = Sound> {
    is_left: AtomicBool,
    link: AtomicU64,
    rules: PhantomData<R>,
}

impl<R: Rules> Behind<R> {
    pub(crate) fn new() -> Behind<R> {
        Behind {
            is_left: AtomicBool::new(false),
            link: AtomicU64::new(NONE),
            rules: PhantomData,
        }
    }

    /// Puts the home with this name on the list, unless it is there, or has handles. Its
    /// work is on its own lists by now.
    // Ordering: AcqRel. Release pairs with `take`, which does the work that came before.
    pub(crate) fn leave<H: handles::Rules>(&self, handles: &Handles<H>, name: u64, list: &List) {
        if R::FENCES {
            fence(SeqCst);
        }
        if !handles.any() && !self.is_left.swap(true, R::TAKEN) {
            list.push(name, &self.link);
        }
    }

    /// Takes the home off a list that is the caller's; the name of the next one.
    // Ordering: AcqRel: a read-modify-write, so that who found `true` here is either before
    // this, and its work is seen, or pushes the home again.
    pub(crate) fn take(&self) -> u64 {
        if !R::LINK_FIRST {
            self.is_left.swap(false, R::TAKEN);
        }
        let next = self.link.load(Relaxed);
        if R::LINK_FIRST {
            self.is_left.swap(false, R::TAKEN);
        }
        next
    }
}
