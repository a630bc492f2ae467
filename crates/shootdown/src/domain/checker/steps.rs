//! What each step is.

use super::config::Domain;
use super::state::{Entry, OFF, Pc, Place, Role, State, THREADS, Thread};

impl Domain {
    pub(super) fn next_phase(&self, phase: u8) -> u8 {
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
    pub(super) fn step(&self, state: &mut State, number: usize, other: bool) -> bool {
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
            Pc::Rest if thread.role == Role::Reclaimer && self.is_awaited(state) => {
                thread.left = 0;
                thread.pc = Pc::Lock;
            }
            Pc::Rest if thread.left == 0 => {
                if thread.role == Role::Reclaimer && self.may_be_awaited(state) {
                    return false;
                }
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
                if state.ended < thread.phase || state.destroying > 0 {
                    return false;
                }
                state.freed |= 1 << thread.object;
                thread.object = 0;
                thread.phase = 0;
                thread.pc = Pc::Rest;
            }

            // A grace period.
            Pc::Lock => {
                let inherits = state.locked && state.child.inherits && rules.takes_over;
                if rules.serialised {
                    if state.locked && !inherits {
                        return false;
                    }
                    state.locked = true;
                }
                thread.pc = Pc::Take;
                if inherits {
                    self.inherit(state, &mut thread);
                }
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
            // Destructors run outside of the lock; where nobody asks, at once.
            Pc::Free if self.forks => {
                state.ended = state.ended.max(thread.number);
                state.locked = false;
                state.destroying += 1;
                thread.pc = Pc::Destroy;
            }
            Pc::Destroy => {
                state.broken |= state.freed & thread.taken != 0;
                state.freed |= thread.taken;
                state.destroying -= 1;
                thread.forget();
                thread.pc = Pc::Rest;
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
    pub(super) fn interrupt(&self, state: &mut State, number: usize, aborts: bool) {
        while state.drain(number) {}
        let thread = &mut state.threads[number];
        if aborts {
            thread.restart();
        }
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
