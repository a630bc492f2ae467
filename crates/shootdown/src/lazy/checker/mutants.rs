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
    SPARES_MARKED => TouchesMarked,
    NUDGES => ReplacesQuietly,
    FENCES => NoFence,
    ANNOUNCES => AnnouncesNothing,
    ANNOUNCES_MARKS => AnnouncesEarly,
    ANNOUNCES_FIRST => AnnouncesLate,
    SPARES_ACTIVE => TakesActive,
    KEEPS_MARKS => ForgetsMarks,
    EXCHANGES => TakesWhatever,
    COUNTS_PENDING => WaitsForNobody,
    FORGETS_FIRST => ForgetsLate,
    LOCKS => NoLock,
    LOOKS_AGAIN => LooksOnce,
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
    writers: 2,
    ..ALONE
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
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn a_bit_cleared_after_the_pointer() {
    found::<ClearsBitLate>("clears the bit late", CLEARS);
}

/// The fence of the old object may have come before the slot was taken.
#[test]
fn a_marked_object_that_is_told() {
    let config = Config {
        clears: true,
        ..ALONE
    };
    found::<TouchesMarked>("touches the marked", config);
}

#[test]
fn a_mark_replaced_quietly() {
    found::<ReplacesQuietly>("replaces quietly", ALONE);
}

/// What only a machine with store buffers shows: the commit is made, and not seen.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn a_fence_that_orders_nothing() {
    let config = kernel(Kernel::NoBarrier, WARM);
    let buffers = Config {
        buffers: true,
        ..config
    };
    found::<Sound>("no barrier", buffers);
}

/// And so does no fence at all.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn no_fence_at_all() {
    let buffers = Config {
        buffers: true,
        ..WARM
    };
    found::<NoFence>("no fence", buffers);
}

