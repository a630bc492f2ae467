//! What handlers leave behind is done, once: with the real lists, handles and homes' marks.

use std::cell::Cell;
use std::sync::atomic::AtomicU32 as Truth;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{self, Relaxed};
use loom::thread;

use super::found;
use crate::behind::{self, Left};
use crate::handles::{self, Handles};
use crate::list::{List, NONE};

/// Two homes, by their names: 1 and 2. Values are named as their home is.
struct World<R, H> {
    homes: [Home<H>; 2],
    left: Left<R>,
    but: But,
}

struct Home<H> {
    handles: Handles<H>,
    dead: List,
    link: AtomicU64,
    /// There is work. The library looks at its lists, and at the handles first, in stronger
    /// ways, which would hide here what the flag orders.
    nudged: AtomicU64,
    dropped: Truth,
}

/// The process, and a child of it.
const PARENT: u32 = 1;
const CHILD: u32 = 2;

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
            nudged: AtomicU64::new(0),
            dropped: Truth::new(0),
        };
        Arc::new(World {
            homes: [home(), home()],
            left: Left::new(PARENT),
            but,
        })
    }

    fn home(&self, name: u64) -> &Home<H> {
        &self.homes[name as usize - 1]
    }

    /// A handler gives a value up.
    fn give_up(&self, name: u64) {
        let home = self.home(name);
        home.dead.push(name, &home.link);
        home.nudged.store(1, Relaxed);
        if self.but != But::LeavesNothing {
            self.left.leave(&home.handles);
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
    fn come(&self, process: u32) {
        self.come_and_stop(process, false);
    }

    /// The same; with `stops`, the first destructor does not return.
    fn come_and_stop(&self, process: u32, stops: bool) {
        let nudge = |home: &Home<H>| {
            if !home.handles.any() {
                home.nudged.store(1, Relaxed);
            }
        };
        let stopped = Cell::new(false);
        let homes = || self.homes.iter();
        self.left.come(process, homes, nudge, |home, says_more| {
            if home.nudged.load(Relaxed) == 1 && !stopped.get() && !home.handles.any() {
                says_more();
                home.work();
                stopped.set(stops);
            }
        });
    }

    fn ends(&self, names: &[u64]) {
        for &name in names {
            assert_eq!(self.home(name).dropped.load(Relaxed), 1, "leaked");
        }
    }
}

impl<H> Home<H> {
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
    world.come(PARENT);
    world.ends(&[1]);
}

/// A handler gives a value up while somebody comes; then somebody comes.
fn a_handler_and_who_comes<R: behind::Rules>() {
    let world = World::<R, handles::Sound>::new(But::Nothing);
    world.end(1);
    let other = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.give_up(1))
    };
    world.come(PARENT);
    other.join().unwrap();
    world.come(PARENT);
    world.ends(&[1]);
}

/// Two handlers, so that one finds the flag set.
fn two_handlers_and_who_comes<R: behind::Rules>() {
    let world = World::<R, handles::Sound>::new(But::Nothing);
    let others = [1, 2].map(|name| {
        world.end(name);
        let world = Arc::clone(&world);
        thread::spawn(move || world.give_up(name))
    });
    world.come(PARENT);
    for other in others {
        other.join().unwrap();
    }
    world.come(PARENT);
    world.ends(&[1, 2]);
}

/// Somebody comes while another one is in the destructor of a value of the first home, or
/// has gone there: in the process, or in a child of it.
fn a_destructor_and_who_comes<R: behind::Rules>(process: u32) {
    let world = World::<R, handles::Sound>::new(But::Nothing);
    for name in [1, 2] {
        world.end(name);
        world.give_up(name);
    }
    world.come_and_stop(PARENT, true);
    world.come(process);
    world.ends(&[1, 2]);
}

/// A thread that a child does not have was about to say what it has left.
fn a_child_comes<R: behind::Rules>() {
    let world = World::<R, handles::Sound>::new(But::Nothing);
    world.home(1).handles.give_up();
    world.home(1).dead.push(1, &world.home(1).link);
    world.come(CHILD);
    world.ends(&[1]);
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
    SaysNoMore: behind::Rules: SAYS_MORE: bool = false;
    HeedsNoForks: behind::Rules: HEEDS_FORKS: bool = false;
    GoesUnfenced: handles::Rules: LAST_FENCES: bool = false;
}

#[test]
fn what_handlers_leave_is_done() {
    loom::model(|| a_handler_and_the_last_handle::<behind::Sound, handles::Sound>(But::Nothing));
    loom::model(a_handler_and_who_comes::<behind::Sound>);
    loom::model(two_handlers_and_who_comes::<behind::Sound>);
    loom::model(|| a_destructor_and_who_comes::<behind::Sound>(PARENT));
    loom::model(|| a_destructor_and_who_comes::<behind::Sound>(CHILD));
    loom::model(a_child_comes::<behind::Sound>);
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
fn a_flag_that_is_taken_relaxed() {
    found(a_handler_and_who_comes::<TakesRelaxed>);
}

#[test]
fn homes_in_the_hand_of_who_runs_a_destructor() {
    found(|| a_destructor_and_who_comes::<SaysNoMore>(PARENT));
}

#[test]
fn a_child_that_looks_at_what_was_said_only() {
    found(a_child_comes::<HeedsNoForks>);
}
