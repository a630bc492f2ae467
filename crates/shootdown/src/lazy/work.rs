//! What there is to do in a home, and who does it: objects whose last count is gone, and
//! values to drop.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use percid_rseq::generation;

use super::behind::Left;
use super::dead;
use super::home::Home;
use super::list::NONE;
use super::object::{Header, Remains, name_of};
use super::protocol::{Object, Outcome, Tend, drive};
use super::real::Real;

/// Whether handlers have left homes with work and without handles.
static LEFT: Left = Left::new();

/// Slots go back at the end, also where a destructor panics.
pub(super) struct Ends<'a>(pub(super) &'a Home);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.give_slots_back();
    }
}

impl Home {
    /// The last counted reference of an object is gone.
    ///
    /// # Safety
    ///
    /// Nobody else has seen it go.
    // By a pointer: another thread may free the object before this returns.
    pub(super) unsafe fn condemn(&self, object: NonNull<Header>) {
        // SAFETY: nobody frees it before it is on a list.
        let header = unsafe { object.as_ref() };
        if header.references.is_in_no_mask() {
            let counts = &self.counts;
            match header.references.was_cached() {
                false => counts.never_cached.inc(),
                true if header.references.was_emptied() => {
                    counts.saved_by_switch_away.barriers.inc()
                }
                true => counts.saved_by_clear_bits.barriers.inc(),
            }
            if dead::is_in_handler() {
                self.dead.push(name_of(object).0, &header.next);
                return self.leave_behind();
            }
            // SAFETY: neither counted nor in a slot, and never on a list.
            unsafe { dead::bury(name_of(object)) };
            // What a handler gave up.
            if !self.dead.is_empty() {
                self.tend(false);
            }
        } else {
            // SAFETY: its last count is gone, and only the caller has seen that.
            unsafe { self.push_dying(object) };
            self.tend(false);
        }
    }

    /// An object that nobody but the caller has ever had is dropped; it is named, and given
    /// as what is left of it.
    ///
    /// # Safety
    ///
    /// So it is, and what is left is of it.
    pub(super) unsafe fn take_apart(&'static self, object: NonNull<Header>, remains: Remains) {
        self.counts.never_cached.inc();
        if dead::is_in_handler() {
            core::mem::forget(remains);
            // SAFETY: alive until it is taken off the list.
            let link = unsafe { &(*object.as_ptr()).next };
            self.dead.push(name_of(object).0, link);
            return self.leave_behind();
        }
        // SAFETY: the caller's contract.
        unsafe { dead::bury_remains(self, name_of(object), remains) };
        // What a handler gave up.
        if !self.dead.is_empty() {
            self.tend(false);
        }
    }

