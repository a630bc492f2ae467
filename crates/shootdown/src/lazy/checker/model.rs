//! What may happen next, and what comes of it.
//!
//! # Steps
//!
//! Every request of a procedure is one step, and so are: each load and the commit of a
//! section, the two loads of the cell, each of the three steps of a miss, a store to a
//! cell and the transfer of what was counted there, a switch, a preemption, the arrival of
//! a fence at a CPU, a store that leaves its buffer. Any thread may be the next, while it is on
//! a CPU.
//!
//! # Memory
//!
//! With `buffers` it is x86's: plain stores wait, in order, in a buffer of their CPU; a
//! read-modify-write, a switch and a fence's interrupt empty it. Cells and objects are
//! changed by read-modify-writes only.

use std::marker::PhantomData;

use stateright::{Model, Property};

use super::super::protocol::{
    Answer, Install, Leave, Object as Name, Outcome, Procedure, Request, Rules, Slot, Tend,
};
use super::config::{Config, Kernel, Reader};
use super::state::{BIAS, Doing, FIRST, Field, Object, SLOTS, State, Then, Thread};

/// The world in a configuration, under rules.
pub(super) struct World<R> {
    pub(super) config: Config,
    rules: PhantomData<R>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Switch(usize, u8),
    Preempt(usize),
    /// A thread's fence arrives at a CPU.
    Arrive(usize, u8),
    Drain(u8),
    /// The thread's own next step; the number chooses.
    Step(usize, u8),
}

impl<R: Rules> World<R> {
    pub(super) fn new(config: Config) -> Self {
        World {
            config,
            rules: PhantomData,
        }
    }

    fn is_reader(&self, thread: usize) -> bool {
        thread < self.config.readers
    }

    /// In how many ways a thread's next step may go.
    fn choices(&self, state: &State<R>, thread: usize) -> u8 {
        let Config {
            cells,
            ways,
            objects,
            refuses,
            empties,
            door,
            ..
        } = self.config;
        let mine = &state.threads[thread];
        if mine.fencing {
            return u8::from(mine.unreached == 0);
        }
        match mine.doing {
            Doing::Done => 0,
            Doing::Rest if mine.left == 0 => 1,
            Doing::Rest if self.is_reader(thread) => cells * ways,
            Doing::Rest => cells * objects,
            Doing::Hold { counted: false, .. } => 1 + u8::from(empties) + u8::from(door),
            Doing::Tend(tend, _) if refuses && tend.request() == Request::Fence => 2,
            _ => 1,
        }
    }

