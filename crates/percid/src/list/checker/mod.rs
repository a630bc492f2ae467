//! Every interleaving of lists that are used, taken and opened, and of mutants that must be
//! found.
//!
//! Workers push and pop in sections of separate steps; takers take all lists behind one
//! fence and leave what they took with the loose nodes. A section is aborted by a fence, or
//! whenever its thread likes, and its cid may then be another worker's. Once, the process
//! may fork: the child has one thread, and the words as they are at that moment.
//!
//! Accesses are sequentially consistent here, in program order. The one order that the
//! protocol asks of the machine, the stop word's load before the head's, is a mutant.

mod world;

use stateright::{Model, Property};

use self::world::{
    Action, CIDS, Fault, List, NODES, State, TAKERS, Take, WORKERS, Work, Worker, World, chain,
};
use crate::checker::{all_there, each_once, expect_found, explore};

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        // All are on the first list: 3 on top of 2 on top of 1.
        let mut lists = [List::default(); CIDS];
        lists[0].head = NODES as u8;
        vec![State {
            lists,
            links: std::array::from_fn(|node| node.saturating_sub(1) as u8),
            loose: 0,
            workers: [Worker {
                hand: 0,
                work: Work::Outside,
            }; WORKERS],
            takers: [Take::Idle; TAKERS],
            read: [0; TAKERS],
            control: false,
            forked: false,
            stale: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, worker) in state.workers.iter().enumerate() {
            if worker.work != Work::Outside {
                actions.push(Action::Step(number));
                if self.fault != Fault::NoAbort {
                    actions.push(Action::Abort(number));
                }
                continue;
            }
            for cid in 0..CIDS as u8 {
                // An id is one thread's while it is in a section; one that has lost it is
                // aborted before another has it.
                let free = self.fault == Fault::NoAbort
                    || state.workers.iter().all(|other| match other.work {
                        Work::Open { cid: used, .. } | Work::Late { cid: used, .. } => used != cid,
                        Work::Outside => true,
                    });
                if free {
                    actions.push(Action::Begin(number, cid, worker.hand != 0));
                }
            }
            if worker.hand != 0 {
                actions.push(Action::ToLoose(number));
            } else if state.loose != 0 {
                actions.push(Action::FromLoose(number));
            }
        }
        for cid in 0..CIDS as u8 {
            // It takes control and gives it back around the one store.
            if !state.control || self.fault == Fault::OpenAnyhow {
                actions.push(Action::Open(cid));
            }
        }
        actions.extend((0..TAKERS).map(Action::Taker));
        if !state.forked {
            actions.extend((0..WORKERS).map(Action::Fork));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(number, cid, push) => {
                state.workers[number].work = Work::Open {
                    cid,
                    push,
                    stop: None,
                    head: None,
                    link: None,
                };
            }
            Action::Step(number) => self.step(&mut state, number),
            Action::Abort(number) => state.workers[number].work = Work::Outside,
            Action::ToLoose(number) => {
                let node = std::mem::take(&mut state.workers[number].hand);
                state.links[node as usize] = 0;
                state.give(node);
            }
            Action::FromLoose(number) => {
                // All are taken, and the others go back: nobody sees what is between.
                let first = std::mem::take(&mut state.loose);
                state.workers[number].hand = first;
                state.loose = state.links[first as usize];
            }
            Action::Open(cid) => state.lists[cid as usize].stop = false,
            Action::Taker(number) => self.take(&mut state, number),
            Action::Fork(number) => {
                if state.workers[number].work != Work::Outside {
                    return None;
                }
                let mine = state.workers[number];
                state.workers = [Worker {
                    hand: 0,
                    work: Work::Outside,
                }; WORKERS];
                state.workers[number] = mine;
                state.takers = [Take::Idle; TAKERS];
                state.read = [0; TAKERS];
                state.control = false;
                state.forked = true;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no node is in two places", |_, state: &State| {
                let hands = state.workers.iter().map(|worker| worker.hand);
                each_once(state.shared().into_iter().chain(hands))
            }),
            Property::always("none is lost", |_, state: &State| {
                let mut all = state.shared();
                all.extend(state.workers.iter().map(|worker| worker.hand));
                let read = state.read.iter();
                all.extend(read.flat_map(|&first| chain(&state.links, first)));
                state.forked || all_there(NODES, all)
            }),
            Property::always("links are read on the list", |_, state: &State| {
                !state.stale
            }),
        ]
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn lists_are_taken_without_loss() {
    assert_eq!(of(Fault::None), [""; 0]);
}

fn of(fault: Fault) -> Vec<&'static str> {
    explore(fault, World { fault })
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn mutants_are_found() {
    expect_found(
        &[
            Fault::NoFence,
            Fault::FenceFirst,
            Fault::TakeFirst,
            Fault::PopIgnoresStop,
            Fault::PushIgnoresStop,
            Fault::HeadFirst,
            Fault::OpenFirst,
            Fault::AsideFirst,
            Fault::StoreBack,
            Fault::OpenAnyhow,
            Fault::NoAbort,
            Fault::LinkLater,
        ],
        of,
    );
}
