//! The counts of lazy references, with the real counts, masks and cells; a slot and its
//! shootdown are the least that is needed around them. The kernel's fence, which only a
//! shootdown makes, is one on both sides here.

mod world;

use std::panic::{self, AssertUnwindSafe};

use loom::sync::Arc;
use loom::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use loom::thread;

use self::world::{FIRST, NONE, SLOT, Slot, World};
use crate::references::{BIAS, Rules, Sound};

fn beside<R: Rules>(
    world: &Arc<World<R>>,
    work: impl FnOnce(&World<R>) + 'static,
) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || work(&world))
}

/// A reader caches what a cell holds, and uses it; a writer replaces it.
fn a_load_and_a_store<R: Rules>() {
    a_load_by_a_slot_and_a_store::<R>(SLOT);
}

fn a_load_by_a_slot_and_a_store<R: Rules>(slot: Slot) {
    let world = World::<R>::with_slot(true, slot);
    world.references(FIRST).show();
    let reader = beside(&world, |world| {
        world.take();
        let name = world.load(&world.cell);
        world.read(name);
        world.leave(name);
    });
    world.replace();
    reader.join().unwrap();
    world.ends([true, false]);
}

/// A reader counts what a cell holds, and gives that back; a writer replaces it.
fn a_count_and_a_store<R: Rules>() {
    let world = World::<R>::new(true);
    world.references(FIRST).show();
    let reader = beside(&world, |world| {
        let name = world.counted(&world.cell);
        world.read(name);
        world.give_back(name, 1);
    });
    world.replace();
    reader.join().unwrap();
    world.ends([true, false]);
}

/// Who has a lease counts it, and has the slot emptied; a writer gives the cell's count up.
fn an_upgrade_and_a_store<R: Rules>() {
    let world = World::<R>::new(true);
    world.references(FIRST).show();
    world.take();
    world.load(&world.cell);
    let reader = beside(&world, |world| {
        let counted = world.references(FIRST).upgrade();
        world.leave(FIRST);
        world.empty(FIRST);
        if counted {
            world.read(FIRST);
            world.give_back(FIRST, 1);
        }
    });
    world.replace();
    reader.join().unwrap();
    world.ends([true, false]);
}

/// Who has a lease uses it, and empties the slot; a writer gives the cell's count up.
fn an_emptied_slot_and_a_store<R: Rules>() {
    let world = World::<R>::new(true);
    world.references(FIRST).show();
    world.take();
    world.load(&world.cell);
    let reader = beside(&world, |world| {
        world.read(FIRST);
        world.empty(FIRST);
    });
    world.replace();
    reader.join().unwrap();
    world.ends([true, false]);
}

/// Two have a reference each. One puts its own in a cell, loads it there, takes it out,
/// and counts the lease; the other puts its own in a cell, too, or tries. (Loom does not
/// find the mutants if who begins is the other one: its reduction leaves orders out.)
fn two_cells<R: Rules>(fails: bool) {
    let world = World::<R>::new(false);
    world.references(FIRST).clone_one();
    let other = beside(&world, move |world| {
        world.references(FIRST).show();
        if fails {
            world.references(FIRST).hide();
        }
        world.give_back(FIRST, if fails { 1 } else { BIAS });
    });
    world.references(FIRST).show();
    world.take();
    let name = world.load(&world.cell);
    let old = world.cell.swap(NONE);
    world.settle(old);
    let counted = world.references(name).upgrade();
    world.leave(name);
    if counted {
        world.read(name);
        world.give_back(name, 1);
    }
    other.join().unwrap();
    world.ends([true, false]);
}

/// One has a reference to what is in the cell, from before; a writer replaces it.
fn a_clone_and_a_store<R: Rules>() {
    let world = World::<R>::new(false);
    world.references(FIRST).clone_one();
    world.references(FIRST).show();
    let other = beside(&world, |world| {
        world.read(FIRST);
        world.give_back(FIRST, 1);
    });
    world.replace();
    other.join().unwrap();
    world.ends([true, false]);
}

/// Two use what they have counted, and give that back.
fn two_counts<R: Rules>() {
    let world = World::<R>::new(false);
    world.references(FIRST).clone_one();
    let other = beside(&world, |world| {
        world.read(FIRST);
        world.give_back(FIRST, 1);
    });
    world.read(FIRST);
    world.give_back(FIRST, 1);
    other.join().unwrap();
    world.ends([true, false]);
}