    /// A thread's own step; false if there is no such choice.
    fn step(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let config = &self.config;
        let mine = state.threads[thread];
        let cpu = mine.cpu.expect("only who runs steps");
        let set = |state: &mut State<R>, doing| state.threads[thread].doing = doing;
        match mine.doing {
            Doing::Done => return false,
            Doing::Rest if mine.left == 0 => {
                state.drain(cpu);
                state.threads[thread] = Thread::new(None, 0, Doing::Done);
            }
            Doing::Rest if self.is_reader(thread) => {
                let cell = choice % config.cells;
                state.threads[thread].cell = cell;
                state.threads[thread].way = choice / config.cells;
                state.threads[thread].window = 1 << state.cells[usize::from(cell)].object;
                set(state, Doing::Load);
                // Nothing lies between the beginning and the first load.
                return self.step(state, thread, 0);
            }
            Doing::Rest => return self.begin_store(state, thread, choice),
            Doing::Load => {
                let object = state.cells[usize::from(mine.cell)].object;
                set(state, Doing::Hit { object, step: 0 });
            }
            Doing::Hit { object, step } => {
                let slot = cpu * config.ways + mine.way;
                state.threads[thread].slot = slot;
                if step == 3 {
                    state.store(config.buffers, cpu, slot, Field::Active, 1);
                    set(state, Doing::Again { object });
                } else if self.loads_as_wished(state, cpu, slot, object, step) {
                    set(
                        state,
                        Doing::Hit {
                            object,
                            step: step + 1,
                        },
                    );
                } else {
                    set(state, Doing::CountOutside);
                }
            }
            Doing::Again { object } => {
                let same = state.cells[usize::from(mine.cell)].object == object;
                if same || config.reader == Reader::ReadsOnce {
                    self.grant(state, thread, object, false);
                } else {
                    set(
                        state,
                        Doing::LeaveSection {
                            object,
                            retries: true,
                            commits: false,
                        },
                    );
                }
            }
            Doing::CountOutside => {
                state.drain(cpu);
                let cell = &mut state.cells[usize::from(mine.cell)];
                if config.reader != Reader::CountsLate {
                    cell.outside += 1;
                }
                let object = cell.object;
                set(state, Doing::CountInside { object });
                if config.whole {
                    return self.step(state, thread, 0);
                }
            }
            Doing::CountInside { object } => {
                state.drain(cpu);
                let counted = state.object(object, "a count of what is gone");
                counted.count += 1;
                if counted.count == 1 {
                    state.fail("a count from zero");
                }
                set(state, Doing::GiveOutside { object });
                if config.whole {
                    return self.step(state, thread, 0);
                }
            }
            Doing::GiveOutside { object } => {
                state.drain(cpu);
                let cell = &mut state.cells[usize::from(mine.cell)];
                if config.reader == Reader::CountsLate {
                } else if cell.object == object && cell.outside > 0 {
                    cell.outside -= 1;
                } else {
                    // Whoever took the object out of the cell has counted it in, or will.
                    self.give_back(state, object);
                }
                self.check_lease(state, thread, object);
                set(
                    state,
                    match config.reader {
                        Reader::Overwrites => Doing::Overwrite { object },
                        _ => Doing::Peek { object },
                    },
                );
            }
            Doing::Overwrite { object } => {
                // The simple slot: the pointer is the publication, whatever was there. The
                // bit is set before, and the count goes at once.
                let slot = cpu * config.ways + mine.way;
                state.object(object, "a bit of what is gone").mask |= 1 << slot;
                state.store(config.buffers, cpu, slot, Field::Pointer, object);
                state.threads[thread].slot = slot;
                state.threads[thread].leased = object;
                let last = self.give_back(state, object);
                if last {
                    state.dying |= 1 << (object - FIRST);
                    self.tend(state, thread, Then::Hold(object));
                } else {
                    set(
                        state,
                        Doing::Hold {
                            object,
                            counted: false,
                        },
                    );
                }
            }
            Doing::Peek { object } => {
                let slot = cpu * config.ways + mine.way;
                let found = state.load(cpu, slot, Field::Pointer);
                set(
                    state,
                    Doing::Claim {
                        object,
                        found,
                        step: 0,
                    },
                );
            }
            Doing::Claim {
                object,
                found,
                step,
            } => {
                let slot = cpu * config.ways + mine.way;
                state.threads[thread].slot = slot;
                if step == 3 {
                    state.store(config.buffers, cpu, slot, Field::Active, 1);
                    let (slot, new) = (Slot(slot.into()), Name(object.into()));
                    let install = Install::with_rules(slot, found.into(), new, config.clears);
                    set(state, Doing::Install(install, object));
                } else if self.loads_as_wished(state, cpu, slot, found, step) {
                    set(
                        state,
                        Doing::Claim {
                            object,
                            found,
                            step: step + 1,
                        },
                    );
                } else {
                    self.grant(state, thread, object, true);
                }
            }
            Doing::Hold { object, counted } => {
                state.threads[thread].leased = 0;
                if counted {
                    state.drain(cpu);
                    let last = self.give_back(state, object);
                    state.threads[thread].left -= 1;
                    return self.after_count(state, thread, object, last);
                }
                let slot = Slot(mine.slot.into());
                let leave = Leave::with_rules(slot, Name(object.into()), false);
                match choice {
                    0 if config.reader == Reader::LeavesPlainly => set(
                        state,
                        Doing::LeavePlain {
                            object,
                            mark: 0,
                            step: 0,
                        },
                    ),
                    0 if config.reader == Reader::Overwrites => self.left(state, thread, false),
                    0 => set(
                        state,
                        Doing::LeaveSection {
                            object,
                            retries: false,
                            commits: false,
                        },
                    ),
                    1 if config.empties => {
                        set(state, Doing::Leave(leave.emptying(), object, false));
                    }
                    _ if config.reader == Reader::DoorWithoutLock => {
                        let leave = Leave::with_rules(slot, Name(object.into()), true);
                        set(state, Doing::Leave(leave, object, false));
                    }
                    _ => {
                        // The door.
                        state.drain(cpu);
                        state.orphans |= 1 << mine.slot;
                        state.threads[thread].left -= 1;
                        self.tend(state, thread, Then::Rest);
                    }
                }
                // The end of a lease is no access by itself.
                return match state.threads[thread].doing {
                    Doing::LeaveSection { .. } | Doing::LeavePlain { .. } | Doing::Leave(..) => {
                        self.step(state, thread, 0)
                    }
                    _ => true,
                };
            }
            Doing::LeaveSection {
                object,
                retries,
                commits: false,
            } => {
                if state.load(cpu, mine.slot, Field::Dying) == 0 {
                    set(
                        state,
                        Doing::LeaveSection {
                            object,
                            retries,
                            commits: true,
                        },
                    );
                } else {
                    let slot = Slot(mine.slot.into());
                    let leave = Leave::with_rules(slot, Name(object.into()), false);
                    set(state, Doing::Leave(leave, object, retries));
                }
            }
            Doing::LeaveSection { retries, .. } => {
                state.store(config.buffers, cpu, mine.slot, Field::Active, 0);
                self.left(state, thread, retries);
            }
            Doing::LeavePlain { object, mark, step } => {
                return self.leave_plain(state, thread, object, mark, step);
            }
            Doing::Transfer { object, outside } => {
                state.drain(cpu);
                let given = if config.reader == Reader::NoBias {
                    1
                } else {
                    BIAS
                };
                let counted = state.object(object, "a transfer to what is gone");
                counted.count += outside - given;
                let last = counted.count == 0;
                return self.after_count(state, thread, object, last);
            }
            Doing::Install(..) | Doing::Leave(..) | Doing::Tend(..) => {
                return self.procedure(state, thread, choice);
            }
        }
        true
    }

