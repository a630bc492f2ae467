//! The requests of procedures, carried out in the model.

use super::super::protocol::{
    Answer, Object as Name, Outcome, Procedure, Request, Rules, Slot, is_marked,
};
use super::config::{Child, Kernel, Reader};
use super::forks::of_marks;
use super::model::World;
use super::state::{Doing, Field, OBJECTS, SLOTS, State, Then, mark_of, name_of, number_of};

impl<R: Rules> World<R> {
    /// One step of a procedure.
    pub(super) fn procedure(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let mine = state.threads[thread];
        let request = match &mine.doing {
            Doing::Install(install, _) => install.request(),
            Doing::Empty(empty) => empty.request(),
            Doing::Tend(tend, _) => tend.request(),
            _ => unreachable!("no procedure"),
        };
        let Some(answer) = self.perform(state, thread, request, choice) else {
            return true;
        };
        let next = match &mut state.threads[thread].doing {
            Doing::Install(install, _) => {
                install.answer(answer);
                install.request()
            }
            Doing::Empty(empty) => {
                empty.answer(answer);
                empty.request()
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
    /// The batch, its marks and the counts of marks are of who has the lock, and masks of
    /// what nobody counts do not change, unless bits are cleared. What is freed earlier is
    /// missed earlier.
    pub(super) fn is_silent(&self, request: Request) -> bool {
        match request {
            Request::InMask(..) => !self.config.clears && !self.config.empties,
            Request::Note(..)
            | Request::Noted
            | Request::Next(_)
            | Request::Raise(_)
            | Request::Lower(_)
            | Request::Keep(..)
            | Request::Free(_) => true,
            Request::Announce => !self.config.departs,
            Request::Unpark | Request::Park => self.config.quiesce == 0,
            _ => false,
        }
    }

    fn ended(&self, state: &mut State<R>, thread: usize, _: Outcome) {
        let mine = &mut state.threads[thread];
        match mine.doing {
            Doing::Install(_, object) => {
                mine.window = 0;
                mine.leased = object;
                if mine.tends {
                    mine.tends = false;
                    self.tend(state, thread, Then::Hold(object));
                } else {
                    mine.doing = Doing::Hold {
                        object,
                        counted: false,
                    };
                }
            }
            Doing::Empty(_) if mine.tends => {
                // It nudges again when it has left; tending comes then.
                mine.tends = false;
                mine.doing = Doing::Leave {
                    held: u8::MAX,
                    looks: false,
                };
            }
            Doing::Empty(_) => {
                mine.doing = Doing::Leave {
                    held: 0,
                    looks: false,
                };
            }
            Doing::Tend(_, Then::Hold(object)) => {
                mine.doing = Doing::Hold {
                    object,
                    counted: false,
                };
            }
            Doing::Tend(_, Then::Rest) => self.ended_one(state, thread),
            Doing::Tend(_, Then::End) => {
                state.threads[thread] = super::state::Thread::new(None, 0, Doing::Done);
            }
            _ => unreachable!("no procedure"),
        }
    }

    fn bits(&self, slot: Slot) -> u8 {
        let ways = self.config.ways;
        match self.config.reader {
            Reader::BitPerStripe => ((1 << ways) - 1) << (slot.0 as u8 / ways * ways),
            _ => 1_u8 << slot.0,
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
        if !is_plain(request) {
            state.drain(cpu);
        }
        Some(match request {
            Request::Active(slot) => word(state, slot, Field::Active),
            Request::Pointer(slot) => word(state, slot, Field::Pointer),
            Request::Holds(slot, object) => {
                Answer::Is(word(state, slot, Field::Pointer) == Answer::Word(object.0))
            }
            Request::Replace(slot, new) => {
                let word = &mut state.slots[slot.0 as usize][Field::Pointer as usize];
                Answer::Word(std::mem::replace(word, new as u8).into())
            }
            Request::Exchange { slot, old, new } => {
                let word = &mut state.slots[slot.0 as usize][Field::Pointer as usize];
                let same = u64::from(*word) == old;
                if same {
                    *word = new as u8;
                }
                Answer::Is(same)
            }
            Request::SetBit(object, slot) => {
                let bits = self.bits(slot);
                let object = state.object(object.0 as u8, "a bit of what is gone");
                object.mask |= bits;
                object.cached = true;
                Answer::Done
            }
            Request::ClearBit(object, slot) => {
                let bits = self.bits(slot);
                state.object(object.0 as u8, "a bit of what is gone").mask &= !bits;
                Answer::Done
            }
            Request::InMask(object, after) => {
                let mask = state.object(object.0 as u8, "a mask of what is gone").mask;
                let first = after.map_or(0, |slot| slot.0 + 1);
                let slot = (first..SLOTS as u64).find(|&slot| mask >> slot & 1 == 1);
                Answer::Slot(slot.map(Slot))
            }
            Request::GiveBack(object) => Answer::Is(self.give_back(state, object.0 as u8)),
            Request::Condemn(object) => {
                state.dying |= 1 << number_of(object.0 as u8);
                // Tended when the install has ended.
                state.threads[thread].tends = true;
                Answer::Done
            }
            Request::Nudge => {
                state.nudged = true;
                state.threads[thread].tends = true;
                Answer::Done
            }
            Request::TryLock => Answer::Is(self.try_lock(state)),
            Request::Unlock => {
                state.lock = false;
                Answer::Done
            }
            Request::Nudged => Answer::Is(state.nudged),
            Request::Work => {
                let mine = &state.threads[thread];
                let looks = config.reader != Reader::ParksAndGoes;
                let alone = || state.handles == 0 && looks;
                let parked = state.parked != 0 && (!mine.looked || alone());
                Answer::Is(self.has_work(state, mine.force) || parked)
            }
            Request::Announce => {
                state.announced += u8::from(config.departs);
                Answer::Done
            }
            Request::Fence if choice == 1 => Answer::Is(false),
            Request::Fence => {
                let batch = state.threads[thread].batch;
                let is_cached = |object: &super::state::Object| object.cached || !object.live;
                let mut objects = state.objects.iter().enumerate();
                if objects.any(|(number, it)| batch >> number & 1 == 1 && !is_cached(it)) {
                    state.fail("a fence for what no slot has ever had");
                }
                self.fence(state, thread)?;
                Answer::Is(true)
            }
            Request::Unpark => return self.unpark(state, thread),
            Request::Done(_) => unreachable!("nothing to be done"),
            request => self.with_the_lock(state, thread, request),
        })
    }

    /// Every CPU passes a barrier; none while it takes more time.
    fn fence(&self, state: &mut State<R>, thread: usize) -> Option<()> {
        let unreached = self.others(state.threads[thread].cpu);
        let mine = &mut state.threads[thread];
        if !mine.fencing {
            mine.fencing = true;
            mine.unreached = unreached;
            return None;
        }
        mine.fencing = false;
        Some(())
    }

    pub(super) fn has_work(&self, state: &State<R>, force: bool) -> bool {
        let all = force || self.config.batch == 1 || state.handles == 0;
        let there = state.dying.count_ones();
        let due = match all {
            true => there > 0,
            false => {
                let number = there.cast_signed() + i32::from(state.child.drift);
                let believes = self.config.child == Child::BelievesNumber;
                number >= self.config.batch.cast_signed() && (believes || there > 0)
            }
        };
        due || state.nudged
    }

    /// What waits for a fence waits no longer, if there has been one, or if it must not.
    fn unpark(&self, state: &mut State<R>, thread: usize) -> Option<Answer> {
        let mine = &mut state.threads[thread];
        mine.looked = true;
        if state.parked == 0 {
            return Some(Answer::Is(false));
        }
        if !state.served {
            let may_wait = state.parked.count_ones() < self.config.quiesce;
            if !mine.force && state.handles != 0 && may_wait && !mine.fencing {
                return Some(Answer::Is(false));
            }
            self.fence(state, thread)?;
        }
        state.served = false;
        let mine = &mut state.threads[thread];
        mine.batch = std::mem::take(&mut state.parked);
        mine.marks |= std::mem::take(&mut state.parked_marks);
        Some(Answer::Is(true))
    }

    /// What is for who has the lock.
    fn with_the_lock(&self, state: &mut State<R>, thread: usize, request: Request) -> Answer {
        match request {
            Request::Raise(object) => {
                let object = state.object(object.0 as u8, "a mark of what is gone");
                object.pending += 1;
            }
            Request::Lower(object) => {
                let object = state.object(object.0 as u8, "a mark resolved of what is gone");
                object.pending -= 1;
                return Answer::Is(object.pending == 0);
            }
            Request::Free(object) => self.free(state, thread, object.0 as u8),
            Request::Recall => {
                state.nudged = false;
                state.threads[thread].marks |= std::mem::take(&mut state.kept);
            }
            Request::Batch => {
                state.threads[thread].batch = std::mem::take(&mut state.dying);
            }
            Request::Park if self.config.quiesce == 0 || state.threads[thread].force => {
                return Answer::Is(false);
            }
            // That nobody has a handle is seen by `Work`, too, after this.
            Request::Park if state.handles == 0 => return Answer::Is(false),
            Request::Park => {
                state.parked |= std::mem::take(&mut state.threads[thread].batch);
                state.parked_marks |= std::mem::take(&mut state.threads[thread].marks);
                state.served = false;
                state.foreign.counts &= self.config.kernel == Kernel::Early;
                let may_wait = state.parked.count_ones() < self.config.quiesce;
                state.threads[thread].looked = may_wait;
                return Answer::Is(true);
            }
            Request::Postpone => {
                state.dying |= std::mem::take(&mut state.threads[thread].batch);
            }
            Request::Note(slot, object) => {
                state.threads[thread].marks |= mark_of(slot.0 as u8, object.0 as u8);
            }
            Request::Noted => {
                let marks = &mut state.threads[thread].marks;
                let first = marks.trailing_zeros() as u8;
                let any = *marks != 0;
                *marks &= marks.wrapping_sub(1);
                return Answer::Mark(any.then(|| {
                    let (slot, number) = (first / OBJECTS as u8, first % OBJECTS as u8);
                    (Slot(slot.into()), Name(name_of(number).into()))
                }));
            }
            Request::Keep(slot, object) => {
                state.kept |= mark_of(slot.0 as u8, object.0 as u8);
            }
            Request::Next(after) => {
                let batch = state.threads[thread].batch;
                let first = after.map_or(0, |object| number_of(object.0 as u8) + 1);
                let next = (first..8).find(|&object| batch >> object & 1 == 1);
                return Answer::Object(next.map(|object| Name(name_of(object).into())));
            }
            _ => unreachable!("for everybody"),
        }
        Answer::Done
    }

    /// What a lease promises when it is handed out.
    pub(super) fn check_lease(&self, state: &mut State<R>, thread: usize, object: u8) {
        let mine = state.threads[thread];
        if object == 0 || is_marked(object.into()) {
            return state.fail("a lease of a mark");
        }
        let kind = state.object(object, "a lease of what is gone").kind;
        if kind != mine.cell {
            state.fail("a lease of another type");
        }
        if mine.window >> number_of(object) & 1 == 0 {
            state.fail("a lease of what the cell did not hold");
        }
    }

    /// Nobody may reach it, and nothing may lead to it.
    pub(super) fn free(&self, state: &mut State<R>, thread: usize, name: u8) {
        let freed = *state.object(name, "freed twice");
        if freed.count != 0 {
            state.fail("freed while counted");
        }
        if state.threads.iter().any(|thread| thread.leased == name) {
            state.fail("freed while leased");
        }
        if state.threads.iter().any(|thread| thread.owns == name) {
            state.fail("freed while somebody has counted it");
        }
        state.drain(state.threads[thread].cpu.expect("only who runs steps"));
        let marked = Name(name.into()).marked() as u8;
        for [active, pointer] in state.slots {
            let overwrites = self.config.reader == Reader::Overwrites;
            if pointer == name && active == 0 && !overwrites || pointer == marked {
                state.fail("freed while a slot leads to it");
            }
        }
        let number = number_of(name);
        state.objects[usize::from(number)] = super::state::Object::default();
        for thread in &mut state.threads {
            thread.window &= !(1 << number);
        }
    }

    /// No thread will do anything any more.
    pub(super) fn is_over(&self, state: &State<R>) -> bool {
        let full = state.objects[..usize::from(self.config.objects)]
            .iter()
            .all(|object| object.live);
        let readers = &state.threads[..self.config.readers];
        readers.iter().all(|thread| thread.doing == Doing::Done)
            && state.threads.iter().all(|thread| {
                let stuck = matches!(thread.doing, Doing::Rest) && thread.left > 0;
                thread.doing == Doing::Done || stuck && full
            })
            && state.buffers.iter().all(|buffer| buffer.is_empty())
    }

    /// Everything that was given up is gone, and everything else is as it should be.
    pub(super) fn is_clean(&self, state: &State<R>) -> bool {
        // What a refused fence left is tried again by the next who has work. A batch may be
        // too small, and what is parked waits: for whoever has a handle.
        let waits = self.config.refuses || !self.has_work(state, false);
        let parked = if state.handles == 0 { 0 } else { state.parked };
        let left = parked | if waits { state.dying } else { 0 };
        let is_left = |number: u8| left >> number & 1 == 1;
        let objects = state.objects.iter().enumerate().all(|(number, object)| {
            let name = name_of(number as u8);
            let in_cells = state.cells.iter().filter(|cell| cell.object == name);
            let in_cells = in_cells.count() as i8;
            let count = in_cells * self.bias();
            let held = in_cells != 0 && object.count == count && object.pending == 1;
            !object.live || is_left(number as u8) || held || state.is_pinned(number as u8)
        });
        let slots = state
            .slots
            .iter()
            .enumerate()
            .all(|(slot, &[active, pointer])| {
                let marked = is_marked(pointer.into());
                let live = pointer == 0 || state.objects[usize::from(number_of(pointer))].live;
                let idle = active == 0 && live && (!marked || is_left(number_of(pointer)));
                idle || state.is_stuck(slot, pointer)
            });
        // Nobody has needed the lock of a thread that is gone.
        let locked = state.lock && !state.child.inherits;
        let kept = of_marks(state.kept) & !state.child.pinned;
        let rest = !waits && state.dying != 0 || kept != 0 || state.nudged;
        objects && slots && !locked && !rest
    }
}

/// Loads; everything else is, or may be, a read-modify-write.
fn is_plain(request: Request) -> bool {
    matches!(
        request,
        Request::Active(_)
            | Request::Pointer(_)
            | Request::Holds(..)
            | Request::InMask(..)
            | Request::Work
            | Request::Nudged
            | Request::Note(..)
            | Request::Noted
            | Request::Keep(..)
            | Request::Next(_)
            | Request::Raise(_)
            | Request::Lower(_)
    )
}
