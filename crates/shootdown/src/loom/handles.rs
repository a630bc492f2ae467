//! When a home of lazy references is used again: with the real handles.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::AtomicU32 as Truth;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

use crate::handles::{Handles, Rules, Sound};

/// A home: what was made and freed is counted by plain additions, as cids do.
struct Home<R> {
    handles: Handles<R>,
    made: AtomicU64,
    freed: AtomicU64,
    /// Handles and objects that there are.
    left: Truth,
}

/// Somebody makes an object, gives the domain up, makes a cell of the object, gives that
/// up, too, and frees the object. Somebody else wants the home.
fn an_object_that_outlives_handles<R: Rules>() {
    let home = Arc::new(Home {
        handles: Handles::<R>::new(),
        made: AtomicU64::new(0),
        freed: AtomicU64::new(0),
        left: Truth::new(1),
    });
    let other = {
        let home = Arc::clone(&home);
        thread::spawn(move || {
            home.left.fetch_add(1, Relaxed);
            home.made.store(1, Relaxed);
            give_up(&home);
            home.left.fetch_add(1, Relaxed);
            home.handles.hold();
            give_up(&home);
            home.left.fetch_sub(1, Relaxed);
            home.freed.store(1, Relaxed);
        })
    };
    let is_empty = || home.freed.load(Relaxed) == home.made.load(Relaxed);
    match home.handles.begin_again(is_empty) {
        Some(true) => assert_eq!(home.left.load(Relaxed), 0, "a home that is in use"),
        Some(false) => drop(home.handles.give_up()),
        None => {}
    }
    other.join().unwrap();
}

/// A home whose slots go back to the domain that they are of.
struct Scoped<R> {
    handles: Handles<R>,
    made: u64,
    /// By one cid, and by another.
    freed: AtomicU64,
    freed_too: AtomicU64,
    /// The slot's bit in its object's mask.
    bit: AtomicU64,
    slots: UnsafeCell<u64>,
}

// SAFETY: that the slots are not used at the same time is what loom looks at.
unsafe impl<R> Sync for Scoped<R> {}
// SAFETY: as above.
unsafe impl<R> Send for Scoped<R> {}

impl<R: Rules> Scoped<R> {
    /// Without handles.
    fn new() -> Arc<Scoped<R>> {
        let home = Scoped::with_a_handle(1);
        home.handles.give_up();
        home
    }

    fn with_a_handle(made: u64) -> Arc<Scoped<R>> {
        Arc::new(Scoped {
            handles: Handles::new(),
            made,
            freed: AtomicU64::new(0),
            freed_too: AtomicU64::new(0),
            bit: AtomicU64::new(1),
            slots: UnsafeCell::new(0),
        })
    }

    fn use_slots(&self) {
        // SAFETY: loom looks.
        self.slots.with(|slots| unsafe { *slots });
    }

    /// An object is freed; the only one but where two threads free one each.
    fn free(&self) {
        fence(Release);
        self.freed.store(1, Relaxed);
    }

    fn give_slots_back(&self) {
        if !self.handles.are_gone() {
            return;
        }
        let is_empty = || {
            let freed = [&self.freed, &self.freed_too].map(|freed| freed.load(Relaxed));
            freed.iter().sum::<u64>() == self.made
        };
        match self.handles.begin_again(is_empty) {
            // SAFETY: loom looks.
            Some(true) => self.slots.with_mut(|slots| unsafe { *slots = 1 }),
            Some(false) => {}
            None => return,
        }
        self.handles.give_up();
    }

    /// Whether they are, when nobody does anything any more.
    fn has_slots(&self) -> bool {
        // SAFETY: loom looks.
        self.slots.with(|slots| unsafe { *slots == 0 })
    }
}

/// A shootdown has been at the slots, and frees the object; somebody gives them back.
fn slots_of_what_is_freed<R: Rules>() {
    let home = Scoped::<R>::new();
    let other = {
        let home = Arc::clone(&home);
        thread::spawn(move || {
            home.use_slots();
            home.free();
            home.give_slots_back();
        })
    };
    home.give_slots_back();
    other.join().unwrap();
}

