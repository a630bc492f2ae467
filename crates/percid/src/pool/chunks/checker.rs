//! Every interleaving of objects that come home, are taken again and given back, and of mutants
//! that must be found.
//!
//! One chunk of two objects. Workers bring objects home, own the chunk and take or carve; the
//! giver owns it and gives its memory back. Each access to a shared word is a step of its own,
//! as in `record`, in program order and sequentially consistent.

use stateright::{Model, Property};

use crate::checker::{expect_found, explore};

const EACH: u8 = 2;
const WORKERS: usize = 3;

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// An object is counted before its bit is set.
    CountFirst,
    /// Whoever finds the chunk not listed lists it.
    ListByLook,
    /// An owner with nothing left stores that the chunk is not listed.
    UnlistByStore,
    /// An owner takes by the bits, not by the count.
    TakeByBits,
    /// The giver looks before it owns the chunk, and not again.
    NoSecondLook,
    /// The giver does not own the chunk.
    NotOwned,
    /// The giver looks at the bits, not at the count.
    GiveByBits,
    /// The giver lets go of the chunk before it has cleared what is known of it.
    LetGoFirst,
    /// Who lists a chunk has looked whether there is an owner, before it counted.
    NeverList,
}

/// Where a thread is. In brackets: what it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Outside,
    /// Brings an object home: has set its bit, or has counted it, if that comes first.
    Bit(u8),
    /// Has done both, and found the chunk not listed.
    Counted,
    Show,
    /// Owns the chunk, to take from it.
    Owner,
    Take(u8),
    Uncount(u8),
    LetGo,
    /// The giver.
    Looked,
    Give,
    Given,
    Cleared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    /// The bit in the group.
    shown: bool,
    listed: bool,
    count: i8,
    carved: u8,
    bits: u8,
    /// Objects in the hand of each worker, by bit.
    hands: [u8; WORKERS],
    steps: [Step; WORKERS],
    giver: Step,
    /// Whether memory of an object was given back that somebody had.
    torn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Bring(usize, u8),
    Own(usize),
    Go(usize),
    Give,
}

struct World {
    fault: Fault,
}

impl World {
    fn go(&self, state: &mut State, number: usize) {
        let hand = &mut state.hands[number];
        state.steps[number] = match state.steps[number] {
            Step::Outside | Step::Looked | Step::Give | Step::Given | Step::Cleared => return,
            Step::Bit(bit) => {
                if self.fault == Fault::CountFirst {
                    state.bits |= bit;
                } else {
                    state.count += 1;
                }
                if state.listed || self.fault == Fault::NeverList {
                    Step::Outside
                } else {
                    Step::Counted
                }
            }
            Step::Counted => {
                let first = !state.listed || self.fault == Fault::ListByLook;
                state.listed = true;
                if first { Step::Show } else { Step::Outside }
            }
            Step::Show => {
                state.shown = true;
                Step::Outside
            }
            Step::Owner => {
                let known = match self.fault {
                    Fault::TakeByBits => state.bits != 0,
                    _ => state.count > 0,
                };
                if known && state.bits != 0 {
                    // Either of those whose bit is set.
                    Step::Take(1 << state.bits.trailing_zeros())
                } else if known {
                    // Counted, and not there.
                    state.torn = true;
                    Step::LetGo
                } else {
                    if state.carved < EACH {
                        *hand |= 1 << state.carved;
                        state.carved += 1;
                    }
                    Step::LetGo
                }
            }
            Step::Take(bit) => {
                state.bits &= !bit;
                *hand |= bit;
                Step::Uncount(bit)
            }
            Step::Uncount(_) => {
                state.count -= 1;
                Step::LetGo
            }
            Step::LetGo => {
                let nothing = state.count == 0 || self.fault == Fault::UnlistByStore;
                if state.carved == EACH && nothing {
                    state.listed = false;
                    Step::Outside
                } else {
                    Step::Show
                }
            }
        };
    }