    /// One of a hit's three loads.
    fn loads_as_wished(&self, state: &State<R>, cpu: u8, slot: u8, object: u8, step: u8) -> bool {
        let order = match self.config.reader {
            Reader::PointerFirst => [Field::Pointer, Field::Active, Field::Dying],
            _ => [Field::Active, Field::Dying, Field::Pointer],
        };
        let field = order[usize::from(step)];
        let word = state.load(cpu, slot, field);
        match field {
            Field::Active => word == 0,
            Field::Dying => word == 0 || self.config.reader == Reader::IgnoresMarks,
            Field::Pointer => word == object,
        }
    }

    /// The shortcut of a leave: its store, then a look, then the mark is taken.
    fn leave_plain(
        &self,
        state: &mut State<R>,
        thread: usize,
        object: u8,
        mark: u8,
        step: u8,
    ) -> bool {
        let mine = state.threads[thread];
        let cpu = mine.cpu.expect("only who runs steps");
        let next = |state: &mut State<R>, mark, step| {
            state.threads[thread].doing = Doing::LeavePlain { object, mark, step };
        };
        match step {
            0 => {
                state.store(self.config.buffers, cpu, mine.slot, Field::Active, 0);
                next(state, 0, 1);
            }
            1 => match state.load(cpu, mine.slot, Field::Dying) {
                0 | 1 => self.left(state, thread, false),
                mark => next(state, mark, 2),
            },
            2 => {
                state.drain(cpu);
                let words = &mut state.slots[usize::from(mine.slot)];
                if words[Field::Dying as usize] == mark {
                    words[Field::Dying as usize] = 1;
                    next(state, mark, 3);
                } else {
                    self.left(state, thread, false);
                }
            }
            3 => {
                if state.load(cpu, mine.slot, Field::Pointer) == mark {
                    state.store(self.config.buffers, cpu, mine.slot, Field::Pointer, 0);
                }
                next(state, mark, 4);
            }
            4 => {
                state.store(self.config.buffers, cpu, mine.slot, Field::Dying, 0);
                next(state, mark, 5);
            }
            _ => {
                if self.lower(state, thread, mark) {
                    self.free(state, thread, mark);
                }
                self.left(state, thread, false);
            }
        }
        true
    }

    fn begin_store(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let (cell, new) = (choice % self.config.cells, choice / self.config.cells);
        if state.objects[usize::from(new)].live {
            return false;
        }
        let cpu = state.threads[thread].cpu.expect("writers run");
        state.drain(cpu);
        let own = if self.config.reader == Reader::NoBias {
            1
        } else {
            BIAS
        };
        state.objects[usize::from(new)] = Object {
            live: true,
            kind: cell,
            count: own,
            pending: 1,
            mask: 0,
        };
        let old = std::mem::replace(
            &mut state.cells[usize::from(cell)],
            super::state::Cell {
                object: new + FIRST,
                outside: 0,
            },
        );
        for reader in &mut state.threads[..self.config.readers] {
            if reader.window != 0 && reader.cell == cell {
                reader.window |= 1 << (new + FIRST);
            }
        }
        let mine = &mut state.threads[thread];
        mine.left -= 1;
        mine.doing = Doing::Transfer {
            object: old.object,
            outside: old.outside,
        };
        if self.config.whole {
            return self.step(state, thread, 0);
        }
        true
    }

