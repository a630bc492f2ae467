//! What may happen next, and what comes of it.
//!
//! Memory is that of x86: a store waits in its CPU's buffer, loads may pass it. What an
//! architecture may reorder beyond that, and an ordering of the library forbids, is a step
//! of its own where that ordering is left out ([`Rules`](super::config::Rules)). A switch away from a CPU and an
//! interrupt of a fence empty the buffer and restart the section, as the kernel does.

use stateright::{Model, Property};

use super::config::Domain;
use super::state::{CIDS, Entry, OFF, Pc, Place, Role, State, THREADS, Thread};

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
}

impl Domain {
    fn next_phase(&self, phase: u8) -> u8 {
        (phase + 1) % self.rules.phases
    }

    /// What sections load: the phase, and the number of stripes that they may touch.
    fn choice(&self, state: &State, thread: &Thread) -> (u8, u8) {
        let word = state.load(thread, Place::Chosen);
        match self.parted {
            true => (word & 3, word >> 2),
            false => (word, state.limit),
        }
    }

    fn seat(&self, thread: &Thread, seat: u8) -> Place {
        let phase = if self.parted { thread.phase } else { 0 };
        Place::Seat(thread.cid, phase, seat)
    }

    /// The thread's next step; false: it can take none.
    fn step(&self, state: &mut State, number: usize, other: bool) -> bool {
        let rules = &self.rules;
        let mut thread = state.threads[number].clone();
        if thread.cid == OFF && thread.role.has_cid() {
            return false;
        }
        // Only these have a choice.
        let choices = match thread.pc {
            Pc::Enter => !rules.acquires && thread.early.is_none(),
            Pc::Choose => true,
            _ => false,
        };
        if other && !choices {
            return false;
        }
        match thread.pc {
            Pc::Rest if thread.left == 0 => {
                if !thread.buffer.is_empty() {
                    return false;
                }
                thread.pc = Pc::Done;
                thread.cid = OFF;
            }
            Pc::Rest => {
                thread.left -= 1;
                thread.pc = match thread.role {
                    Role::Reader => Pc::Enter,
                    Role::Counted => Pc::Count,
                    Role::Writer | Role::Waiter => Pc::Unlink,
                    Role::Reclaimer => Pc::Lock,
                };
            }
            Pc::Done => return false,

            // A reader, in a section.
            Pc::Enter if other => thread.early = Some(state.load(&thread, Place::Cell)),
            Pc::Enter => {
                let (phase, limit) = self.choice(state, &thread);
                if thread.cid < limit {
                    thread.phase = phase;
                    thread.pc = Pc::Sit;
                } else {
                    thread.early = None;
                    thread.pc = Pc::Open;
                }
            }
            Pc::Sit => {
                let seat = self.seat(&thread, thread.seat);
                if state.load(&thread, seat) == 0 || !rules.looks_for_free {
                    let mark = if self.parted { 1 } else { thread.phase + 1 };
                    if !thread.store(seat, mark) {
                        return false;
                    }
                    thread.place = seat;
                    thread.seat = 0;
                    thread.pc = Pc::Find;
                } else if thread.seat + 1 < self.seats {
                    thread.seat += 1;
                } else {
                    (thread.early, thread.seat) = (None, 0);
                    thread.pc = Pc::Count;
                }
            }

            // In no section: opens the stripe of its cid, then says so where sections look.
            Pc::Open => {
                state.limit = state.limit.max(thread.cid + 1);
                thread.pc = match self.parted {
                    true => Pc::Raise,
                    false => again(thread.role),
                };
            }
            Pc::Raise => {
                let word = state.load(&thread, Place::Chosen);
                let is_low = word >> 2 < state.limit;
                if rules.raises_at_once {
                    if !thread.buffer.is_empty() {
                        return false;
                    }
                    if is_low {
                        state.chosen = state.limit << 2 | word & 3;
                    }
                    thread.pc = again(thread.role);
                } else {
                    thread.phase = word & 3;
                    thread.pc = if is_low {
                        Pc::Raised
                    } else {
                        again(thread.role)
                    };
                }
            }
            Pc::Raised => {
                if !thread.store(Place::Chosen, state.limit << 2 | thread.phase) {
                    return false;
                }
                thread.phase = 0;
                thread.pc = again(thread.role);
            }

            // A counted one.
            Pc::Count => {
                thread.phase = state.load(&thread, Place::Phase);
                thread.pc = Pc::CountUp;
            }
            Pc::CountUp => {
                thread.place = Place::Count(thread.phase);
                if rules.counts_fenced {
                    if !thread.buffer.is_empty() {
                        return false;
                    }
                    state.counts[thread.phase as usize] += 1;
                } else if !thread.add(thread.place, 1) {
                    return false;
                }
                thread.pc = if rules.looks_again {
                    Pc::Look
                } else {
                    Pc::Find
                };
            }
            Pc::Look => {
                thread.pc = if state.load(&thread, Place::Phase) == thread.phase {
                    Pc::Find
                } else {
                    Pc::Lower
                };
            }
            Pc::Lower => {
                if !thread.add(thread.place, u8::MAX) {
                    return false;
                }
                thread.place = Place::Cell;
                thread.pc = Pc::Count;
            }

            // Both.
            Pc::Find => {
                let early = thread.early.take();
                thread.object = early.unwrap_or_else(|| state.load(&thread, Place::Cell));
                thread.pc = if rules.releases { Pc::Use } else { Pc::Leave };
            }
            Pc::Use => {
                state.broken |= state.freed >> thread.object & 1 != 0;
                thread.object = 0;
                thread.pc = if rules.releases { Pc::Leave } else { Pc::Rest };
            }
            Pc::Leave => {
                let left = match thread.place {
                    Place::Count(_) => thread.add(thread.place, u8::MAX),
                    seat => thread.store(seat, 0),
                };
                if !left {
                    return false;
                }
                thread.place = Place::Cell;
                thread.phase = 0;
                thread.pc = if rules.releases { Pc::Rest } else { Pc::Use };
            }

            // Who unlinks. One thread does.
            Pc::Unlink => {
                thread.object = state.load(&thread, Place::Cell);
                state.linked += 1;
                if !thread.store(Place::Cell, state.linked) {
                    return false;
                }
                thread.pc = Pc::Fence;
            }
            Pc::Fence => {
                if rules.retires_fenced && !thread.buffer.is_empty() {
                    return false;
                }
                thread.pc = match thread.role {
                    Role::Waiter => Pc::Ask,
                    _ => Pc::Choose,
                };
            }
            Pc::Choose if other => {
                // No section, or a full bag: behind the lock, which is a full barrier.
                if !thread.buffer.is_empty() {
                    return false;
                }
                state.late |= 1 << thread.object;
                thread.object = 0;
                thread.pc = Pc::Rest;
            }
            Pc::Choose => {
                let (phase, limit) = self.choice(state, &thread);
                if thread.cid < limit {
                    thread.phase = phase;
                    thread.pc = Pc::Push;
                } else {
                    thread.pc = Pc::Open;
                }
            }
            Pc::Push => {
                let bag = Place::Bag(thread.cid, thread.phase);
                if !thread.add(bag, 1 << thread.object) {
                    return false;
                }
                thread.object = 0;
                thread.phase = 0;
                thread.pc = Pc::Rest;
            }
            Pc::Ask => {
                let from = if rules.waits_for_next {
                    state.begun
                } else {
                    state.ended
                };
                thread.phase = from + 1;
                thread.pc = Pc::Wait;
            }
            Pc::Wait => {
                if state.ended < thread.phase {
                    return false;
                }
                state.freed |= 1 << thread.object;
                thread.object = 0;
                thread.phase = 0;
                thread.pc = Pc::Rest;
            }

            // A grace period.
            Pc::Lock => {
                if rules.serialised {
                    if state.locked {
                        return false;
                    }
                    state.locked = true;
                }
                thread.pc = Pc::Take;
            }
            Pc::Take => {
                if rules.late_first {
                    thread.taken |= std::mem::take(&mut state.late);
                }
                thread.limit = state.limit;
                thread.phase = state.load(&thread, Place::Phase);
                state.begun += 1;
                thread.number = state.begun;
                thread.pc = Pc::First;
            }
            Pc::First | Pc::Second => {
                let word = match (thread.pc == Pc::First) == rules.chosen_first {
                    true => Place::Chosen,
                    false => Place::Phase,
                };
                let next = self.next_phase(thread.phase);
                if word == Place::Chosen && self.parted {
                    // A read-modify-write: others raise the limit that it has.
                    if !thread.buffer.is_empty() {
                        return false;
                    }
                    state.chosen = state.limit << 2 | next;
                } else if !thread.store(word, next) {
                    return false;
                }
                thread.pc = match thread.pc {
                    Pc::First => Pc::Second,
                    _ => Pc::Begin,
                };
            }
            Pc::Begin => {
                if !thread.buffer.is_empty() {
                    return false;
                }
                if !rules.late_first {
                    thread.taken |= std::mem::take(&mut state.late);
                }
                if rules.fences {
                    thread.owed = (0..THREADS)
                        .filter(|&one| state.threads[one].cid != OFF)
                        .fold(0, |all, one| all | 1 << one);
                }
                thread.pc = Pc::Fenced;
            }
            Pc::Fenced => {
                if thread.owed != 0 {
                    return false;
                }
                if rules.limit_after {
                    thread.limit = state.limit;
                }
                for cid in 0..thread.limit {
                    let bag = &mut state.bags[cid as usize][thread.phase as usize];
                    thread.taken |= std::mem::take(bag);
                }
                thread.scanned = 0;
                thread.pc = Pc::Scan;
            }
            Pc::Scan => {
                if thread.scanned < thread.limit * self.seats {
                    let (cid, seat) = (thread.scanned / self.seats, thread.scanned % self.seats);
                    let seats = state.seats[cid as usize];
                    let taken = match self.parted {
                        true => seats[thread.phase as usize][seat as usize] != 0,
                        false => seats[0][seat as usize] == thread.phase + 1,
                    };
                    if taken {
                        return false;
                    }
                    thread.scanned += 1;
                } else if state.counts[thread.phase as usize] != 0 {
                    return false;
                } else {
                    thread.pc = Pc::Free;
                }
            }
            Pc::Free => {
                state.ended = state.ended.max(thread.number);
                state.broken |= state.freed & thread.taken != 0;
                state.freed |= thread.taken;
                if rules.serialised {
                    state.locked = false;
                }
                thread.forget();
                thread.pc = Pc::Rest;
            }
        }
        state.threads[number] = thread;
        true
    }

    /// The thread's buffer is emptied and its section restarted.
    fn interrupt(&self, state: &mut State, number: usize, aborts: bool) {
        while state.drain(number) {}
        let thread = &mut state.threads[number];
        if aborts {
            thread.restart();
        }
    }
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
        };
        happened.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Domain>> {
        vec![
            Property::always("nobody uses what is freed", |_, state: &State| {
                !state.broken
            }),
            // So that it is known that the model gets that far.
            Property::sometimes("something is freed", |_, state: &State| state.freed != 0),
            Property::sometimes("all come to an end", |_, state: &State| {
                state.threads.iter().all(|thread| thread.pc == Pc::Done)
            }),
        ]
    }
}

/// Where the section begins that a thread tries again.
fn again(role: Role) -> Pc {
    match role {
        Role::Writer => Pc::Choose,
        _ => Pc::Enter,
    }
}

impl Entry {
    pub(super) fn apply(self, state: &mut State) {
        let Entry { place, value, adds } = self;
        let word = state.word(place);
        *word = if adds {
            word.wrapping_add(value)
        } else {
            value
        };
    }
}
