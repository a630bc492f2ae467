//! The two kinds of steps against each other: whatever single steps reach, joined ones do.

use std::collections::HashSet;

use stateright::Model;

use super::super::protocol::{Procedure, Sound};
use super::config::Config;
use super::model::World;
use super::state::{Doing, State};

type Moment = State<Sound>;

/// Every state that can be reached.
fn reached(config: Config) -> HashSet<Moment> {
    let world = World::<Sound>::new(config);
    let mut pending = world.init_states();
    let mut reached: HashSet<Moment> = pending.iter().cloned().collect();
    let mut actions = Vec::new();
    while let Some(state) = pending.pop() {
        world.actions(&state, &mut actions);
        for action in actions.drain(..) {
            if let Some(next) = world.next_state(&state, action)
                && reached.insert(next.clone())
            {
                pending.push(next);
            }
        }
    }
    reached
}

/// Whether a thread is where joined steps do not stop: before one that touches nothing
/// that others change or look at.
fn is_between(world: &World<Sound>, state: &Moment) -> bool {
    state.threads.iter().any(|thread| match &thread.doing {
        Doing::Install(install, _) => world.is_silent(install.request()),
        Doing::Empty(empty) => world.is_silent(empty.request()),
        Doing::Tend(tend, _) => world.is_silent(tend.request()),
        Doing::Take { commits } => !commits,
        Doing::Rest => thread.left == 0 && thread.owns == 0,
        _ => false,
    })
}

/// What threads do not know: with joined steps a load begins later, so that it promises
/// more.
fn without_ghosts(mut state: Moment, config: &Config) -> Moment {
    for thread in &mut state.threads {
        thread.window = thread.window.min(1);
        thread.first = 0;
    }
    state.order(config);
    state
}

#[track_caller]
fn joined_reach_whatever_single_ones_do(name: &str, config: Config) {
    let [joined, single] = [true, false].map(|joins| {
        let states = reached(Config { joins, ..config });
        let plain = |state| without_ghosts(state, &config);
        states.into_iter().map(plain).collect::<HashSet<_>>()
    });
    let world = World::<Sound>::new(config);
    let mut compared = HashSet::new();
    for state in single.iter().filter(|state| !is_between(&world, state)) {
        assert!(
            joined.contains(state),
            "{name}: {state:?} {:#?}",
            state.threads
        );
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

/// One reader, one CPU.
const ALONE: Config = Config {
    readers: 1,
    cpus: 1,
    calm: true,
    ..Config::SMALL
};

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn joined_steps_reach_whatever_each_step_does() {
    let two_readers = Config {
        readers: 2,
        whole: true,
        ..ALONE
    };
    let policies = Config {
        clears: true,
        empties: true,
        upgrades: true,
        refuses: true,
        stores: 2,
        ..ALONE
    };
    let parks = Config {
        handles: true,
        quiesce: 2,
        foreign: 1,
        stores: 2,
        ..ALONE
    };
    let two_writers = Config {
        writers: 2,
        warm: true,
        whole: true,
        ..ALONE
    };
    let buffers = Config {
        buffers: true,
        stores: 2,
        ..ALONE
    };
    let departs = Config {
        departs: true,
        stores: 2,
        ..ALONE
    };
    joined_reach_whatever_single_ones_do("departures", departs);
    joined_reach_whatever_single_ones_do("two readers", two_readers);
    joined_reach_whatever_single_ones_do("policies", policies);
    joined_reach_whatever_single_ones_do("parked work", parks);
    joined_reach_whatever_single_ones_do("two writers", two_writers);
    joined_reach_whatever_single_ones_do("buffers", buffers);
}
