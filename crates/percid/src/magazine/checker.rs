//! Every interleaving of magazines that are used, taken and opened, and of mutants that
//! must be found.
//!
//! Workers pop and push in sections of separate steps; takers take all magazines behind one
//! fence; either widens gates between. A section is aborted by a fence, or whenever its
//! thread likes, and its cid may then be another worker's. What a child of fork would find
//! is looked at in every state: the shared memory, without what threads have in hand.
//!
//! Accesses are sequentially consistent here, in program order. The one order that the
//! protocol asks of the machine, the gate's load before the length's, is a mutant.

use stateright::{Model, Property};

use crate::checker::{all_there, each_once, expect_found, explore};

const CIDS: usize = 2;
const WORKERS: usize = 2;
const TAKERS: usize = 2;
const ROOM: usize = 2;
const TOKENS: u8 = 2;

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Magazines are taken without a fence.
    NoFence,
    /// The fence comes before the gates are closed.
    FenceFirst,
    /// A pop does not look at the gate.
    PopIgnoresGate,
    /// Sections load the length before the gate.
    LengthFirst,
    /// The gate is opened before the new length is stored.
    OpenFirst,
    /// What was taken can be found before the new length is stored.
    GiveFirst,
    /// Gates are widened by whoever likes to.
    WidenAnyhow,
    /// Asking for control in vain gives it back.
    AskingReleases,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Magazine {
    gate: u8,
    len: u8,
    slots: [u8; ROOM],
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Work {
    Outside,
    /// In a section on a cid: what it has loaded.
    Open {
        cid: u8,
        push: bool,
        gate: Option<u8>,
        len: Option<u8>,
        /// Whether it has read or written its slot.
        moved: Option<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Worker {
    hand: u8,
    work: Work,
}

/// Where a taker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Take {
    Idle,
    /// Has control; has closed so many gates.
    Closing(u8),
    /// Has fenced, or not; works on a cid.
    Fenced(u8),
    Read(u8),
    Stored(u8),
    Given(u8),
    Opened(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    magazines: [Magazine; CIDS],
    /// Tokens in the depot.
    depot: Vec<u8>,
    workers: [Worker; WORKERS],
    takers: [Take; TAKERS],
    /// What each taker has read, and not given yet.
    taken: [Vec<u8>; TAKERS],
    /// Whether somebody has control.
    control: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Begin(usize, u8, bool),
    Step(usize),
    Abort(usize),
    ToDepot(usize),
    FromDepot(usize),
    Widen(u8),
    Taker(usize),
}

struct World {
    fault: Fault,
}

impl World {
    /// Tokens that are in shared memory: those a child of fork would find.
    fn shared(state: &State) -> Vec<u8> {
        let magazines = state
            .magazines
            .iter()
            .flat_map(|it| it.slots[..it.len as usize].iter().copied());
        magazines.chain(state.depot.iter().copied()).collect()
    }

    fn step(&self, state: &mut State, number: usize) {
        let worker = &mut state.workers[number];
        let Work::Open {
            cid,
            push,
            gate,
            len,
            moved,
        } = &mut worker.work
        else {
            return;
        };
        let it = &mut state.magazines[*cid as usize];
        let by_gate = *push || self.fault != Fault::PopIgnoresGate;
        let gate_first = self.fault != Fault::LengthFirst;
        match (*gate, *len, *moved) {
            (None, _, _) if by_gate && (gate_first || len.is_some()) => *gate = Some(it.gate),
            (_, None, _) => *len = Some(it.len),
            (_, Some(at), None) => {
                let gate = gate.unwrap_or(ROOM as u8);
                let refused = if *push {
                    at >= gate
                } else {
                    at == 0 || gate == 0
                };
                if refused {
                    worker.work = Work::Outside;
                } else if *push {
                    it.slots[at as usize] = worker.hand;
                    *moved = Some(worker.hand);
                } else {
                    *moved = Some(it.slots[at as usize - 1]);
                }
            }
            (_, Some(at), Some(token)) => {
                if *push {
                    it.len = at + 1;
                    worker.hand = 0;
                } else {
                    it.len = at - 1;
                    worker.hand = token;
                }
                worker.work = Work::Outside;
            }
        }
    }

    fn fence(&self, state: &mut State) {
        if self.fault != Fault::NoFence {
            for worker in &mut state.workers {
                worker.work = Work::Outside;
            }
        }
    }

    fn take(&self, state: &mut State, number: usize) {
        let next = match state.takers[number] {
            Take::Idle if state.control => {
                if self.fault == Fault::AskingReleases {
                    state.control = false;
                }
                Take::Idle
            }
            Take::Idle => {
                state.control = true;
                if self.fault == Fault::FenceFirst {
                    self.fence(state);
                }
                Take::Closing(0)
            }
            Take::Closing(cid) if (cid as usize) < CIDS => {
                state.magazines[cid as usize].gate = 0;
                Take::Closing(cid + 1)
            }
            Take::Closing(_) => {
                if self.fault != Fault::FenceFirst {
                    self.fence(state);
                }
                Take::Fenced(0)
            }
            Take::Fenced(cid) => {
                let it = &mut state.magazines[cid as usize];
                state.taken[number] = it.slots[..it.len as usize].to_vec();
                if self.fault == Fault::OpenFirst {
                    it.gate = ROOM as u8;
                }
                if self.fault == Fault::GiveFirst {
                    Self::give(state, number);
                }
                Take::Read(cid)
            }
            Take::Read(cid) => {
                state.magazines[cid as usize].len = 0;
                Take::Stored(cid)
            }
            Take::Stored(cid) => {
                Self::give(state, number);
                Take::Given(cid)
            }
            Take::Given(cid) => {
                state.magazines[cid as usize].gate = ROOM as u8;
                Take::Opened(cid)
            }
            Take::Opened(cid) if (cid as usize) + 1 < CIDS => Take::Fenced(cid + 1),
            Take::Opened(_) => {
                state.control = false;
                Take::Idle
            }
        };
        state.takers[number] = next;
    }

    fn give(state: &mut State, number: usize) {
        let taken = std::mem::take(&mut state.taken[number]);
        state.depot.extend(taken);
        state.depot.sort_unstable();
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let empty = Magazine {
            gate: 0,
            len: 0,
            slots: [0; ROOM],
        };
        vec![State {
            magazines: [empty; CIDS],
            depot: (1..=TOKENS).collect(),
            workers: [Worker {
                hand: 0,
                work: Work::Outside,
            }; WORKERS],
            takers: [Take::Idle; TAKERS],
            taken: Default::default(),
            control: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, worker) in state.workers.iter().enumerate() {
            if let Work::Open { .. } = worker.work {
                actions.extend([Action::Step(number), Action::Abort(number)]);
                continue;
            }
            for cid in 0..CIDS as u8 {
                // An id is one thread's while it is in a section.
                let free = state.workers.iter().all(
                    |other| !matches!(other.work, Work::Open { cid: used, .. } if used == cid),
                );
                if free {
                    actions.push(Action::Begin(number, cid, worker.hand != 0));
                }
            }
            if worker.hand != 0 {
                actions.push(Action::ToDepot(number));
            } else if !state.depot.is_empty() {
                actions.push(Action::FromDepot(number));
            }
        }
        for cid in 0..CIDS as u8 {
            // It takes control and gives it back around the one store.
            if !state.control || self.fault == Fault::WidenAnyhow {
                actions.push(Action::Widen(cid));
            }
        }
        actions.extend((0..TAKERS).map(Action::Taker));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(number, cid, push) => {
                state.workers[number].work = Work::Open {
                    cid,
                    push,
                    gate: None,
                    len: None,
                    moved: None,
                };
            }
            Action::Step(number) => self.step(&mut state, number),
            Action::Abort(number) => state.workers[number].work = Work::Outside,
            Action::ToDepot(number) => {
                let token = std::mem::take(&mut state.workers[number].hand);
                state.depot.push(token);
                state.depot.sort_unstable();
            }
            Action::FromDepot(number) => state.workers[number].hand = state.depot.pop()?,
            Action::Widen(cid) => state.magazines[cid as usize].gate = ROOM as u8,
            Action::Taker(number) => self.take(&mut state, number),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no token is in two places", |_, state: &State| {
                let hands = state.workers.iter().map(|worker| worker.hand);
                each_once(World::shared(state).into_iter().chain(hands))
            }),
            Property::always("none is lost", |_, state: &State| {
                let mut all = World::shared(state);
                all.extend(state.workers.iter().map(|worker| worker.hand));
                all.extend(state.taken.iter().flatten());
                all_there(TOKENS.into(), all)
            }),
        ]
    }
}

fn of(fault: Fault) -> Vec<&'static str> {
    explore(fault, World { fault })
}

#[test]
fn magazines_are_taken_without_loss() {
    assert_eq!(of(Fault::None), [""; 0]);
}

#[test]
fn mutants_are_found() {
    expect_found(
        &[
            Fault::NoFence,
            Fault::FenceFirst,
            Fault::PopIgnoresGate,
            Fault::LengthFirst,
            Fault::OpenFirst,
            Fault::GiveFirst,
            Fault::WidenAnyhow,
            Fault::AskingReleases,
        ],
        of,
    );
}
