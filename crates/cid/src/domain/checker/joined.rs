//! The two kinds of steps against each other: whatever single steps reach, joined ones
//! do.

use std::collections::HashSet;

use stateright::Model;

use super::config::{Config, Forks, Steps};
use super::model::Domain;
use super::state::{Doing, State};
use crate::domain::Sound;

type Moment = State<Sound, 1>;

/// Every state that can be reached.
fn reached(config: Config) -> HashSet<Moment> {
    let domain = Domain::<Sound, 1>::new(config);
    let mut pending = domain.init_states();
    let mut reached: HashSet<Moment> = pending.iter().cloned().collect();
    let mut actions = Vec::new();
    while let Some(state) = pending.pop() {
        domain.actions(&state, &mut actions);
        for action in actions.drain(..) {
            if let Some(next) = domain.next_state(&state, action)
                && reached.insert(next.clone())
            {
                pending.push(next);
            }
        }
    }
    reached
}

/// Whether a thread is where joined steps do not stop: between one that touches nothing
/// shared and the next one that does.
fn is_between(doing: &Doing<Sound, 1>) -> bool {
    const PLACES: [&str; 5] = [
        "Acquire Bound",
        "Acquire Load",
        "Acquire LoadAgain",
        "Acquire Look",
        "Scan Look",
    ];
    matches!(doing, Doing::Reset(_)) || PLACES.contains(&&*doing.place())
}

#[track_caller]
fn joined_reach_whatever_single_ones_do(name: &str, config: Config) {
    assert_eq!(config.leavers, 0, "the bound is no shared access then");
    let joined = reached(Config {
        steps: Steps::Joined,
        ..config
    });
    let single = reached(Config {
        steps: Steps::Each,
        ..config
    });
    let mut compared = HashSet::new();
    for state in &single {
        if state.threads.iter().any(|it| is_between(&it.doing)) {
            continue;
        }
        let mut state = state.clone();
        state.forget_cpus();
        state.order(config.workers, config.scanners);
        assert!(joined.contains(&state), "{name}: {state:?}");
        compared.insert(state);
    }
    let (single, joined, compared) = (single.len(), joined.len(), compared.len());
    println!(
        "{name}: {single} states by single steps, {joined} by joined ones, {compared} of them the same"
    );
    assert!(
        compared * 2 > joined,
        "joined steps reach too much to be of use"
    );
}

/// One id for two workers.
const STEALS: Config = Config {
    bound: 1,
    ..Config::SMALL
};

#[test]
fn joined_steps_reach_whatever_each_step_does() {
    joined_reach_whatever_single_ones_do("stealing", STEALS);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn joined_steps_reach_whatever_each_step_does_in_other_domains() {
    let counts = Config {
        counts: true,
        ..STEALS
    };
    let forks = Config {
        forks: Forks::Rebuilds,
        ..STEALS
    };
    let loose = Config {
        loose: true,
        ..STEALS
    };
    let three = Config {
        workers: 3,
        scanners: 0,
        ..STEALS
    };
    let handover = Config {
        handover: true,
        ..STEALS
    };
    joined_reach_whatever_single_ones_do("rejections are counted", counts);
    joined_reach_whatever_single_ones_do("a fork", forks);
    joined_reach_whatever_single_ones_do("claims and fences fail", loose);
    joined_reach_whatever_single_ones_do("three workers", three);
    joined_reach_whatever_single_ones_do("hand-over", handover);
    joined_reach_whatever_single_ones_do("moves", Config::SMALL);
}