/// One that began before the marks.
#[test]
fn a_fence_that_began_early() {
    let config = Config {
        foreign: 1,
        quiesce: 8,
        stores: 2,
        buffers: true,
        ..kernel(Kernel::Early, ALONE)
    };
    found::<Sound>("an early fence", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn an_active_slot_taken() {
    found::<TakesActive>("takes active slots", WARM);
}

#[test]
fn a_pointer_taken_away_whatever_it_is() {
    let config = Config { stores: 2, ..ALONE };
    found::<TakesWhatever>("takes whatever is there", config);
}

#[test]
fn a_shootdown_that_does_not_wait() {
    found::<WaitsForNobody>("waits for nobody", WARM);
}

#[test]
fn two_shootdowns_at_a_time() {
    found::<NoLock>("no lock", TWO_WRITERS);
}

#[test]
fn a_lock_given_back_without_a_look() {
    found::<LooksOnce>("looks once", TWO_WRITERS);
}

#[test]
fn marks_of_holders_forgotten() {
    found::<ForgetsMarks>("forgets its marks", WARM);
}

#[test]
fn nudges_forgotten_late() {
    found::<ForgetsLate>("forgets nudges late", ALONE);
}

/// It takes two cells: somebody who has moved on installs the other one's object.
#[test]
fn a_pointer_loaded_first() {
    let config = Config {
        cells: 2,
        cpus: 1,
        ..WARM
    };
    found::<Sound>("pointer first", reader(Reader::PointerFirst, config));
}

/// It takes two cells, and an address that is used again for the other one's type.
#[test]
fn a_cell_that_is_read_first() {
    let config = Config {
        cells: 2,
        cpus: 1,
        ..TWO_STORES
    };
    found::<Sound>("cell first", reader(Reader::CellFirst, config));
}

#[test]
fn a_look_before_the_store() {
    found::<Sound>("looks first", reader(Reader::LooksFirst, ALONE));
}

#[test]
fn a_lease_left_without_a_look() {
    found::<Sound>("leaves blindly", reader(Reader::LeavesBlindly, ALONE));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn a_leaver_that_takes_the_mark() {
    found::<Sound>("takes the mark", reader(Reader::TakesMark, WARM));
}

#[test]
fn a_slot_emptied_after_it_was_left() {
    let config = Config {
        empties: true,
        ..reader(Reader::EmptiesLate, ALONE)
    };
    found::<Sound>("empties late", config);
}

#[test]
fn a_pointer_replaced_by_a_load_and_a_store() {
    let config = reader(Reader::ReplacesPlainly, ALONE);
    found::<Sound>("replaces plainly", config);
}

#[test]
fn another_slot_left_without_a_look() {
    let config = reader(Reader::LeavesOthersBlindly, ALONE);
    found::<Sound>("leaves others blindly", config);
}

/// Who leaves a slot touches it no more.
const DEPARTS: Config = Config {
    departs: true,
    ..ALONE
};

#[test]
fn marks_that_are_not_announced() {
    found::<AnnouncesNothing>("announces nothing", DEPARTS);
}

#[test]
fn marks_announced_before_they_are_set() {
    found::<AnnouncesEarly>("announces early", DEPARTS);
}

#[test]
fn marks_announced_after_the_fence() {
    let buffers = Config {
        buffers: true,
        ..DEPARTS
    };
    found::<AnnouncesLate>("announces late", buffers);
}

#[test]
fn a_departure_without_a_look_at_the_slot() {
    let config = reader(Reader::DepartsBlindly, DEPARTS);
    found::<Sound>("departs blindly", config);
}

#[test]
fn a_departure_that_looks_at_the_slot_first() {
    let config = reader(Reader::DepartsPointerFirst, DEPARTS);
    found::<Sound>("departs, pointer first", config);
}

#[test]
fn a_departure_without_a_second_look() {
    let config = reader(Reader::DepartsAtOnce, DEPARTS);
    found::<Sound>("departs at once", config);
}

#[test]
fn a_departure_that_looks_before_the_store() {
    let config = reader(Reader::DepartsLate, DEPARTS);
    found::<Sound>("departs late", config);
}

/// What is not lent is freed without a look at it.
const LENDS: Config = Config {
    whole: false,
    ..COLD
};

#[test]
fn a_miss_that_leaves_no_trace_in_the_cell() {
    let config = reader(Reader::LendsNothing, LENDS);
    found::<Sound>("lends nothing", config);
}

#[test]
fn a_miss_that_leaves_its_trace_late() {
    let config = reader(Reader::LendsLate, LENDS);
    found::<Sound>("lends late", config);
}

#[test]
fn a_value_of_others_that_is_shown_as_alone() {
    let config = Config {
        upgrades: true,
        ..reader(Reader::ShowsAsAlone, ALONE)
    };
    found::<Sound>("shows as alone", config);
}

#[test]
fn a_mask_that_is_not_looked_at() {
    found::<Sound>("forgets the mask", reader(Reader::ForgetsMask, WARM));
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

/// Who has a lease counts it, and has the bit cleared.
#[test]
fn a_count_given_back_by_the_mask() {
    let config = Config {
        upgrades: true,
        empties: true,
        whole: false,
        ..ALONE
    };
    found::<Sound>("asks the mask", reader(Reader::AsksMask, config));
}

#[test]
fn an_upgrade_from_zero() {
    let config = Config {
        upgrades: true,
        ..ALONE
    };
    found::<Sound>("rises from zero", reader(Reader::RisesFromZero, config));
}

/// It takes two that have it, and a lease.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn a_show_that_looks_whether_it_was_shown_first() {
    let config = Config {
        writers: 2,
        shared: true,
        upgrades: true,
        warm: false,
        whole: false,
        ..ALONE
    };
    found::<Sound>("shown first", reader(Reader::ShownFirst, config));
}

/// A lease ends, and its object dies, after the last handle went.
const PARKS: Config = Config {
    handles: true,
    quiesce: 8,
    ..ALONE
};

#[test]
fn a_last_handle_that_does_not_nudge() {
    let config = Config {
        upgrades: true,
        ..PARKS
    };
    found::<Sound>("ends quietly", reader(Reader::EndsQuietly, config));
}

#[test]
fn a_last_handle_given_up_without_a_look() {
    found::<Sound>("gives up blindly", reader(Reader::GivesUpBlindly, PARKS));
}
