//! What a domain is inside: its slots, its lists, and the lock of its shootdowns.
//!
//! Homes are never freed, and used again for other domains. So whoever has left a slot,
//! and finds then that its shootdown waits for that, may turn to the slot's home, though
//! by now nothing of it may be left.
//!
//! A home is used again when no handle (a domain, a cell) is there and as many objects
//! were freed as were made: then nobody is left who could make another.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use percid::{ArenaError, Source, backend};
use percid_rseq::membarrier;

use super::dead::{self, Quarantine};
use super::handles::Handles;
use super::list::List;
use super::object::{Header, Remains, name_of};
use super::policy::{Counts, Policies, Policy};
use super::protocol::{NONE, Object, Outcome, Tend, drive};
use super::real::{Real, Working};
use super::slots::{Slots, WAYS};

/// A domain of lazy references.
pub(super) struct Home {
    pub(super) slots: Slots,
    pub(super) policy: Policies,
    /// Whether objects are cached at all: sections and fences are to be had.
    pub(super) caches: bool,
    pub(super) counts: Counts,
    /// The process whose thread holds the lock, by its generation; 0 is nobody.
    pub(super) lock: AtomicU32,
    /// What the owner of the lock works on.
    pub(super) working: UnsafeCell<Working>,
    /// Objects without counted references, and how many.
    pub(super) dying: List,
    pub(super) waiting: AtomicI64,
    /// Objects that wait, marked, for somebody's fence.
    pub(super) parked: AtomicU32,
    /// A holder has left a slot that is marked, or replaced a marked pointer.
    pub(super) nudged: AtomicBool,
    /// Objects to drop.
    pub(super) dead: List,
    pub(super) quarantine: Quarantine,
    /// The next cell's way.
    next_way: AtomicUsize,
    handles: Handles,
    /// Whether it is among the homes to be used again.
    spare: AtomicBool,
    link: AtomicU64,
}

// SAFETY: `working` is used by the owner of the lock only; the rest is for all threads.
unsafe impl Sync for Home {}

/// Homes without handles.
static SPARE: List = List::new();

impl Home {
    /// A home with one handle.
    pub(super) fn new(policy: Policy) -> Result<&'static Home, ArenaError> {
        let home = match Home::used(policy.switch_away) {
            Some(home) => home,
            None => Home::make(policy.switch_away)?,
        };
        home.policy.set(policy);
        Ok(home)
    }

    fn make(looks: bool) -> Result<&'static Home, ArenaError> {
        let sections = !matches!(backend().source, Source::Thread);
        Ok(Box::leak(Box::new(Home {
            slots: Slots::new(looks)?,
            policy: Policies::default(),
            // Registers for the fence, too, before anybody waits for one. That it aborts
            // sections is not asked: a take that it does not abort commits later, and
            // finds the mark. See "Why a hit is safe".
            caches: sections && membarrier::fence().is_ok(),
            counts: Counts::default(),
            lock: AtomicU32::new(0),
            working: UnsafeCell::default(),
            dying: List::new(),
            waiting: AtomicI64::new(0),
            parked: AtomicU32::new(0),
            nudged: AtomicBool::new(false),
            dead: List::new(),
            quarantine: Quarantine::new(),
            next_way: AtomicUsize::new(0),
            handles: Handles::new(),
            spare: AtomicBool::new(false),
            link: AtomicU64::new(NONE),
        })))
    }

    /// One that can be used again, with one handle.
    fn used(looks: bool) -> Option<&'static Home> {
        let mut found = None;
        let mut next = SPARE.take();
        while next != NONE {
            // SAFETY: homes are on this list only, by their addresses, and are never freed.
            let home = unsafe { Home::at(next) };
            next = home.link.load(Ordering::Relaxed);
            if found.is_none() && home.slots.looks() == looks && home.begin_again() {
                home.spare.store(false, Ordering::Release);
                found = Some(home);
            } else {
                SPARE.push(home.name(), &home.link);
            }
        }
        found
    }

    /// Takes a handle of a home off the list, if it has no other, nor anybody who could
    /// make one.
    fn begin_again(&self) -> bool {
        match self.handles.begin_again(|| self.is_empty()) {
            Some(true) => true,
            Some(false) => {
                self.give_up();
                false
            }
            None => false,
        }
    }

    /// Whether no object is left; for who has the only handle, so that none is made.
    fn is_empty(&self) -> bool {
        self.counts.freed.sum() == self.counts.made.sum()
    }

    /// # Safety
    ///
    /// The name of a home.
    pub(super) unsafe fn at(name: u64) -> &'static Home {
        // SAFETY: homes are leaked.
        unsafe { &*core::ptr::with_exposed_provenance(name as usize) }
    }

    /// What stands for it in its slots.
    pub(super) fn name(&self) -> u64 {
        core::ptr::from_ref(self).expose_provenance() as u64
    }

    /// One more handle; the way that a cell with it uses first.
    pub(super) fn hold(&self) -> usize {
        self.handles.hold();
        self.next_way.fetch_add(1, Ordering::Relaxed) % WAYS
    }

    /// A handle goes.
    pub(super) fn give_up(&self) {
        /// Keeps the home for others, also if a value panics when it is dropped.
        struct Keep<'a>(&'a Home);

        impl Drop for Keep<'_> {
            fn drop(&mut self) {
                if !self.0.spare.swap(true, Ordering::AcqRel) {
                    SPARE.push(self.0.name(), &self.0.link);
                }
            }
        }

        if !self.handles.give_up() {
            return;
        }
        let _keep = Keep(self);
        // What was left to whoever comes.
        self.tend(true);
    }

    pub(super) fn has_handles(&self) -> bool {
        self.handles.any()
    }

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
            self.counts.never_cached.inc();
            if dead::is_in_handler() {
                return self.dead.push(name_of(object).0, &header.next);
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
            return self.dead.push(name_of(object).0, link);
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
    /// `force`, all; then the destructors.
    #[cold]
    pub(super) fn tend(&self, force: bool) {
        if dead::is_in_handler() {
            return;
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
        // Ordering: SeqCst, after `give_up`: pairs with `park`.
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
    use super::*;

    /// In a child of `fork` the number may say more than the list holds.
    #[test]
    fn a_number_alone_is_no_work() {
        let home = Home::new(Policy::new().batch(8)).expect("room for slots");
        home.hold();
        home.waiting.store(100, Ordering::SeqCst);
        assert!(!home.has_work(false) && !home.has_work(true));
        home.waiting.store(0, Ordering::SeqCst);
        home.give_up();
    }
}
