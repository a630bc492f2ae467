//! What may happen next, and what comes of it.
//!
//! Memory is that of x86: a store waits in its CPU's buffer, loads may pass it. What an
//! architecture may reorder beyond that, and an ordering of the library forbids, is a step
//! of its own where that ordering is left out ([`Rules`](super::config::Rules)). A switch away from a CPU and an
//! interrupt of a fence empty the buffer and restart the section, as the kernel does.

use stateright::{Model, Property};

use super::config::Domain;
use super::forks::Gone;
use super::state::{CIDS, OFF, Pc, State, THREADS, Thread};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The thread's next step.
    Step(u8),
    /// The same, where it has a choice.
    Other(u8),
    /// The oldest store of its CPU becomes visible.
    Drain(u8),
    Preempt(u8),
    Run(u8, u8),
    /// A fence of the first interrupts the second.
    Interrupt(u8, u8),
    /// The thread forks, and this is the child; how the others are gone.
    Fork(u8, Gone),
}

impl Model for Domain {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            limit: self.open,
            chosen: if self.parted { self.open << 2 } else { 0 },
            ..State::default()
        };
        let mut cid = 0;
        for (thread, &(role, left)) in state.threads.iter_mut().zip(&self.threads) {
            *thread = Thread::new(role, left);
            if role.has_cid() && cid < CIDS as u8 {
                thread.cid = cid;
                cid += 1;
            }
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, thread) in state.threads.iter().enumerate().take(self.threads.len()) {
            let me = number as u8;
            actions.push(Action::Step(me));
            if matches!(thread.pc, Pc::Enter | Pc::Choose) {
                actions.push(Action::Other(me));
            }
            if !thread.buffer.is_empty() {
                actions.push(Action::Drain(me));
            }
            if self.may_fork(state, thread) {
                actions.extend(Gone::ALL.map(|gone| Action::Fork(me, gone)));
            }
            if thread.role.has_cid() && thread.pc != Pc::Done {
                if thread.cid == OFF {
                    let free = |cid: &u8| state.threads.iter().all(|one| one.cid != *cid);
                    let free = (0..CIDS as u8).filter(free);
                    actions.extend(free.map(|cid| Action::Run(me, cid)));
                } else if state.preempted < self.preemptions {
                    actions.push(Action::Preempt(me));
                }
            }
            for other in 0..THREADS as u8 {
                if thread.owed >> other & 1 != 0 {
                    actions.push(Action::Interrupt(me, other));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happened = match action {
            Action::Step(thread) => self.step(&mut state, thread.into(), false),
            Action::Other(thread) => self.step(&mut state, thread.into(), true),
            Action::Drain(thread) => state.drain(thread.into()),
            Action::Preempt(thread) => {
                self.interrupt(&mut state, thread.into(), true);
                state.threads[usize::from(thread)].cid = OFF;
                state.preempted += 1;
                true
            }
            Action::Run(thread, cid) => {
                state.threads[usize::from(thread)].cid = cid;
                true
            }
            Action::Interrupt(fencer, thread) => {
                self.interrupt(&mut state, thread.into(), self.rules.aborts);
                state.threads[usize::from(fencer)].owed &= !(1 << thread);
                true
            }
            Action::Fork(thread, gone) => self.fork(&mut state, thread.into(), gone),
        };
        happened.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Domain>> {
        vec![
            Property::always("nobody uses what is freed", |_, state: &State| {
                !state.broken
            }),
            Property::always("who is left after a fork ends", |model: &Domain, state| {
                !model.is_stuck(state)
            }),
            // So that it is known that the model gets that far.
            Property::sometimes("something is freed", |_, state: &State| state.freed != 0),
            Property::sometimes("all come to an end", |_, state: &State| {
                state.threads.iter().all(|thread| thread.pc == Pc::Done)
            }),
        ]
    }
}
