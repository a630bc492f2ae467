//! The steps of readers and writers, but for their procedures.

use super::super::protocol::{Empty, Install, Object as Name, Rules, Slot, Tend, is_marked};
use super::config::Reader;
use super::model::World;
use super::state::{BIAS, Cell, Doing, Field, Object, State, Then, name_of, number_of};

impl<R: Rules> World<R> {
    /// A thread's own step; false if there is no such choice.
    pub(super) fn step(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let config = &self.config;
        let mine = state.threads[thread];
        let cpu = mine.cpu.expect("only who runs steps");
        let set = |state: &mut State<R>, doing| state.threads[thread].doing = doing;
        match mine.doing {
            Doing::Done => return false,
            Doing::Rest if mine.owns != 0 => {
                return self.use_owned(state, thread, choice);
            }
            Doing::Rest if mine.left == 0 || state.cells[0].object == 0 => {
                return self.end(state, thread);
            }
            Doing::Rest if self.is_reader(thread) => {
                self.begin_load(state, thread, choice);
                // What it begins with is its own.
                if config.joins {
                    return self.step(state, thread, 0);
                }
            }
            Doing::Rest => return self.begin_store(state, thread, choice),
            Doing::Take { commits: false } => {
                let slot = cpu * config.ways + mine.way;
                state.threads[thread].slot = slot;
                let idle = state.load(cpu, slot, Field::Active) == 0;
                set(
                    state,
                    match idle {
                        true => Doing::Take { commits: true },
                        false => Doing::CountOutside,
                    },
                );
            }
            Doing::Take { commits: true } => {
                state.store(config.buffers, cpu, mine.slot, Field::Active, 1);
                state.threads[thread].taken = true;
                set(
                    state,
                    match config.reader {
                        Reader::PointerFirst => Doing::Again,
                        _ => Doing::Pointer,
                    },
                );
            }
            Doing::Pointer if config.reader == Reader::PointerFirst => {
                let slot = cpu * config.ways + mine.way;
                state.threads[thread].held = state.load(cpu, slot, Field::Pointer);
                set(state, Doing::Take { commits: false });
            }
            Doing::Pointer => {
                state.threads[thread].held = state.load(cpu, mine.slot, Field::Pointer);
                set(state, Doing::Again);
            }
            Doing::Again => {
                let cell = state.cells[usize::from(mine.cell)].object;
                let found = match config.reader {
                    Reader::CellFirst => name_of(mine.first) == mine.held,
                    Reader::Overwrites => false,
                    _ => cell == mine.held,
                };
                match found {
                    true => self.grant(state, thread, mine.held, false),
                    false => set(state, Doing::Other),
                }
            }
            Doing::Other if choice == 0 => set(state, Doing::CountOutside),
            Doing::Other => {
                state.threads[thread].window = 0;
                state.threads[thread].unused = true;
                let held = mine.held;
                set(state, Doing::Leave { held, looks: false });
                return self.step(state, thread, 0);
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
            Doing::GiveOutside { object } => self.give_outside(state, thread, object),
            Doing::Lend { object } => {
                state.drain(cpu);
                let cell = &mut state.cells[usize::from(mine.cell)];
                cell.lent |= cell.object == object;
                self.counted(state, thread, object);
            }
            Doing::Overwrite { object } => self.overwrite(state, thread, object),
            Doing::Hold { object, counted } => {
                state.threads[thread].leased = 0;
                let doing = match (counted, choice) {
                    (true, _) => Doing::GiveBack {
                        object,
                        given: 1,
                        step: 0,
                    },
                    (false, 0) if config.departs => Doing::Depart { object, step: 0 },
                    (false, 0) => Doing::Leave {
                        held: object,
                        looks: false,
                    },
                    (false, _) if choice == 1 + u8::from(config.empties) => {
                        return self.upgrade(state, thread, object);
                    }
                    _ if config.reader == Reader::EmptiesLate => {
                        state.store(config.buffers, cpu, mine.slot, Field::Active, 0);
                        let slot = Slot(mine.slot.into());
                        let empty = Empty::with_rules(slot, Name(object.into()));
                        set(state, Doing::Empty(empty));
                        return true;
                    }
                    _ => {
                        let slot = Slot(mine.slot.into());
                        Doing::Empty(Empty::with_rules(slot, Name(object.into())))
                    }
                };
                // The end of a lease is no access by itself.
                set(state, doing);
                return self.step(state, thread, 0);
            }
            Doing::Leave { held, looks } => self.leave(state, thread, held, looks),
            Doing::Depart { object, step } => self.depart(state, thread, object, step),
            Doing::Nudge if config.reader == Reader::TakesMark && !mine.unused => {
                state.drain(cpu);
                self.take_mark(state, thread);
            }
            Doing::Nudge => {
                state.drain(cpu);
                state.nudged = true;
                self.tend(state, thread, Then::Rest);
            }
            Doing::Show { .. } => return self.show(state, thread, choice),
            Doing::GiveBack {
                object,
                given,
                step,
            } => return self.give_back_slowly(state, thread, object, given, step),
            Doing::Install(..) | Doing::Empty(..) | Doing::Tend(..) => {
                return self.procedure(state, thread, choice);
            }
        }
        true
    }

    fn begin_load(&self, state: &mut State<R>, thread: usize, choice: u8) {
        let cell = choice % self.config.cells;
        let object = state.cells[usize::from(cell)].object;
        let mine = &mut state.threads[thread];
        mine.cell = cell;
        mine.way = choice / self.config.cells;
        mine.window = 1 << number_of(object);
        mine.first = number_of(object);
        mine.doing = match self.config.reader {
            Reader::PointerFirst => Doing::Pointer,
            _ => Doing::Take { commits: false },
        };
    }

    fn begin_store(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let (cell, new) = (choice % self.config.cells, choice / self.config.cells);
        // Addresses that nothing has had are alike: the first one stands for all.
        let fresh = state.used.trailing_ones() as u8;
        let is_alike = state.used >> new & 1 == 0 && new != fresh;
        if state.objects[usize::from(new)].live || is_alike {
            return false;
        }
        let cpu = state.threads[thread].cpu.expect("writers run");
        state.drain(cpu);
        let bias = self.bias();
        state.objects[usize::from(new)] = Object {
            live: true,
            kind: cell,
            count: bias,
            pending: 1,
            mask: 0,
            shown: true,
            cached: false,
        };
        state.used |= 1 << new;
        state.threads[thread].left -= 1;
        self.replace(state, thread, cell, name_of(new), false)
    }

    /// Puts an object into a cell, and begins to give the cell's count of the old one back;
    /// or frees that, if nobody else has ever had it.
    pub(super) fn replace(
        &self,
        state: &mut State<R>,
        thread: usize,
        cell: u8,
        object: u8,
        lent: bool,
    ) -> bool {
        let cell_now = Cell {
            object,
            outside: 0,
            lent,
        };
        let old = std::mem::replace(&mut state.cells[usize::from(cell)], cell_now);
        if object != 0 {
            for reader in &mut state.threads[..self.config.readers] {
                if reader.window != 0 && reader.cell == cell {
                    reader.window |= 1 << number_of(object);
                }
            }
        }
        let given = self.bias() - old.outside;
        if !old.lent && old.outside == 0 {
            let alone = state.object(old.object, "taken apart twice");
            alone.count -= given;
            self.free(state, thread, old.object);
            self.ended_one(state, thread);
            return true;
        }
        state.threads[thread].doing = Doing::GiveBack {
            object: old.object,
            given,
            step: 0,
        };
        if self.config.whole {
            return self.step(state, thread, 0);
        }
        true
    }

    pub(super) fn bias(&self) -> i8 {
        match self.config.reader {
            Reader::NoBias => 1,
            _ => BIAS,
        }
    }

    fn give_outside(&self, state: &mut State<R>, thread: usize, object: u8) {
        let reader = self.config.reader;
        let mine = state.threads[thread];
        state.drain(mine.cpu.expect("only who runs steps"));
        let cell = &mut state.cells[usize::from(mine.cell)];
        if reader == Reader::CountsLate {
            cell.lent = true;
        } else if cell.object == object && cell.outside > 0 {
            cell.outside -= 1;
            cell.lent |= !matches!(reader, Reader::LendsNothing | Reader::LendsLate);
            if reader == Reader::LendsLate {
                state.threads[thread].doing = Doing::Lend { object };
                return;
            }
        } else {
            // Whoever took the object out of the cell has counted it in, or will.
            self.give_back(state, object);
        }
        self.counted(state, thread, object);
    }

    /// What a cell holds is counted.
    fn counted(&self, state: &mut State<R>, thread: usize, object: u8) {
        let mine = state.threads[thread];
        self.check_lease(state, thread, object);
        state.threads[thread].doing = match (self.config.reader, mine.taken) {
            (Reader::Overwrites, _) => Doing::Overwrite { object },
            (_, true) => {
                let (slot, new) = (Slot(mine.slot.into()), Name(object.into()));
                let install = Install::with_rules(slot, mine.held.into(), new, self.config.clears);
                Doing::Install(install, object)
            }
            (_, false) => return self.grant(state, thread, object, true),
        };
    }

    /// The simple slot: the pointer is the publication, whatever was there. The bit is set
    /// before, and the count goes at once.
    fn overwrite(&self, state: &mut State<R>, thread: usize, object: u8) {
        let mine = state.threads[thread];
        let cpu = mine.cpu.expect("only who runs steps");
        let slot = cpu * self.config.ways + mine.way;
        state.object(object, "a bit of what is gone").mask |= 1 << slot;
        state.store(self.config.buffers, cpu, slot, Field::Active, 0);
        state.store(self.config.buffers, cpu, slot, Field::Pointer, object);
        state.threads[thread].slot = slot;
        state.threads[thread].leased = object;
        if self.give_back(state, object) {
            state.dying |= 1 << number_of(object);
            self.tend(state, thread, Then::Hold(object));
        } else {
            state.threads[thread].doing = Doing::Hold {
                object,
                counted: false,
            };
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

    /// The store, then the look.
    fn leave(&self, state: &mut State<R>, thread: usize, held: u8, looks: bool) {
        let reader = self.config.reader;
        let mine = state.threads[thread];
        let cpu = mine.cpu.expect("only who runs steps");
        // The mutant looks, and then stores.
        if looks == (reader == Reader::LooksFirst) {
            state.store(self.config.buffers, cpu, mine.slot, Field::Active, 0);
        } else {
            state.threads[thread].held = state.load(cpu, mine.slot, Field::Pointer);
        }
        if !looks {
            state.threads[thread].doing = Doing::Leave { held, looks: true };
            return;
        }
        let found = state.threads[thread].held;
        // A slot that held something else is left only for the sake of marks.
        let nudges = match (reader, mine.unused) {
            (Reader::LeavesBlindly | Reader::Overwrites, _)
            | (Reader::LeavesOthersBlindly, true) => false,
            (_, true) => is_marked(found.into()),
            (_, false) => found != held,
        };
        if nudges {
            state.threads[thread].doing = Doing::Nudge;
        } else {
            self.ended_one(state, thread);
        }
    }

    /// A leaver resolves a mark that it has found: the exchange decides who lowers.
    fn take_mark(&self, state: &mut State<R>, thread: usize) {
        let mine = state.threads[thread];
        let pointer = &mut state.slots[usize::from(mine.slot)][Field::Pointer as usize];
        if *pointer == mine.held && is_marked(mine.held.into()) {
            *pointer = 0;
            let object = mine.held & !1;
            let marked = state.object(object, "a mark resolved of what is gone");
            marked.pending -= 1;
            if marked.pending == 0 {
                self.free(state, thread, object);
            }
        }
        self.ended_one(state, thread);
    }

    /// The looks at the number of announcements and at the slot, the store, and another look
    /// at the number: nothing of the slot.
    fn depart(&self, state: &mut State<R>, thread: usize, object: u8, step: u8) {
        let reader = self.config.reader;
        let cpu = state.threads[thread].cpu.expect("only who runs steps");
        let order = match reader {
            Reader::DepartsPointerFirst => [1, 0, 2, 3],
            Reader::DepartsLate => [0, 1, 3, 2],
            _ => [0, 1, 2, 3],
        };
        let slot = state.threads[thread].slot;
        match order[usize::from(step)] {
            0 => state.threads[thread].before = state.announced,
            1 => {
                let found = state.load(cpu, slot, Field::Pointer);
                let sees = reader != Reader::DepartsBlindly;
                state.threads[thread].tends = sees && found != object;
            }
            2 => state.store(self.config.buffers, cpu, slot, Field::Active, 0),
            _ => {
                let again = reader != Reader::DepartsAtOnce;
                let mine = &mut state.threads[thread];
                mine.tends |= again && mine.before != state.announced;
            }
        }
        let mine = &mut state.threads[thread];
        if step < 3 {
            let step = step + 1;
            mine.doing = Doing::Depart { object, step };
        } else if std::mem::take(&mut mine.tends) {
            mine.before = 0;
            mine.doing = Doing::Nudge;
        } else {
            self.ended_one(state, thread);
        }
    }

    /// An operation has ended.
    pub(super) fn ended_one(&self, state: &mut State<R>, thread: usize) {
        state.threads[thread].left -= u8::from(self.is_reader(thread));
        state.threads[thread].rest();
        // What comes next touches nothing but its own buffer.
        let mine = &state.threads[thread];
        let is_over = mine.left == 0 && mine.owns == 0;
        if self.config.joins && !self.config.buffers && !self.config.handles && is_over {
            self.end(state, thread);
        }
    }

    pub(super) fn tend(&self, state: &mut State<R>, thread: usize, then: Then) {
        let tend = Tend::with_rules(self.config.filter);
        state.threads[thread].looked = false;
        state.threads[thread].doing = Doing::Tend(tend, then);
    }
}