    fn give(&self, state: &mut State) {
        let all_home = |state: &State| match self.fault {
            Fault::GiveByBits => state.bits.count_ones() == u32::from(state.carved),
            _ => state.count == state.carved as i8,
        };
        state.giver = match state.giver {
            Step::Outside if state.carved > 0 && all_home(state) => Step::Looked,
            Step::Looked if self.fault == Fault::NotOwned => Step::Give,
            Step::Looked if state.shown => {
                state.shown = false;
                Step::Give
            }
            Step::Give if self.fault == Fault::NoSecondLook || all_home(state) => {
                let held = state.hands.iter().fold(0, |all, hand| all | hand);
                let coming = state.steps.iter().any(|step| matches!(step, Step::Bit(_)));
                state.torn |= held != 0 || coming;
                if self.fault == Fault::LetGoFirst {
                    state.shown = true;
                }
                Step::Given
            }
            Step::Given => {
                state.bits = 0;
                Step::Cleared
            }
            Step::Cleared => {
                state.count -= state.carved as i8;
                state.carved = 0;
                state.shown = true;
                Step::Outside
            }
            Step::Give => {
                state.shown = true;
                Step::Outside
            }
            _ => Step::Outside,
        };
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            shown: true,
            listed: true,
            count: 0,
            carved: 0,
            bits: 0,
            hands: [0; WORKERS],
            steps: [Step::Outside; WORKERS],
            giver: Step::Outside,
            torn: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for number in 0..WORKERS {
            if state.steps[number] != Step::Outside {
                actions.push(Action::Go(number));
                continue;
            }
            actions.push(Action::Own(number));
            let held = (0..EACH).filter(|at| state.hands[number] & (1 << at) != 0);
            actions.extend(held.map(|at| Action::Bring(number, 1 << at)));
        }
        actions.push(Action::Give);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Bring(number, bit) => {
                state.hands[number] &= !bit;
                if self.fault == Fault::CountFirst {
                    state.count += 1;
                } else {
                    state.bits |= bit;
                }
                state.steps[number] = Step::Bit(bit);
            }
            Action::Own(number) => {
                if !state.shown {
                    return None;
                }
                state.shown = false;
                state.steps[number] = Step::Owner;
            }
            Action::Go(number) => self.go(&mut state, number),
            Action::Give => self.give(&mut state),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no object is in two places", |_, state: &State| {
                let mut places = state.hands.to_vec();
                // One whose bit was cleared is in the hand already.
                places.push(state.bits);
                (0..EACH).all(|at| {
                    let found = places.iter().filter(|place| **place & (1 << at) != 0);
                    found.count() <= 1
                })
            }),
            Property::always("nothing that is used is given back", |_, state: &State| {
                !state.torn
            }),
            Property::always("counts do not wrap", |_, state: &State| state.count >= 0),
            Property::always("whatever is free can be found", |_, state: &State| {
                let quiet = state.giver == Step::Outside
                    && state.steps.iter().all(|step| *step == Step::Outside);
                let held: u32 = state.hands.iter().map(|hand| hand.count_ones()).sum();
                let all_used = held == u32::from(EACH);
                !quiet || all_used || state.shown
            }),
            Property::always("what is at home is counted", |_, state: &State| {
                let quiet = state.steps.iter().all(|step| *step == Step::Outside)
                    && state.giver == Step::Outside;
                !quiet || state.bits.count_ones() as i8 == state.count
            }),
        ]
    }
}

fn of(fault: Fault) -> Vec<&'static str> {
    explore(fault, World { fault })
}

#[test]
fn chunks_are_given_back_while_nobody_has_a_part() {
    assert_eq!(of(Fault::None), [""; 0]);
}

#[test]
fn mutants_are_found() {
    expect_found(
        &[
            Fault::CountFirst,
            Fault::ListByLook,
            Fault::UnlistByStore,
            Fault::TakeByBits,
            Fault::NoSecondLook,
            Fault::NotOwned,
            Fault::GiveByBits,
            Fault::LetGoFirst,
            Fault::NeverList,
        ],
        of,
    );
}