/// Up to so many preemptions: without a bound it takes ten times as long, and finds no more.
fn holds(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(model);
}

#[track_caller]
fn found(model: impl Fn() + Sync + Send + 'static) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| holds(model)));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
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
    ShownFirst: COUNT_FIRST: bool = false;
    ShowsRelaxed: SHOW: Ordering = Relaxed;
    AloneRelaxed: ALONE: Ordering = Relaxed;
    AsksTheMask: NEVER_CACHED: bool = false;
    GivesRelaxed: GIVE: Ordering = Relaxed;
    GivesOnly: GIVE: Ordering = Release;
    TakesOnly: GIVE: Ordering = Acquire;
    TouchesAfter: GIVES_LAST: bool = false;
    CachesRelaxed: CACHED: Ordering = Relaxed;
    ClearsRelaxed: CLEAR: Ordering = Relaxed;
    MaskRelaxed: UNMASKED: Ordering = Relaxed;
    LendsNothing: LENDS: bool = false;
    ShowsAsAlone: SHOWS_LENT: bool = false;
    RisesFromZero: SPARES_ZERO: bool = false;
    CountsRelaxed: COUNT_OUTSIDE: Ordering = Relaxed;
    CountedRelaxed: COUNTED: Ordering = Relaxed;
    PublishesNothing: REPLACE: Ordering = Acquire;
    SeesNoReaders: REPLACE: Ordering = Release;
}

#[test]
fn a_value_is_freed_once_and_after_its_leases() {
    holds(a_load_and_a_store::<Sound>);
}

#[test]
fn a_value_is_freed_once_and_after_its_counts() {
    holds(a_count_and_a_store::<Sound>);
    holds(two_counts::<Sound>);
    holds(a_clone_and_a_store::<Sound>);
}

#[test]
fn a_lease_is_counted_unless_it_is_the_last() {
    holds(an_upgrade_and_a_store::<Sound>);
}

#[test]
fn a_bit_goes_after_the_last_use() {
    holds(an_emptied_slot_and_a_store::<Sound>);
}

#[test]
fn a_value_is_shown_by_two() {
    holds(|| two_cells::<Sound>(false));
    holds(|| two_cells::<Sound>(true));
}

macro_rules! finds {
    ($($name:ident: $model:expr;)*) => {$(
        #[test]
        fn $name() {
            found($model);
        }
    )*};
}

finds! {
    a_show_that_looks_whether_it_was_shown_first: || two_cells::<ShownFirst>(false);
    a_show_that_acquires_nothing: || two_cells::<ShowsRelaxed>(false);
    a_look_at_the_count_that_acquires_nothing: a_load_and_a_store::<AloneRelaxed>;
    a_count_given_back_by_the_mask: an_upgrade_and_a_store::<AsksTheMask>;
    a_count_given_back_relaxed: two_counts::<GivesRelaxed>;
    a_last_count_that_sees_nothing: two_counts::<GivesOnly>;
    a_count_that_releases_nothing: two_counts::<TakesOnly>;
    a_touch_after_the_count: two_counts::<TouchesAfter>;
    a_cached_count_given_back_relaxed: a_load_and_a_store::<CachesRelaxed>;
    a_bit_cleared_relaxed: an_emptied_slot_and_a_store::<ClearsRelaxed>;
    a_mask_read_relaxed: an_emptied_slot_and_a_store::<MaskRelaxed>;
    a_load_that_leaves_no_trace_in_the_cell: a_load_and_a_store::<LendsNothing>;
    a_count_that_leaves_no_trace_in_the_cell: a_count_and_a_store::<LendsNothing>;
    a_value_of_two_that_is_shown_as_alone: a_clone_and_a_store::<ShowsAsAlone>;
    an_upgrade_from_zero: an_upgrade_and_a_store::<RisesFromZero>;
    a_slot_left_relaxed: || a_load_by_a_slot_and_a_store::<Sound>(Slot { leave: Relaxed, ..SLOT });
    a_slot_found_idle_relaxed: || a_load_by_a_slot_and_a_store::<Sound>(Slot { idle: Relaxed, ..SLOT });
    a_value_read_relaxed: a_count_and_a_store::<CountsRelaxed>;
    a_count_outside_given_back_relaxed: a_count_and_a_store::<CountedRelaxed>;
    a_value_not_published: a_count_and_a_store::<PublishesNothing>;
    a_store_that_sees_no_readers: a_count_and_a_store::<SeesNoReaders>;
}
