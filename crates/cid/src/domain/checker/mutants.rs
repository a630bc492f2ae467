//! Faults that are known, put back: each must be found, or the checker proves
//! nothing. Every one runs in the smallest domain that shows it, on one thread, so
//! that its trace is the shortest.

use super::config::{Config, Forks, Kernel, Steps};
use super::explore;
use super::state::Tags;
use crate::domain::{Rules, Sound};

const TWO_SECTIONS: &str = "1: two sections differ in id";
const ONE_OWNER: &str = "2: a bit has one owner";
const NOBODY_WAITS: &str = "3: nobody waits";
const BELOW_BOUND: &str = "4: ids fall below the bound";
const STRIPES_OPEN: &str = "5: stripes are open";

#[track_caller]
fn found<R: Rules>(name: &str, config: Config, property: &str) {
    for steps in [Steps::Joined, Steps::Each] {
        let config = Config { steps, ..config };
        let found = explore::<R, 1>(name, config, 1, None);
        assert!(
            found.contains(&property),
            "{name}, {steps:?}: found only {found:?}"
        );
    }
}

/// The rules with one left out.
macro_rules! without {
    ($($rule:ident => $mutant:ident),* $(,)?) => {$(
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        struct $mutant;

        impl Rules for $mutant {
            const $rule: bool = false;
        }
    )*};
}

without! {
    FENCES_MOVES => MovesWithoutFence,
    FENCES_AFTER_READ => FencesBeforeRead,
    TAKES_BEFORE_FREE => FreesBeforeTake,
    OPENS_FIRST => OpensLate,
    LOOKS_AGAIN => StealsBlindly,
    FALLS_BACK => Waits,
    CHECKS_BOUND => TrustsTheOldBound,
    DROPS_MARKED => LeavesWhatIsMarked,
}

/// No scanner, two ids: threads meet by stealing only.
const BARE: Config = Config {
    scanners: 0,
    alike: false,
    ..Config::SMALL
};

/// One id for two.
const STEALS: Config = Config {
    scanners: 1,
    bound: 1,
    ..BARE
};

#[test]
fn a_fence_left_out() {
    let config = Config {
        kernel: Kernel::NoFence,
        ..BARE
    };
    found::<Sound>("no fence", config, TWO_SECTIONS);
}

#[test]
fn a_fence_on_the_wrong_cpu() {
    let config = Config {
        kernel: Kernel::WrongCpu,
        ..BARE
    };
    found::<Sound>("wrong CPU", config, TWO_SECTIONS);
}

/// One scanner is not enough: the word that it reads after its fence must have been
/// marked since, by another.
#[test]
fn a_fence_before_the_word_was_read() {
    let config = Config {
        scanners: 2,
        ..STEALS
    };
    found::<FencesBeforeRead>("fence before read", config, TWO_SECTIONS);
}

/// Version 3 of the kernel's patch: between the store of the current task and the
/// load of its id there was no barrier.
#[test]
fn no_barrier_between_the_switch_and_the_load() {
    let config = Config {
        kernel: Kernel::NoSwitchBarrier,
        ..BARE
    };
    found::<Sound>("no barrier at the switch", config, TWO_SECTIONS);
}

#[test]
fn the_tag_left_out() {
    let config = Config {
        tags: Tags::Modulo(1),
        ..STEALS
    };
    found::<Sound>("no tag", config, TWO_SECTIONS);
}

#[test]
fn a_tag_of_two_bits() {
    let config = Config {
        tags: Tags::Modulo(4),
        ..STEALS
    };
    found::<Sound>("two bits of tag", config, TWO_SECTIONS);
}

#[test]
fn the_tag_reset_at_unset() {
    let config = Config {
        tags: Tags::ResetAtUnset,
        ..STEALS
    };
    found::<Sound>("tag reset", config, TWO_SECTIONS);
}

#[test]
fn a_bit_freed_before_its_slot() {
    found::<FreesBeforeTake>("freed before taken", STEALS, ONE_OWNER);
}

/// Somebody else's section finds the id in the slot before its stripe is open.
#[test]
fn a_stripe_opened_after_its_id_is_in_a_slot() {
    found::<OpensLate>("opened late", BARE, STRIPES_OPEN);
}

#[test]
fn a_steal_that_does_not_look_again() {
    found::<StealsBlindly>("blind steal", BARE, ONE_OWNER);
}

#[test]
fn a_move_without_its_fence() {
    let config = Config {
        scanners: 1,
        ..BARE
    };
    found::<MovesWithoutFence>("move without fence", config, TWO_SECTIONS);
}

#[test]
fn an_acquirer_that_waits() {
    let config = Config {
        counts: true,
        ..BARE
    };
    found::<Waits>("waits", config, NOBODY_WAITS);
}

/// An acquirer that has claimed an id stalls while the bound falls and all the scans
/// pass, then installs what is above it.
#[test]
fn a_bound_that_is_read_once() {
    let config = Config { leavers: 1, ..BARE };
    found::<TrustsTheOldBound>("the old bound", config, BELOW_BOUND);
}

/// As above, but it does look again, when a scanner that knows the old bound only has
/// marked the id; the scanner does not come back.
#[test]
fn a_mark_taken_for_a_drop() {
    let config = Config {
        workers: 1,
        scanners: 1,
        leavers: 1,
        ..BARE
    };
    found::<LeavesWhatIsMarked>("marked is not dropped", config, BELOW_BOUND);
}

#[test]
fn a_child_that_does_not_rebuild_its_ids() {
    let config = Config {
        forks: Forks::Forgets,
        ..BARE
    };
    found::<Sound>("forgetful child", config, ONE_OWNER);
}