    /// # Safety
    ///
    /// Nobody else's, and alive. From here on it is whose the lock is.
    pub(super) unsafe fn push_dying(&self, object: NonNull<Header>) {
        // SAFETY: alive until it is on the list.
        let link = unsafe { &(*object.as_ptr()).next };
        self.dying.push(name_of(object).0, link);
        // After the push, so that nobody sees more than there are and waits for them.
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// Has whoever has the lock look at its kept marks.
    #[cold]
    pub(super) fn nudge(&self) {
        // Ordering: SeqCst, as `Tend` says.
        self.nudged.store(true, Ordering::SeqCst);
        self.tend(false);
    }

    /// Does what there is to do, if nobody else does: shootdowns that are due, or, by
    /// `force`, all; then the destructors. And what handlers have left elsewhere.
    #[cold]
    pub(super) fn tend(&self, force: bool) {
        if dead::is_in_handler() {
            return self.leave_behind();
        }
        self.do_work(force);
        Home::take_over();
    }

    /// A handler has left work, or a destructor that panicked. Without handles nobody would
    /// come for it.
    pub(super) fn leave_behind(&self) {
        LEFT.leave(&self.handles);
    }

    /// Does what handlers have left where there are no handles.
    pub(super) fn take_over() {
        if dead::is_in_handler() {
            return;
        }
        let nudge = |home: &Home| {
            if !home.has_handles() {
                home.nudged.store(true, Ordering::SeqCst);
            }
        };
        LEFT.come(generation(), Home::all, nudge, |home, says_more| {
            if !home.has_handles()
                && (home.has_work(true) || home.has_parked() || !home.dead.is_empty())
            {
                says_more();
                home.do_work(true);
            }
        });
    }

    fn do_work(&self, force: bool) {
        let _ends = Ends(self);
        // Ordering: SeqCst, as `nudge`. Who has the lock may just lay a batch aside, as if
        // there were handles. And in a child of `fork` a thread may be gone that had left a
        // marked slot, and had yet to say so.
        if force {
            self.nudged.store(true, Ordering::SeqCst);
        }
        while self.has_work(force) || self.has_parked() || !self.dead.is_empty() {
            let mut real = Real::new(self, force);
            let tend = Tend::new(self.policy.filters());
            let outcome = drive(tend, &mut real);
            let dropped = self.bury(real.dead());
            if outcome == Outcome::Refused || !dropped && !self.has_work(force) {
                break;
            }
            // Somebody else has the lock, and looks again after giving it back.
            if !dropped && self.lock.load(Ordering::SeqCst) != 0 {
                break;
            }
        }
    }

    pub(super) fn has_work(&self, force: bool) -> bool {
        let batch = self.policy.batch();
        let all = force || batch == 1 || !self.has_handles();
        let due = if all {
            !self.dying.is_empty()
        } else {
            // The list, too: in a child of `fork` the number may be that of objects which a
            // thread of its parent had in hand.
            self.waiting.load(Ordering::SeqCst) >= batch.into() && !self.dying.is_empty()
        };
        due || self.nudged.load(Ordering::SeqCst)
    }

    /// Whether a batch waits for somebody's fence.
    pub(super) fn has_parked(&self) -> bool {
        // Ordering: SeqCst, as `has_work`.
        self.parked.load(Ordering::SeqCst) != 0
    }

    /// Drops what is dead; whether there was anything.
    fn bury(&self, first: u64) -> bool {
        /// Goes on where a destructor panicked: the others are for the next one.
        struct Rest<'a>(&'a Home, u64);
        impl Rest<'_> {
            fn next(&mut self) -> Option<Object> {
                let object = Object(self.1);
                if object.0 == NONE {
                    return None;
                }
                // SAFETY: on the list, so nobody else's, and alive.
                let header = unsafe { Header::named(object) };
                self.1 = header.next.load(Ordering::Relaxed);
                Some(object)
            }
        }
        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                while let Some(object) = self.next() {
                    // SAFETY: as above.
                    let header = unsafe { Header::named(object) };
                    self.0.dead.push(object.0, &header.next);
                    self.0.leave_behind();
                }
            }
        }
        let mut dropped = false;
        let given_up = match self.dead.is_empty() {
            true => NONE,
            false => self.dead.take(),
        };
        // Both now: a panic in the first is not to lose the second.
        for mut rest in [first, given_up].map(|first| Rest(self, first)) {
            while let Some(object) = rest.next() {
                dropped = true;
                // SAFETY: dead: its counts are zero, no slot has it, and no list any more.
                unsafe { dead::bury(object) };
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::Policy;
    use super::*;

    /// In a child of `fork` the number may say more than the list holds.
    #[test]
    fn a_number_alone_is_no_work() {
        let home = Home::new(None, Policy::new().batch(8)).expect("room for slots");
        home.hold();
        home.waiting.store(100, Ordering::SeqCst);
        assert!(!home.has_work(false) && !home.has_work(true));
        home.waiting.store(0, Ordering::SeqCst);
        home.give_up();
    }

    /// A thread of the parent was about to count what it had put there.
    #[test]
    fn a_number_that_is_too_low_is_put_right() {
        let home = Home::new(None, Policy::new().batch(8)).expect("room for slots");
        home.waiting.store(-1, Ordering::SeqCst);
        // SAFETY: nobody else has this home.
        unsafe { (*home.working.get()).is_of_another_process() };
        home.do_work(true);
        assert_eq!(home.waiting.load(Ordering::SeqCst), 0);
        home.give_up();
    }
}
