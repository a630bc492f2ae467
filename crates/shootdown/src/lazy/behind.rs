//! What handlers leave behind: homes with work, and without a handle by which anybody would
//! come to do it. A flag of the process says that there is something, to whoever comes by
//! any domain; who that is looks at all homes.
//!
//! ```text
//! leave    by a handler, after it has put its work on the home's lists:
//!          without handles: flag = true
//! last     the last handle goes: handles -= 1; look for work; in a handler: leave
//! come     another process than the last time: nudge all homes without handles; flag = true
//!          flag: true -> false; then of each home that has work, and no handles:
//!          flag = true; do its work
//! ```
//!
//! A handler that finds handles leaves its work to who gives the last one up, and looks for
//! work after that.
//!
//! Nobody has a home in hand. While one's work is done, which may last, or panic, or fork,
//! the flag says that there are others; so it does once too often at the end. A child of
//! `fork` does not hear of what its parent's threads were about to say: it looks at all.
//!
//! In atomics alone, so that loom checks it, and that each rule here is needed.

use core::marker::PhantomData;

use super::handles::{self, Handles};
use crate::sync::atomic::Ordering::{self, AcqRel, Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicU32, fence};

/// Which rules hold: all, except in the mutants that loom's tests define.
pub(crate) trait Rules: 'static {
    /// A handler looks at the handles after its work is on a list: pairs with the fence of
    /// who gives the last one up, and looks for work after that.
    const FENCES: bool = true;
    /// From a handler to who takes the flag, also where it was set already.
    const TAKEN: Ordering = AcqRel;
    /// The flag is set while work is done.
    const SAYS_MORE: bool = true;
    /// A child of `fork` looks at all homes.
    const HEEDS_FORKS: bool = true;
}

/// Every rule holds.
pub(crate) struct Sound;

impl Rules for Sound {}

/// Whether something is left anywhere.
pub(crate) struct Left<R = Sound> {
    flag: AtomicBool,
    /// The process that has looked at all homes, by its generation; 0 is none.
    process: AtomicU32,
    rules: PhantomData<R>,
}

impl<R: Rules> Left<R> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Left<R> {
        Left {
            flag: AtomicBool::new(false),
            process: AtomicU32::new(0),
            rules: PhantomData,
        }
    }

    #[cfg(loom)]
    pub(crate) fn new(process: u32) -> Left<R> {
        Left {
            flag: AtomicBool::new(false),
            process: AtomicU32::new(process),
            rules: PhantomData,
        }
    }

    /// Says so of a home, unless it has handles. Its work is on its own lists by now.
    pub(crate) fn leave<H: handles::Rules>(&self, handles: &Handles<H>) {
        if R::FENCES {
            fence(SeqCst);
        }
        if !handles.any() {
            self.set();
        }
    }

    // Ordering: AcqRel: a read-modify-write, so that who takes the flag sees the work of all
    // who have set it, and not only of the last.
    fn set(&self) {
        self.flag.swap(true, R::TAKEN);
    }

    /// For who comes by any domain: does the work of homes without handles, if there may be
    /// some. `nudge` has `work` find what threads knew that this process does not have;
    /// `work` does what there is, after the call that it is given.
    // Ordering: Relaxed loads: who was told of something left finds it, and others may miss
    // it. The process changes where there is one thread.
    pub(crate) fn come<'a, T: 'a, I: Iterator<Item = &'a T>>(
        &self,
        process: u32,
        homes: impl Fn() -> I,
        nudge: impl Fn(&'a T),
        work: impl Fn(&'a T, &dyn Fn()),
    ) {
        if R::HEEDS_FORKS && self.process.load(Relaxed) != process {
            homes().for_each(nudge);
            self.set();
            self.process.store(process, Relaxed);
        }
        if !self.flag.load(Relaxed) || !self.flag.swap(false, R::TAKEN) {
            return;
        }
        for home in homes() {
            work(home, &|| {
                if R::SAYS_MORE {
                    self.set();
                }
            });
        }
    }
}
