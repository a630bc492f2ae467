//! The machine as it is: nothing is found in any reachable state.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::config::{Config, Forks};
use super::explore;
use crate::domain::{Depth, Sound};

fn holds<const BATCH: usize>(name: &str, config: Config) {
    let found = explore::<Sound, BATCH>(name, config, 2, None);
    assert!(found.is_empty(), "{name}: {found:?}");
}

/// One id for two workers: one steals from the other.
const STEALS: Config = Config {
    bound: 1,
    ..Config::SMALL
};

#[test]
fn stealing() {
    holds::<1>("one scanner, stealing", STEALS);
}

/// The least that shows every mutant of the fences, the tag and the thief.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn stealing_between_two_scanners() {
    let config = Config {
        scanners: 2,
        ..STEALS
    };
    holds::<1>("two scanners, stealing", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn moves_to_lower_ids() {
    holds::<1>("one scanner, moves", Config::SMALL);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn moves_between_two_scanners() {
    let config = Config {
        scanners: 2,
        ..Config::SMALL
    };
    holds::<1>("two scanners, moves", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn hand_over() {
    let config = Config {
        handover: true,
        ..Config::SMALL
    };
    holds::<1>("hand-over", config);
}

/// Marks, moves and steals, while the bound falls.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn the_bound_falls() {
    let config = Config {
        scanners: 0,
        leavers: 1,
        leave: Depth::All,
        ..Config::SMALL
    };
    holds::<1>("the bound falls", config);
}

/// A scanner that has read the bound before it fell marks what it should drop.
#[test]
fn the_bound_falls_beside_a_scanner() {
    let config = Config {
        workers: 1,
        leavers: 1,
        ..Config::SMALL
    };
    holds::<1>("the bound falls beside a scanner", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn the_bound_falls_twice() {
    let config = Config {
        workers: 1,
        scanners: 0,
        leavers: 2,
        bound: 3,
        ..Config::SMALL
    };
    holds::<1>("the bound falls twice", config);
}

#[test]
fn three_rejections_are_the_most() {
    let config = Config {
        counts: true,
        ..STEALS
    };
    holds::<1>("rejections are counted, stealing", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn three_rejections_are_the_most_with_moves() {
    let config = Config {
        counts: true,
        ..Config::SMALL
    };
    holds::<1>("rejections are counted, moves", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn a_fork_at_any_time() {
    let config = Config {
        forks: Forks::Rebuilds,
        ..Config::SMALL
    };
    holds::<1>("a fork", config);
}

/// Claims that see something else, and fences that fail.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn claims_and_fences_that_fail() {
    let config = Config {
        loose: true,
        ..Config::SMALL
    };
    holds::<1>("claims and fences fail", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn all_of_it_with_one_id() {
    let config = Config {
        handover: true,
        counts: true,
        forks: Forks::Rebuilds,
        loose: true,
        ..STEALS
    };
    holds::<1>("all of it", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn three_workers() {
    let config = Config {
        workers: 3,
        ..STEALS
    };
    holds::<1>("three workers", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn three_cpus() {
    let config = Config { cpus: 3, ..STEALS };
    holds::<1>("three CPUs", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn three_cpus_and_moves() {
    let config = Config {
        cpus: 3,
        ..Config::SMALL
    };
    holds::<1>("three CPUs, moves", config);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn three_workers_and_moves() {
    let config = Config {
        workers: 3,
        ..Config::SMALL
    };
    holds::<1>("three workers, moves", config);
}

/// The largest one.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn hand_over_between_two_scanners() {
    let config = Config {
        scanners: 2,
        handover: true,
        ..Config::SMALL
    };
    holds::<1>("two scanners, hand-over", config);
}

/// Both slots are read, then one fence serves both.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn a_fence_shared_by_a_batch() {
    let config = Config {
        scanners: 2,
        whole: true,
        ..STEALS
    };
    holds::<2>("a shared fence", config);
}

/// The configurations walk every answer that the procedures know, so that none of
/// their steps goes unchecked. (But that a thread cannot run sections at all.)
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn every_answer_is_walked() {
    let walked = Arc::new(Mutex::new(BTreeSet::new()));
    let moves = Config {
        handover: true,
        loose: true,
        ..Config::SMALL
    };
    let leaves = Config {
        workers: 1,
        leavers: 1,
        ..Config::SMALL
    };
    let forks = Config {
        forks: Forks::Rebuilds,
        ..STEALS
    };
    for config in [moves, leaves, forks] {
        let found = explore::<Sound, 1>("walk", config, 2, Some(Arc::clone(&walked)));
        assert!(found.is_empty(), "{found:?}");
    }
    let known: BTreeSet<String> = PLACES
        .iter()
        .flat_map(|(place, answers)| answers.split(", ").map(move |it| format!("{place}: {it}")))
        .collect();
    let walked = walked.lock().unwrap();
    assert_eq!(*walked, known);
}

/// What may be answered where.
const PLACES: &[(&str, &str)] = &[
    ("Acquire Cpu", "a CPU"),
    ("Acquire Bound", "the bound"),
    ("Acquire Load", "UNSET, VALID, LAZY"),
    ("Acquire Lower", "an id, full, contended"),
    ("Acquire Move", "fenced, unfenced, swapped, lost"),
    ("Acquire Release", "done"),
    ("Acquire Rescue", "swapped, lost"),
    ("Acquire Former", "UNSET, VALID, LAZY"),
    ("Acquire HandOver", "fenced, unfenced, swapped, lost"),
    ("Acquire Claim", "an id, full, contended"),
    ("Acquire Open", "open, closed"),
    ("Acquire Victim", "a victim, nobody"),
    ("Acquire Look", "UNSET, VALID, LAZY"),
    ("Acquire Steal", "fenced, unfenced, swapped, lost"),
    ("Acquire CpuAgain", "a CPU"),
    ("Acquire LoadAgain", "UNSET, VALID, LAZY"),
    ("Acquire Install", "swapped, lost"),
    ("Acquire GiveBack", "done"),
    ("Acquire Check", "the bound"),
    ("Acquire Drop", "fenced, swapped, lost"),
    ("Acquire LoadAbove", "UNSET, LAZY"),
    ("Scan Bound", "the bound"),
    ("Scan Look", "UNSET, VALID, LAZY"),
    ("Scan Mark", "swapped, lost"),
    ("Scan Fence", "fenced, unfenced"),
    ("Scan Swap", "swapped, lost"),
    ("Scan Clear", "done"),
    ("Compact Bound", "the bound"),
    ("Compact Look", "UNSET, VALID, LAZY"),
    ("Compact Mark", "swapped, lost"),
    ("Compact Fence", "fenced"),
    ("Compact Swap", "swapped, lost"),
    ("Compact Clear", "done"),
    ("Reset Clear", "done"),
    ("Reset Load", "UNSET, VALID"),
    ("Reset Set", "done"),
];
