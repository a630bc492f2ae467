//! Two objects, a cell and a slot: the real counts, with the least that is needed around.

use std::ptr::NonNull;
use std::sync::atomic::AtomicBool as Flag;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicU64, fence};

use crate::held::{Held, given, is_lent, word};
use crate::references::{References, Rules};

/// Objects are named by numbers, from 2; the lowest bit is a mark.
pub(super) const FIRST: u64 = 2;
pub(super) const SECOND: u64 = 4;
pub(super) const MARK: u64 = 1;
pub(super) const NONE: u64 = 0;

pub(super) struct Object<R> {
    references: References<R>,
    value: UnsafeCell<u64>,
    ended: Flag,
}

/// Orderings of the slot: how it is left, and looked at by who has marked it.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) leave: Ordering,
    pub(super) idle: Ordering,
}

pub(super) const SLOT: Slot = Slot {
    leave: Release,
    idle: Acquire,
};

/// Two objects, a cell that has the first one, and a slot of one cid.
pub(super) struct World<R> {
    slot: Slot,
    objects: [NonNull<Object<R>>; 2],
    pub(super) cell: Held<R>,
    active: AtomicU64,
    pointer: AtomicU64,
}

// SAFETY: objects are shared, as those of the library are; loom looks how.
unsafe impl<R> Send for World<R> {}
// SAFETY: as above.
unsafe impl<R> Sync for World<R> {}

impl<R: Rules> World<R> {
    /// The cell has the first object, alone or not.
    pub(super) fn new(alone: bool) -> Arc<World<R>> {
        World::with_slot(alone, SLOT)
    }

    pub(super) fn with_slot(alone: bool, slot: Slot) -> Arc<World<R>> {
        let object = || {
            let object = Object {
                references: References::new(0),
                value: UnsafeCell::new(7),
                ended: Flag::new(false),
            };
            NonNull::from(Box::leak(Box::new(object)))
        };
        Arc::new(World {
            slot,
            objects: [object(), object()],
            cell: Held::new(word::<R>(FIRST, alone)),
            active: AtomicU64::new(0),
            pointer: AtomicU64::new(NONE),
        })
    }

    pub(super) fn object(&self, name: u64) -> NonNull<Object<R>> {
        self.objects[name as usize / 2 - 1]
    }

    pub(super) fn references(&self, name: u64) -> &References<R> {
        // SAFETY: the memory stays until the model has ended; loom sees who is late.
        unsafe { &(*self.object(name).as_ptr()).references }
    }

    /// Reads the value, by whatever reference.
    pub(super) fn read(&self, name: u64) {
        // SAFETY: as above.
        let object = unsafe { self.object(name).as_ref() };
        assert!(!object.ended.load(Relaxed), "a read of what is gone");
        // SAFETY: loom checks just that.
        let value = object.value.with(|value| unsafe { *value });
        assert!(value == 7 || value == 8);
    }

    /// Nobody reaches it any more.
    pub(super) fn free(&self, name: u64) {
        let object = self.object(name).as_ptr();
        // SAFETY: as above.
        let before = unsafe { (*object).ended.swap(true, Relaxed) };
        assert!(!before, "freed twice");
        // SAFETY: loom checks just that.
        unsafe {
            (*object).value.with_mut(|value| *value = 0);
            (*object).references.end();
        }
    }

    pub(super) fn give_back(&self, name: u64, given: u64) {
        // SAFETY: the memory stays; the callers have the count.
        let last = unsafe {
            let references =
                NonNull::new_unchecked(&raw mut (*self.object(name).as_ptr()).references);
            References::give_back(references, given)
        };
        if last {
            self.condemn(name);
        }
    }

    /// The last count is gone.
    pub(super) fn condemn(&self, name: u64) {
        let marked = name | MARK;
        if self.references(name).is_in_no_mask()
            || self
                .pointer
                .compare_exchange(name, marked, AcqRel, Acquire)
                .is_err()
        {
            return self.free(name);
        }
        fence(SeqCst);
        if self.active.load(self.slot.idle) == 0 {
            self.resolve(name);
        }
    }

    /// Who takes the mark away frees.
    pub(super) fn resolve(&self, name: u64) {
        let taken = self
            .pointer
            .compare_exchange(name | MARK, NONE, AcqRel, Acquire);
        if taken.is_ok() {
            self.free(name);
        }
    }

    /// Takes the slot; what it holds.
    pub(super) fn take(&self) -> u64 {
        self.active.store(1, Relaxed);
        fence(SeqCst);
        self.pointer.load(Acquire)
    }

    pub(super) fn leave(&self, name: u64) {
        self.active.store(0, self.slot.leave);
        fence(SeqCst);
        if self.pointer.load(Relaxed) == name | MARK {
            self.resolve(name);
        }
    }

    /// A load of the cell that misses: a lease of what it holds. The slot is taken.
    pub(super) fn load(&self, cell: &Held<R>) -> u64 {
        let name = self.counted(cell);
        self.pointer.swap(name, AcqRel);
        self.references(name).cache(0);
        if self.references(name).give_cached_back() {
            self.condemn(name);
        }
        name
    }

    pub(super) fn counted(&self, cell: &Held<R>) -> u64 {
        cell.count(|name| {
            // What it is made of is read.
            self.read(name);
            self.references(name)
        })
    }

    /// The slot is used for something else, or emptied.
    pub(super) fn empty(&self, name: u64) {
        if self.take() == name {
            // SAFETY: the slot is taken, and holds the object, unmarked.
            unsafe {
                let references =
                    NonNull::new_unchecked(&raw mut (*self.object(name).as_ptr()).references);
                References::clear(references, 0);
            }
        }
        let was = self.pointer.swap(NONE, AcqRel);
        if was & MARK != 0 {
            self.free(was & !MARK);
        }
        self.active.store(0, Release);
    }

    /// Gives a cell's count of the first object up.
    pub(super) fn settle(&self, old: u64) {
        match is_lent(old) {
            true => self.give_back(FIRST, given(old, 0)),
            false => self.free(FIRST),
        }
    }

    /// Puts the second object into the cell, and gives the first one up.
    pub(super) fn replace(&self) {
        // SAFETY: nobody else has it yet. Loom sees who reads it too early.
        unsafe { self.object(SECOND).as_ref() }
            .value
            .with_mut(|value| unsafe { *value = 8 });
        let alone = self.references(SECOND).show();
        let old = self.cell.swap(word::<R>(SECOND, alone));
        self.settle(old);
    }

    /// The end of the model: what was given up is freed.
    pub(super) fn ends(&self, freed: [bool; 2]) {
        for (object, freed) in self.objects.iter().zip(freed) {
            // SAFETY: the threads have been joined.
            let object = unsafe { Box::from_raw(object.as_ptr()) };
            assert_eq!(object.ended.load(Relaxed), freed, "what is left");
        }
    }
}