    /// What a lease promises when it is handed out.
    fn check_lease(&self, state: &mut State<R>, thread: usize, object: u8) {
        let Thread { cell, window, .. } = state.threads[thread];
        let kind = state.object(object, "a lease of what is gone").kind;
        if kind != cell {
            state.fail("a lease of another type");
        }
        if window >> object & 1 == 0 {
            state.fail("a lease of what the cell did not hold");
        }
    }

    fn grant(&self, state: &mut State<R>, thread: usize, object: u8, counted: bool) {
        if !counted {
            self.check_lease(state, thread, object);
        }
        let mine = &mut state.threads[thread];
        mine.window = 0;
        mine.leased = object;
        mine.doing = Doing::Hold { object, counted };
    }

    /// A slot has been left.
    fn left(&self, state: &mut State<R>, thread: usize, retries: bool) {
        let mine = &mut state.threads[thread];
        mine.slot = 0;
        if retries {
            mine.doing = Doing::Load;
        } else {
            mine.left -= 1;
            mine.rest();
        }
    }

    /// Whether it was the last one.
    fn give_back(&self, state: &mut State<R>, object: u8) -> bool {
        let counted = state.object(object, "a count of what is gone");
        counted.count -= 1;
        let count = counted.count;
        if count < 0 {
            state.fail("a count below zero");
        }
        count == 0
    }

    fn after_count(&self, state: &mut State<R>, thread: usize, object: u8, last: bool) -> bool {
        if last {
            state.dying |= 1 << (object - FIRST);
            self.tend(state, thread, Then::Rest);
        } else {
            state.threads[thread].rest();
        }
        true
    }

    fn tend(&self, state: &mut State<R>, thread: usize, then: Then) {
        let tend = Tend::with_rules(self.config.filter);
        state.threads[thread].doing = Doing::Tend(tend, then);
    }

    /// Whether it was the last one.
    fn lower(&self, state: &mut State<R>, thread: usize, object: u8) -> bool {
        let cpu = state.threads[thread].cpu.expect("only who runs steps");
        state.drain(cpu);
        let lowered = state.object(object, "a mark resolved of what is gone");
        lowered.pending -= 1;
        lowered.pending == 0
    }

    /// Nobody may reach it, and nothing may lead to it.
    fn free(&self, state: &mut State<R>, thread: usize, object: u8) {
        let freed = *state.object(object, "freed twice");
        if freed.count != 0 {
            state.fail("freed while counted");
        }
        if state.threads.iter().any(|thread| thread.leased == object) {
            state.fail("freed while leased");
        }
        let cpu = state.threads[thread].cpu.expect("only who runs steps");
        state.drain(cpu);
        for [active, dying, pointer] in state.slots {
            let overwrites = self.config.reader == Reader::Overwrites;
            if pointer == object && active == 0 && !overwrites || dying == object {
                state.fail("freed while a slot leads to it");
            }
        }
        state.objects[usize::from(object - FIRST)] = Object::default();
        for thread in &mut state.threads {
            thread.window &= !(1 << object);
        }
    }

    /// One step of a procedure.
    fn procedure(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let mine = state.threads[thread];
        let request = match &mine.doing {
            Doing::Install(install, _) => install.request(),
            Doing::Leave(leave, ..) => leave.request(),
            Doing::Tend(tend, _) => tend.request(),
            _ => unreachable!("no procedure"),
        };
        let Some(answer) = self.perform(state, thread, request, choice) else {
            return true;
        };
        let doing = &mut state.threads[thread].doing;
        let next = match doing {
            Doing::Install(install, _) => {
                install.answer(answer);
                install.request()
            }
            Doing::Leave(leave, ..) => {
                leave.answer(answer);
                leave.request()
            }
            Doing::Tend(tend, _) => {
                tend.answer(answer);
                tend.request()
            }
            _ => unreachable!("no procedure"),
        };
        match next {
            Request::Done(outcome) => self.ended(state, thread, outcome),
            next if self.config.joins && self.is_silent(next) => {
                return self.procedure(state, thread, 0);
            }
            _ => {}
        }
        true
    }

