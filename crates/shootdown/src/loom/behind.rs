//! What handlers leave behind is done, once: with the real lists, handles and homes' marks.

use std::sync::atomic::AtomicU32 as Truth;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{self, Relaxed};
use loom::thread;

use super::found;
use crate::behind::{self, Behind};
use crate::handles::{self, Handles};
use crate::list::{List, NONE};

/// Two homes, by their names: 1 and 2. Values are named as their home is.
struct World<R, H> {
    homes: [Home<R, H>; 2],
    left: List,
    but: But,
}

struct Home<R, H> {
    handles: Handles<H>,
    dead: List,
    link: AtomicU64,
    behind: Behind<R>,
    dropped: Truth,
}

/// What the model leaves out, beside rules.
#[derive(Clone, Copy, PartialEq)]
enum But {
    Nothing,
    /// Who gives the last handle up does not look for work.
    GoesBlindly,
    /// Handlers leave nothing behind: what the library did before.
    LeavesNothing,
}

impl<R: behind::Rules, H: handles::Rules> World<R, H> {
    fn new(but: But) -> Arc<World<R, H>> {
        let home = || Home {
            handles: Handles::new(),
            dead: List::new(),
            link: AtomicU64::new(NONE),
            behind: Behind::new(),
            dropped: Truth::new(0),
        };
        Arc::new(World {
            homes: [home(), home()],
            left: List::new(),
            but,
        })
    }

    fn home(&self, name: u64) -> &Home<R, H> {
        &self.homes[name as usize - 1]
    }

    /// A handler gives a value up.
    fn give_up(&self, name: u64) {
        let home = self.home(name);
        home.dead.push(name, &home.link);
        self.leave(name);
    }

    fn leave(&self, name: u64) {
        let home = self.home(name);
        if self.but != But::LeavesNothing {
            home.behind.leave(&home.handles, name, &self.left);
        }
    }

    /// The last handle goes, outside of handlers.
    fn end(&self, name: u64) {
        let home = self.home(name);
        if home.handles.give_up() && self.but != But::GoesBlindly {
            home.work();
        }
    }

    /// Somebody comes by another domain.
    fn take_over(&self) {
        if self.left.is_empty() {
            return;
        }
        let mut next = self.left.take();
        while next != NONE {
            let home = self.home(next);
            next = home.behind.take();
            home.work();
        }
    }

    fn ends(&self, names: &[u64]) {
        for &name in names {
            assert_eq!(self.home(name).dropped.load(Relaxed), 1, "leaked");
        }
    }
}

impl<R, H> Home<R, H> {
    fn work(&self) {
        if !self.dead.is_empty() && self.dead.take() != NONE {
            let before = self.dropped.fetch_add(1, Relaxed);
            assert_eq!(before, 0, "dropped twice");
        }
    }
}

/// A handler gives a value up while the last handle goes; then somebody comes.
fn a_handler_and_the_last_handle<R: behind::Rules, H: handles::Rules>(but: But) {
    let world = World::<R, H>::new(but);
    let other = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.give_up(1))
    };
    world.end(1);
    other.join().unwrap();
    world.take_over();
    world.ends(&[1]);
}

/// Two homes are left behind, one with nothing to do. A handler gives a value of that one up
/// while somebody comes; then somebody comes.
fn a_handler_and_who_comes<R: behind::Rules>() {
    let world = World::<R, handles::Sound>::new(But::Nothing);
    world.end(1);
    world.end(2);
    world.give_up(2);
    world.leave(1);
    let other = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.give_up(1))
    };
    world.take_over();
    other.join().unwrap();
    world.take_over();
    world.ends(&[1, 2]);
}

/// The rules, but for one.
macro_rules! but {
    ($($mutant:ident: $rules:path: $rule:ident: $type:ty = $value:expr;)*) => {$(
        struct $mutant;

        impl $rules for $mutant {
            const $rule: $type = $value;
        }
    )*};
}

but! {
    LooksUnfenced: behind::Rules: FENCES: bool = false;
    TakesRelaxed: behind::Rules: TAKEN: Ordering = Relaxed;
    LinkLast: behind::Rules: LINK_FIRST: bool = false;
    GoesUnfenced: handles::Rules: LAST_FENCES: bool = false;
}

#[test]
fn what_handlers_leave_is_done() {
    loom::model(|| a_handler_and_the_last_handle::<behind::Sound, handles::Sound>(But::Nothing));
    loom::model(a_handler_and_who_comes::<behind::Sound>);
}

#[test]
fn a_handler_that_looks_at_handles_early() {
    found(|| a_handler_and_the_last_handle::<LooksUnfenced, handles::Sound>(But::Nothing));
}

#[test]
fn a_last_handle_that_goes_after_the_look() {
    found(|| a_handler_and_the_last_handle::<behind::Sound, GoesUnfenced>(But::Nothing));
}

#[test]
fn a_last_handle_that_goes_without_a_look() {
    found(|| a_handler_and_the_last_handle::<behind::Sound, handles::Sound>(But::GoesBlindly));
}

#[test]
fn handlers_that_leave_nothing_behind() {
    found(|| a_handler_and_the_last_handle::<behind::Sound, handles::Sound>(But::LeavesNothing));
}

#[test]
fn a_home_taken_off_relaxed() {
    found(a_handler_and_who_comes::<TakesRelaxed>);
}

#[test]
fn a_link_that_is_read_late() {
    found(a_handler_and_who_comes::<LinkLast>);
}
