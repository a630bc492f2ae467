//! Dropping what nobody reaches any more: one after the other, however long the chain of
//! values that give up others is, and never in a signal handler.

use core::cell::Cell;
use core::sync::atomic::{Ordering, fence};
use std::collections::VecDeque;
use std::sync::Mutex;

use super::corrupt;
use super::home::Home;
use super::object::{Header, Remains};
use super::protocol::{NONE, Object};
use super::work::Ends;

/// Memory of dead objects that is kept poisoned, if objects are checked.
const QUARANTINE: usize = 64;

std::thread_local! {
    /// Whether this thread runs destructors: what they give up is dropped when they have
    /// ended.
    static DROPPING: Cell<bool> = const { Cell::new(false) };
    /// What they have given up so far, by links.
    static NEXT: Cell<u64> = const { Cell::new(NONE) };
    /// Handlers that this thread is in: nothing is run there.
    static HANDLERS: Cell<u32> = const { Cell::new(0) };
}

/// Runs `f` as in a signal handler: what it gives up is put on a list, and nothing is
/// dropped, until somebody does something in the domain outside.
pub(super) fn in_handler<R>(f: impl FnOnce() -> R) -> R {
    struct Leaves;
    impl Drop for Leaves {
        fn drop(&mut self) {
            HANDLERS.set(HANDLERS.get() - 1);
        }
    }
    HANDLERS.set(HANDLERS.get() + 1);
    let _leaves = Leaves;
    f()
}

pub(super) fn is_in_handler() -> bool {
    HANDLERS.get() != 0
}

/// Drops an object, and what its destructor gives up, and so on; or leaves it to the
/// destructor's caller that is already at it.
///
/// # Safety
///
/// Nobody reaches the object any more, and it is on no list.
pub(super) unsafe fn bury(object: Object) {
    // SAFETY: alive until it is dropped; nobody else reaches it.
    let (home, remains) = unsafe { (Header::named(object).home(), Remains::of(object)) };
    // SAFETY: the caller's contract.
    unsafe { bury_remains(home, object, remains) };
}

/// The same for an object that is taken apart already.
///
/// # Safety
///
/// As [`bury`]; of that home, and its remains.
pub(super) unsafe fn bury_remains(home: &'static Home, object: Object, remains: Remains) {
    /// Goes on where a destructor panicked: the others are for the next one.
    struct Rest;
    impl Drop for Rest {
        fn drop(&mut self) {
            DROPPING.set(false);
            while let Some(object) = next() {
                // SAFETY: dead, so nobody else's, and not dropped yet.
                let header = unsafe { Header::named(object) };
                let home = header.home();
                home.dead.push(object.0, &header.next);
                home.leave_behind();
            }
        }
    }
    if DROPPING.replace(true) {
        // SAFETY: as the caller says: nobody else's.
        let header = unsafe { Header::named(object) };
        header.next.store(NEXT.replace(object.0), Ordering::Relaxed);
        core::mem::forget(remains);
        return;
    }
    let _rest = Rest;
    // SAFETY: the caller's contract.
    unsafe { drop_one(home, remains) };
    while let Some(object) = next() {
        // SAFETY: put there by the caller of the above, under the same contract.
        unsafe {
            let home = Header::named(object).home();
            drop_one(home, Remains::of(object));
        }
    }
}

fn next() -> Option<Object> {
    let object = Object(NEXT.get());
    if object.0 == NONE {
        return None;
    }
    // SAFETY: on the list, so nobody else's, and alive.
    NEXT.set(
        unsafe { Header::named(object) }
            .next
            .load(Ordering::Relaxed),
    );
    Some(object)
}

/// # Safety
///
/// Nobody reaches the object any more, and it is on no list.
unsafe fn drop_one(home: &'static Home, remains: Remains) {
    let _ends = Ends(home);
    // Ordering: Release, for an object that was made of this one's: who sees this freed sees
    // that one made (`Handles::begin_again`). Counts are plain stores.
    fence(Ordering::Release);
    home.counts.freed.inc();
    // If it panics its memory goes all the same.
    // SAFETY: once, for it is on no list any more.
    unsafe { remains.drop_value() };
    match home.policy.checks() {
        true => home.quarantine.keep(remains),
        false => drop(remains),
    }
}

/// Poisoned memory.
pub(super) struct Quarantine(Mutex<VecDeque<Remains>>);

impl Quarantine {
    pub(super) const fn new() -> Quarantine {
        Quarantine(Mutex::new(VecDeque::new()))
    }

    /// Poisons what is left of an object, and keeps it for a while.
    fn keep(&self, remains: Remains) {
        remains.poison();
        // In a child of `fork` somebody may hold it for ever.
        let Ok(mut kept) = self.0.try_lock() else {
            return;
        };
        kept.push_back(remains);
        if kept.len() > QUARANTINE
            && let Some(oldest) = kept.pop_front()
            && !oldest.is_poisoned()
        {
            corrupt("a dead object was written to");
        }
    }
}