    /// What may as well have happened together with the step before it.
    ///
    /// The batch is the procedure's own, and masks of what nobody counts do not change,
    /// unless bits are cleared. A count that is raised while the shootdown's own is there
    /// is told apart by nobody. What is freed earlier is missed earlier. What comes onto a
    /// list between the lock and the taking of the list might have come before the lock.
    fn is_silent(&self, request: Request) -> bool {
        match request {
            Request::InMask(..) => !self.config.clears && !self.config.empties,
            Request::Note(..)
            | Request::Noted
            | Request::Next(_)
            | Request::Raise(_)
            | Request::Free(_)
            | Request::TryLock
            | Request::Orphan
            | Request::Batch => true,
            _ => false,
        }
    }

    fn ended(&self, state: &mut State<R>, thread: usize, outcome: Outcome) {
        let mine = &mut state.threads[thread];
        match mine.doing {
            Doing::Install(_, object) => {
                mine.window = 0;
                mine.leased = object;
                if mine.condemned {
                    mine.condemned = false;
                    self.tend(state, thread, Then::Hold(object));
                } else {
                    mine.doing = Doing::Hold {
                        object,
                        counted: false,
                    };
                }
            }
            Doing::Leave(_, object, retries) => match outcome {
                Outcome::Left => self.left(state, thread, retries),
                Outcome::Broken => state.fail("a tombstone in a slot that is held"),
                _ => {
                    mine.doing = Doing::LeaveSection {
                        object,
                        retries,
                        commits: false,
                    };
                }
            },
            Doing::Tend(_, then) => match then {
                Then::Hold(object) => {
                    mine.doing = Doing::Hold {
                        object,
                        counted: false,
                    };
                }

                Then::Rest => mine.rest(),
            },
            _ => unreachable!("no procedure"),
        }
    }