/// A holder empties a slot; who finds no bit frees the object, and gives the slots back.
fn an_emptied_slot<R: Rules>(holds: bool) {
    let home = Scoped::<R>::new();
    let other = {
        let home = Arc::clone(&home);
        thread::spawn(move || {
            if home.bit.load(Acquire) == 0 {
                home.free();
                home.give_slots_back();
            }
        })
    };
    if holds {
        home.handles.hold();
    }
    home.bit.store(0, Release);
    home.use_slots();
    if holds {
        home.handles.give_up();
        home.give_slots_back();
    }
    other.join().unwrap();
}

/// The last object is freed while the last handle goes.
fn the_last_object_and_the_last_handle<R: Rules>() {
    let home = Scoped::<R>::with_a_handle(1);
    let other = {
        let home = Arc::clone(&home);
        thread::spawn(move || {
            home.free();
            home.give_slots_back();
        })
    };
    if home.handles.give_up() {
        home.give_slots_back();
    }
    other.join().unwrap();
    assert!(!home.has_slots(), "slots that nobody gives back");
}

/// Two threads free the last two objects.
fn the_last_two_objects<R: Rules>() {
    let home = Scoped::<R>::with_a_handle(2);
    home.handles.give_up();
    let other = {
        let home = Arc::clone(&home);
        thread::spawn(move || {
            home.free();
            home.give_slots_back();
        })
    };
    fence(Release);
    home.freed_too.store(1, Relaxed);
    home.give_slots_back();
    other.join().unwrap();
    assert!(!home.has_slots(), "slots that nobody gives back");
}

fn give_up<R: Rules>(home: &Home<R>) {
    home.left.fetch_sub(1, Relaxed);
    home.handles.give_up();
}

/// The rules, but for one.
macro_rules! but {
    ($($mutant:ident: $rule:ident: $type:ty = $value:expr;)*) => {$(
        struct $mutant;

        impl Rules for $mutant {
            const $rule: $type = $value;
        }
    )*};
}

but! {
    LooksOnce: LOOKS_AGAIN: bool = false;
    AgainRelaxed: AGAIN: Ordering = Relaxed;
    GivesUpRelaxed: GIVE_UP: Ordering = Relaxed;
    SeesNoEnds: SEES_ENDS: bool = false;
    EndsUnfenced: END_FENCES: bool = false;
}

#[track_caller]
fn found(model: impl Fn() + Sync + Send + 'static) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| loom::model(model)));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
}

#[test]
fn a_home_is_used_again_when_nothing_is_left() {
    loom::model(an_object_that_outlives_handles::<Sound>);
}

#[test]
fn a_home_that_is_looked_at_once() {
    found(an_object_that_outlives_handles::<LooksOnce>);
}

#[test]
fn a_home_whose_objects_are_not_seen() {
    found(an_object_that_outlives_handles::<AgainRelaxed>);
    found(an_object_that_outlives_handles::<GivesUpRelaxed>);
}

#[test]
fn slots_are_given_back_when_nobody_is_at_them() {
    loom::model(slots_of_what_is_freed::<Sound>);
    loom::model(|| an_emptied_slot::<Sound>(true));
}

#[test]
fn slots_given_back_by_who_has_not_seen_their_end() {
    found(slots_of_what_is_freed::<SeesNoEnds>);
}

#[test]
fn slots_are_given_back_by_somebody() {
    loom::model(the_last_object_and_the_last_handle::<Sound>);
    loom::model(the_last_two_objects::<Sound>);
}

#[test]
fn an_end_without_a_fence() {
    found(the_last_object_and_the_last_handle::<EndsUnfenced>);
    found(the_last_two_objects::<EndsUnfenced>);
}

#[test]
fn a_slot_that_is_emptied_without_a_handle() {
    found(|| an_emptied_slot::<Sound>(false));
}
