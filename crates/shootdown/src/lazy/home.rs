//! What a domain is inside: its slots, its lists, and the lock of its shootdowns.
//!
//! Homes are never freed, and used again for other domains. So whoever has left a slot,
//! and finds then that its shootdown waits for that, may turn to the slot's home, though
//! by now nothing of it may be left.
//!
//! A home is used again when no handle (a domain, a cell) is there and as many objects
//! were freed as were made: then nobody is left who could make another.
//!
//! # Slots
//!
//! Those of the process's ids stay with their home, for ever. Those of a domain of its own
//! ids go back to it as soon as the home could be used again: nobody touches them by then.
//! A load has a cell, which is a handle. A shootdown is at objects that are not freed. A
//! lease is left in two ways (`lease`): by a store to the slot and nothing after it, and who
//! frees the object has seen that store; or emptied, with a handle.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use percid::{ArenaError, Domain};

use super::dead::Quarantine;
use super::handles::Handles;
use super::list::{List, NONE};
use super::policy::{Counts, Policies, Policy};
use super::real::Working;
use super::slots::{Slots, WAYS};

/// A domain of lazy references.
pub(super) struct Home {
    kind: Kind,
    slots: UnsafeCell<Option<Slots>>,
    pub(super) policy: Policies,
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
    /// Times that marks were set.
    pub(super) announced: AtomicU64,
    /// A holder has left a slot that is marked, or replaced a marked pointer.
    pub(super) nudged: AtomicBool,
    /// Objects to drop.
    pub(super) dead: List,
    pub(super) quarantine: Quarantine,
    /// The next cell's way.
    next_way: AtomicUsize,
    pub(super) handles: Handles,
    /// The next one of all.
    link: AtomicU64,
}

/// Homes of one kind are used for one another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its slots are by the ids of a domain of their own, and not the process's.
    pub(super) scoped: bool,
    /// Who leaves a slot looks at its object before.
    pub(super) looks: bool,
}

// SAFETY: `working` is used by the owner of the lock only, and `slots` changes where nobody
// else has the home; the rest is for all threads.
unsafe impl Sync for Home {}

/// All homes.
static HOMES: List = List::new();

impl Home {
    /// A home with one handle; its slots are the process's, or in a domain of ids.
    pub(super) fn new(ids: Option<&Domain>, policy: Policy) -> Result<&'static Home, ArenaError> {
        let kind = Kind {
            scoped: ids.is_some(),
            looks: policy.switch_away,
        };
        let make = || match ids {
            Some(ids) => Slots::in_domain(ids),
            None => Slots::new(kind.looks),
        };
        let home = match Home::used(kind) {
            Some(home) => home,
            None => Home::make(kind, make()?),
        };
        if home.has_no_slots() {
            match make() {
                // SAFETY: this has the only handle, and nothing is left there.
                Ok(slots) => unsafe { *home.slots.get() = Some(slots) },
                Err(why) => {
                    home.give_up();
                    return Err(why);
                }
            }
        }
        home.policy.set(policy);
        Ok(home)
    }

    fn make(kind: Kind, slots: Slots) -> &'static Home {
        let home = Box::leak(Box::new(Home {
            kind,
            slots: UnsafeCell::new(Some(slots)),
            policy: Policies::default(),
            counts: Counts::default(),
            lock: AtomicU32::new(0),
            working: UnsafeCell::new(Working::new()),
            dying: List::new(),
            waiting: AtomicI64::new(0),
            parked: AtomicU32::new(0),
            announced: AtomicU64::new(0),
            nudged: AtomicBool::new(false),
            dead: List::new(),
            quarantine: Quarantine::new(),
            next_way: AtomicUsize::new(0),
            handles: Handles::new(),
            link: AtomicU64::new(NONE),
        }));
        HOMES.push(home.name(), &home.link);
        home
    }

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = &'static Home> {
        let mut next = HOMES.first();
        core::iter::from_fn(move || {
            (next != NONE).then(|| {
                // SAFETY: homes are on this list, by their names, and are never freed.
                let home = unsafe { Home::at(next) };
                next = home.link.load(Ordering::Relaxed);
                home
            })
        })
    }

    /// One that can be used again, with one handle. If it has slots, they are as many.
    fn used(kind: Kind) -> Option<&'static Home> {
        let mut spare = Home::all().filter(|home| home.kind == kind && !home.has_handles());
        let found = spare.find(|home| home.begin_again())?;
        found.vacate();
        Some(found)
    }

    /// Takes a handle of a home, if it has no other, nor anybody who could make one.
    fn begin_again(&self) -> bool {
        match self.handles.begin_again(|| self.is_empty()) {
            Some(true) => true,
            // A destructor that panics is not to meet another one.
            Some(false) if std::thread::panicking() => {
                if self.handles.give_up() {
                    self.leave_behind();
                }
                false
            }
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

    /// The slots of a domain go back to it, if nothing leads there any more. For who has
    /// freed something, or has given the last handle up.
    pub(super) fn give_slots_back(&self) {
        if self.kind.scoped && self.handles.are_gone() && self.begin_again() {
            self.vacate();
            // Nothing was made meanwhile, so there is nothing to look for.
            self.handles.give_up();
        }
    }

    /// The same, by who has the home alone.
    fn vacate(&self) {
        if self.kind.scoped {
            // SAFETY: who has the only handle, and has found as many objects freed as were
            // made, is the only one who could come to the slots: see the top.
            drop(unsafe { (*self.slots.get()).take() });
        }
    }

    /// For who has the only handle.
    fn has_no_slots(&self) -> bool {
        // SAFETY: they change by who has the home alone, which is the caller.
        unsafe { (*self.slots.get()).is_none() }
    }

    /// For who has a handle, or works on an object that is not freed.
    #[inline]
    pub(super) fn slots(&self) -> &Slots {
        // SAFETY: there, and not taken away before both are gone: see the top.
        let slots = unsafe { (*self.slots.get()).as_ref() };
        slots.expect("slots, where there are objects")
    }

    #[inline]
    pub(super) fn is_scoped(&self) -> bool {
        self.kind.scoped
    }

    /// Whether leases are to take objects out of their slots that have left their cells.
    pub(super) fn looks(&self) -> bool {
        self.kind.looks
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
        match self.handles.give_up() {
            // What was left to whoever comes.
            true => self.tend(true),
            false => Home::take_over(),
        }
    }

    pub(super) fn has_handles(&self) -> bool {
        self.handles.any()
    }
}