    /// Carries out a request; none if it takes more time.
    fn perform(
        &self,
        state: &mut State<R>,
        thread: usize,
        request: Request,
        choice: u8,
    ) -> Option<Answer> {
        let config = &self.config;
        let cpu = state.threads[thread].cpu.expect("only who runs steps");
        let word = |state: &State<R>, slot: Slot, field| {
            Answer::Word(state.load(cpu, slot.0 as u8, field).into())
        };
        let mut store = |slot: Slot, field, value: u64| {
            state.store(config.buffers, cpu, slot.0 as u8, field, value as u8);
            Answer::Done
        };
        let bit = |slot: Slot| match config.reader {
            Reader::BitPerStripe => {
                ((1 << config.ways) - 1) << (slot.0 as u8 / config.ways * config.ways)
            }
            _ => 1_u8 << slot.0,
        };
        Some(match request {
            Request::Active(slot) => word(state, slot, Field::Active),
            Request::Dying(slot) => word(state, slot, Field::Dying),
            Request::Pointer(slot) => word(state, slot, Field::Pointer),
            Request::Holds(slot, object) => {
                let pointer = state.load(cpu, slot.0 as u8, Field::Pointer);
                Answer::Is(u64::from(pointer) == object.0)
            }
            Request::SetPointer(slot, value) => store(slot, Field::Pointer, value),
            Request::ClearDying(slot) => store(slot, Field::Dying, 0),
            Request::Idle(slot) => store(slot, Field::Active, 0),
            Request::Exchange { slot, old, new } => {
                state.drain(cpu);
                let word = &mut state.slots[slot.0 as usize][Field::Dying as usize];
                let same = u64::from(*word) == old;
                if same {
                    *word = new as u8;
                }
                Answer::Is(same)
            }
            Request::SetBit(object, slot) => {
                state.drain(cpu);
                state.object(object.0 as u8, "a bit of what is gone").mask |= bit(slot);
                Answer::Done
            }
            Request::ClearBit(object, slot) => {
                state.drain(cpu);
                state.object(object.0 as u8, "a bit of what is gone").mask &= !bit(slot);
                Answer::Done
            }
            Request::InMask(object, after) => {
                let mask = state.object(object.0 as u8, "a mask of what is gone").mask;
                let first = after.map_or(0, |slot| slot.0 + 1);
                let slot = (first..SLOTS as u64).find(|&slot| mask >> slot & 1 == 1);
                Answer::Slot(slot.map(Slot))
            }
            Request::GiveBack(object) => {
                state.drain(cpu);
                Answer::Is(self.give_back(state, object.0 as u8))
            }
            Request::Raise(object) => {
                state.drain(cpu);
                state
                    .object(object.0 as u8, "a mark of what is gone")
                    .pending += 1;
                Answer::Done
            }
            Request::Lower(object) => Answer::Is(self.lower(state, thread, object.0 as u8)),
            Request::Condemn(object) => {
                state.drain(cpu);
                state.dying |= 1 << (object.0 as u8 - FIRST);
                // Tended when the install has ended.
                state.threads[thread].condemned = true;
                Answer::Done
            }
            Request::Free(object) => {
                self.free(state, thread, object.0 as u8);
                Answer::Done
            }
            Request::Work => {
                Answer::Is(state.dying.count_ones() >= config.batch || state.orphans != 0)
            }
            Request::Orphans => Answer::Is(state.orphans != 0),
            Request::TryLock => {
                state.drain(cpu);
                Answer::Is(!std::mem::replace(&mut state.lock, true))
            }
            Request::Unlock => {
                state.drain(cpu);
                state.lock = false;
                Answer::Done
            }
            Request::Orphan => {
                state.drain(cpu);
                let slot = state.orphans.trailing_zeros();
                if state.orphans == 0 {
                    Answer::Mark(None)
                } else {
                    state.orphans &= state.orphans - 1;
                    let own = state.load(cpu, slot as u8, Field::Pointer);
                    Answer::Mark(Some((Slot(slot.into()), Name(own.into()))))
                }
            }
            Request::Batch => {
                state.drain(cpu);
                state.threads[thread].batch = std::mem::take(&mut state.dying);
                Answer::Done
            }
            Request::Postpone => {
                state.drain(cpu);
                state.dying |= std::mem::take(&mut state.threads[thread].batch);
                Answer::Done
            }
            Request::Note(slot, object) => {
                state.threads[thread].marks[slot.0 as usize] = object.0 as u8;
                Answer::Done
            }
            Request::Noted => {
                let marks = &mut state.threads[thread].marks;
                let slot = marks.iter().position(|&mark| mark != 0);
                Answer::Mark(slot.map(|slot| {
                    let object = std::mem::take(&mut marks[slot]);
                    (Slot(slot as u64), Name(object.into()))
                }))
            }
            Request::Next(after) => {
                let batch = state.threads[thread].batch;
                let first = after.map_or(0, |object| object.0 as u8 - FIRST + 1);
                let next = (first..8).find(|&object| batch >> object & 1 == 1);
                Answer::Object(next.map(|object| Name((object + FIRST).into())))
            }
            Request::Fence if choice == 1 => Answer::Is(false),
            Request::Fence => {
                state.drain(cpu);
                let mine = &mut state.threads[thread];
                if mine.fencing {
                    mine.fencing = false;
                    Answer::Is(true)
                } else {
                    mine.fencing = true;
                    mine.unreached = (1 << config.all_cpus()) - 1;
                    mine.unreached &= !(1 << cpu);
                    return None;
                }
            }
            Request::Wait => {
                state.fail("a shootdown waits");
                Answer::Done
            }
            Request::Done(_) => unreachable!("nothing to be done"),
        })
    }

    /// No thread will do anything any more.
    fn is_over(&self, state: &State<R>) -> bool {
        let ended = |thread: &Thread<R>| {
            let stuck = matches!(thread.doing, Doing::Rest) && thread.left > 0;
            let full = state.objects[..usize::from(self.config.objects)]
                .iter()
                .all(|object| object.live);
            thread.doing == Doing::Done || stuck && full
        };
        let readers = &state.threads[..self.config.readers];
        readers.iter().all(|thread| thread.doing == Doing::Done)
            && state.threads.iter().all(ended)
            && state.buffers.iter().all(|buffer| buffer.is_empty())
    }

