//! Shortcuts that look right and are not: each must be found, or the checker proves
//! nothing. Every one runs in a world that shows it, on one thread, so that its trace is
//! a short one.

use super::super::protocol::{Rules, Sound};
use super::config::{Config, Kernel, Reader};
use super::explore;

#[track_caller]
fn found<R: Rules>(name: &str, config: Config) {
    let found = explore::<R>(name, config, 1);
    assert!(found.is_some(), "{name}: nothing found");
}

/// The rules with one left out.
macro_rules! without {
    ($($rule:ident => $mutant:ident),* $(,)?) => {$(
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        struct $mutant;

        impl Rules for $mutant {
            const $rule: bool = false;
        }
    )*};
}

without! {
    GIVES_BACK_LAST => GivesBackFirst,
    SETS_BIT => SetsNoBit,
    CLEARS_BIT_FIRST => ClearsBitLate,
    RAISES_FIRST => RaisesLate,
    FENCES => NoFence,
    SPARES_ACTIVE => TakesActive,
    TOMBSTONES => MarkAwayFirst,
    COUNTS_PENDING => WaitsForNobody,
    LOCKS => NoLock,
    LOOKS_AGAIN => LooksOnce,
    NOTES_MARKS => ForgetsMarks,
}

/// Slots hold the object already.
const WARM: Config = Config {
    warm: true,
    ..Config::SMALL.coarse()
};

const TWO_STORES: Config = Config { stores: 2, ..WARM };

const CLEARS: Config = Config {
    clears: true,
    ..TWO_STORES
};

/// Slots hold nothing yet.
const COLD: Config = Config::SMALL.coarse();

/// One reader.
const ALONE: Config = Config {
    readers: 1,
    cpus: 1,
    ..WARM
};

/// Two reclaimers, one reader.
const TWO_WRITERS: Config = Config {
    readers: 1,
    cpus: 1,
    writers: 2,
    objects: 4,
    ..WARM
};

fn reader(reader: Reader, config: Config) -> Config {
    Config { reader, ..config }
}

fn kernel(kernel: Kernel, config: Config) -> Config {
    Config { kernel, ..config }
}

#[test]
fn a_count_given_back_before_the_bit() {
    found::<GivesBackFirst>("gives the count back first", COLD);
}

#[test]
fn no_bit() {
    found::<SetsNoBit>("sets no bit", COLD);
}

#[test]
fn a_bit_cleared_after_the_pointer() {
    found::<ClearsBitLate>("clears the bit late", CLEARS);
}

#[test]
fn a_mark_before_its_count() {
    let config = Config {
        joins: false,
        ..WARM
    };
    found::<RaisesLate>("raises late", config);
}

#[test]
fn no_fence() {
    found::<NoFence>("no fence", WARM);
}

#[test]
fn a_fence_that_aborts_nothing() {
    found::<Sound>("no abort", kernel(Kernel::NoAbort, WARM));
}

/// What only a machine with store buffers shows: the commit is made, and not seen.
#[test]
fn a_fence_that_orders_nothing() {
    let config = kernel(Kernel::NoBarrier, WARM);
    let buffers = Config {
        buffers: true,
        ..config
    };
    found::<Sound>("no barrier", buffers);
}

#[test]
fn an_active_slot_taken() {
    found::<TakesActive>("takes active slots", WARM);
}

#[test]
fn a_mark_taken_away_before_the_pointer() {
    let config = Config { stores: 2, ..ALONE };
    found::<MarkAwayFirst>("mark away first", config);
}

#[test]
fn a_shootdown_that_does_not_wait() {
    found::<WaitsForNobody>("waits for nobody", WARM);
}

#[test]
fn two_shootdowns_at_a_time() {
    let config = Config {
        door: true,
        ..TWO_WRITERS
    };
    found::<NoLock>("no lock", config);
}

#[test]
fn a_lock_given_back_without_a_look() {
    found::<LooksOnce>("looks once", TWO_WRITERS);
}

#[test]
fn marks_looked_for_by_the_masks() {
    let config = Config {
        clears: true,
        ..ALONE
    };
    found::<ForgetsMarks>("forgets its marks", config);
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn a_hit_that_loads_the_pointer_first() {
    found::<Sound>("pointer first", reader(Reader::PointerFirst, TWO_STORES));
}

#[test]
fn a_hit_that_ignores_marks() {
    found::<Sound>("ignores marks", reader(Reader::IgnoresMarks, WARM));
}

/// It takes two cells and an address that is used again for the other's type.
#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn a_cell_that_is_read_once() {
    let config = Config {
        cells: 2,
        stores: 2,
        ..WARM
    };
    found::<Sound>("reads once", reader(Reader::ReadsOnce, config));
}

#[test]
fn a_plain_leave() {
    found::<Sound>("leaves plainly", reader(Reader::LeavesPlainly, WARM));
}

#[test]
fn a_miss_that_counts_late() {
    let config = Config {
        whole: false,
        ..COLD
    };
    found::<Sound>("counts late", reader(Reader::CountsLate, config));
}

#[test]
fn a_cell_that_counts_for_one() {
    let config = Config {
        whole: false,
        ..WARM
    };
    found::<Sound>("no bias", reader(Reader::NoBias, config));
}

#[test]
fn a_door_without_the_lock() {
    let config = Config {
        door: true,
        ..ALONE
    };
    found::<Sound>(
        "no lock at the door",
        reader(Reader::DoorWithoutLock, config),
    );
}

/// With several ways, bits are of slots.
#[test]
fn a_bit_for_a_stripe() {
    let config = Config {
        ways: 2,
        cpus: 1,
        ..CLEARS
    };
    found::<Sound>("a bit per stripe", reader(Reader::BitPerStripe, config));
}

#[test]
fn the_simple_slot() {
    found::<Sound>("the simple slot", reader(Reader::Overwrites, TWO_STORES));
}
