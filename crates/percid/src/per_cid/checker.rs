//! Every interleaving of a walk and of threads that come and go, and of mutants that must
//! be found.
//!
//! Stores wait in the buffer of the thread that made them until it passes a barrier, or
//! whenever they like, in order; loads find the thread's own first. So the Dekker is looked
//! at as the machine runs it, not as it is written.

use stateright::{Model, Property};

use crate::checker::{expect_found, explore};

const THREADS: usize = 2;

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// A walk does not fence.
    NoFence,
    /// A walk fences before it says that it wants.
    FenceFirst,
    /// A thread looks at `want` before it claims.
    WantFirst,
    /// A walk does not wait.
    NoWait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Outside,
    /// Has claimed, or, with the fault, has looked.
    Claimed,
    Inside,
    Leaving,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Walk {
    Idle,
    Wanting,
    Fenced,
    Visiting,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    lock: u8,
    want: u8,
    threads: [At; THREADS],
    /// What a thread has stored to the lock and nobody else sees.
    buffers: [Vec<u8>; THREADS],
    walk: Walk,
    /// The walker's store to `want`.
    wanting: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Step(usize),
    Drain(usize),
    Walk,
    DrainWalk,
}

struct World(Fault);

impl World {
    fn lock(state: &State, thread: usize) -> u8 {
        *state.buffers[thread].last().unwrap_or(&state.lock)
    }

    /// Every thread passes a full barrier. No section is open between the steps here: one
    /// is claimed in one step, which a fence would abort or let be.
    fn fence(state: &mut State) {
        for buffer in &mut state.buffers {
            if let Some(last) = buffer.last() {
                state.lock = *last;
            }
            buffer.clear();
        }
        if let Some(want) = state.wanting.take() {
            state.want = want;
        }
    }

    fn step(&self, state: &mut State, thread: usize) {
        let want_first = self.0 == Fault::WantFirst;
        // Sections of one cid are ordered after one another, with barriers between: a claim
        // that another thread has still in its buffer is not overtaken. Giving it back is a
        // store from anywhere.
        let pending = |other: usize| other != thread && state.buffers[other].contains(&1);
        let free = World::lock(state, thread) == 0 && !(0..THREADS).any(pending);
        let wanted = state.want != 0;
        let (next, stored) = match (state.threads[thread], want_first) {
            (At::Outside, false) if free => (At::Claimed, Some(1)),
            (At::Outside, true) if !wanted => (At::Claimed, None),
            (At::Outside, _) => (At::Outside, None),
            (At::Claimed, true) if free => (At::Inside, Some(1)),
            (At::Claimed, true) => (At::Outside, None),
            (At::Claimed, false) if !wanted => (At::Inside, None),
            (At::Claimed | At::Inside, _) => (At::Leaving, None),
            (At::Leaving, _) => (At::Outside, Some(0)),
        };
        state.threads[thread] = next;
        state.buffers[thread].extend(stored);
    }

    fn walk(&self, state: &mut State) {
        state.walk = match state.walk {
            Walk::Idle => {
                if self.0 == Fault::FenceFirst {
                    World::fence(state);
                }
                state.wanting = Some(1);
                Walk::Wanting
            }
            Walk::Wanting => {
                if !matches!(self.0, Fault::NoFence | Fault::FenceFirst) {
                    World::fence(state);
                }
                Walk::Fenced
            }
            Walk::Fenced if state.lock == 0 || self.0 == Fault::NoWait => Walk::Visiting,
            Walk::Fenced => Walk::Fenced,
            Walk::Visiting => Walk::Done,
            Walk::Done => {
                // A release store: what was done before is seen with it.
                state.wanting = None;
                state.want = 0;
                Walk::Idle
            }
        };
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            lock: 0,
            want: 0,
            threads: [At::Outside; THREADS],
            buffers: Default::default(),
            walk: Walk::Idle,
            wanting: None,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for thread in 0..THREADS {
            actions.extend([Action::Step(thread), Action::Drain(thread)]);
        }
        actions.extend([Action::Walk, Action::DrainWalk]);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Step(thread) => self.step(&mut state, thread),
            Action::Drain(thread) => {
                if !state.buffers[thread].is_empty() {
                    state.lock = state.buffers[thread].remove(0);
                }
            }
            Action::Walk => self.walk(&mut state),
            Action::DrainWalk => {
                if let Some(want) = state.wanting.take() {
                    state.want = want;
                }
            }
        }
        let bounded = state.buffers.iter().all(|buffer| buffer.len() <= 3);
        (bounded && state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(
            "a value is one's alone",
            |_, state: &State| {
                let inside = state.threads.iter().filter(|&&at| at == At::Inside).count();
                inside + usize::from(state.walk == Walk::Visiting) <= 1
            },
        )]
    }
}

fn of(fault: Fault) -> Vec<&'static str> {
    explore(fault, World(fault))
}

#[test]
fn a_value_is_never_two_peoples() {
    assert_eq!(of(Fault::None), [""; 0]);
}

#[test]
fn mutants_are_found() {
    expect_found(
        &[
            Fault::NoFence,
            Fault::FenceFirst,
            Fault::WantFirst,
            Fault::NoWait,
        ],
        of,
    );
}