    /// Everything that was given up is gone, and everything else is as it should be.
    fn is_clean(&self, state: &State<R>) -> bool {
        let bias = if self.config.reader == Reader::NoBias {
            1
        } else {
            BIAS
        };
        // What a refused fence left is tried again by the next who has work; and a batch
        // may be too small.
        let waits = self.config.refuses || state.dying.count_ones() < self.config.batch;
        let postponed = if waits { state.dying } else { 0 };
        let objects = state.objects.iter().enumerate().all(|(index, object)| {
            let name = index as u8 + FIRST;
            let cells = state
                .cells
                .iter()
                .filter(|cell| cell.object == name)
                .count();
            let dying = postponed >> index & 1 == 1;
            !object.live || dying || cells == 1 && object.count == bias && object.pending == 1
        });
        let slots = state.slots.iter().all(|&[active, dying, pointer]| {
            let live = pointer == 0 || state.objects[usize::from(pointer - FIRST)].live;
            active == 0 && dying == 0 && live
        });
        objects && slots && !state.lock && state.dying == postponed && state.orphans == 0
    }
}

impl<R: Rules> Model for World<R> {
    type State = State<R>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        vec![State::new(&self.config)]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for (index, thread) in state.threads.iter().enumerate() {
            if thread.doing == Doing::Done {
                continue;
            }
            if self.is_reader(index) {
                if thread.cpu.is_none() {
                    let free = |&cpu: &u8| state.threads.iter().all(|it| it.cpu != Some(cpu));
                    let free = (0..self.config.cpus).filter(free);
                    actions.extend(free.map(|cpu| Action::Switch(index, cpu)));
                    continue;
                }
                // Who has not begun is switched as well before.
                let calm = !matches!(thread.doing, Doing::Leave(..) | Doing::Tend(..));
                if thread.doing != Doing::Rest && (calm || !self.config.calm) {
                    actions.push(Action::Preempt(index));
                }
            }
            let choices = self.choices(state, index);
            actions.extend((0..choices).map(|choice| Action::Step(index, choice)));
            if thread.fencing {
                let unreached = (0..8).filter(|cpu| thread.unreached >> cpu & 1 == 1);
                actions.extend(unreached.map(|cpu| Action::Arrive(index, cpu)));
            }
        }
        for (cpu, buffer) in state.buffers.iter().enumerate() {
            if !buffer.is_empty() {
                actions.push(Action::Drain(cpu as u8));
            }
        }
    }

    fn next_state(&self, last: &Self::State, action: Action) -> Option<Self::State> {
        let mut state = last.clone();
        match action {
            Action::Switch(thread, cpu) => state.threads[thread].cpu = Some(cpu),
            Action::Preempt(thread) => {
                let cpu = state.threads[thread].cpu.take().expect("who runs");
                state.threads[thread].abort();
                state.drain(cpu);
            }
            Action::Arrive(fencer, cpu) => {
                if self.config.kernel != Kernel::NoBarrier {
                    state.drain(cpu);
                }
                if self.config.kernel != Kernel::NoAbort {
                    let mut on_it = state.threads.iter_mut().filter(|it| it.cpu == Some(cpu));
                    on_it.by_ref().for_each(Thread::abort);
                }
                state.threads[fencer].unreached &= !(1 << cpu);
            }
            Action::Drain(cpu) => state.drain_one(cpu),
            Action::Step(thread, choice) => {
                if !self.step(&mut state, thread, choice) {
                    return None;
                }
            }
        }
        state.settle_fences();
        state.order(self.config.readers);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("1: nothing is used after its end", |_, state: &State<R>| {
                state.broken.is_none()
            }),
            Property::always(
                "2: what is given up is freed",
                |model: &Self, state: &State<R>| {
                    state.broken.is_some() || !model.is_over(state) || model.is_clean(state)
                },
            ),
        ]
    }
}

impl<R: Rules> World<R> {
    /// One line of a trace: what happens next.
    pub(super) fn describe(&self, state: &State<R>, action: Action) -> String {
        match action {
            Action::Switch(thread, cpu) => format!("T{thread} runs on CPU {cpu}"),
            Action::Preempt(thread) => format!("T{thread} is preempted"),
            Action::Arrive(thread, cpu) => format!("T{thread}'s fence arrives at CPU {cpu}"),
            Action::Drain(cpu) => format!("a store of CPU {cpu} is seen"),
            Action::Step(thread, choice) => {
                let next = match state.threads[thread].doing {
                    Doing::Install(install, _) => format!("{:?}", install.request()),
                    Doing::Leave(leave, ..) => format!("{:?}", leave.request()),
                    Doing::Tend(tend, _) => format!("{:?}", tend.request()),
                    doing => format!("{doing:?}"),
                };
                let on = state.threads[thread].cpu.unwrap_or_default();
                format!("T{thread} on CPU {on}: {next} ({choice})")
            }
        }
    }
}
