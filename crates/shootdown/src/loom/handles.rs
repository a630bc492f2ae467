//! When a home of lazy references is used again: with the real handles.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::AtomicU32 as Truth;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{self, Relaxed};
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
}

#[track_caller]
fn found(model: fn()) {
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
