//! The requests of procedures, carried out in the model.

use super::super::protocol::{Answer, Object as Name, Outcome, Procedure, Request, Rules, Slot};
use super::config::{Child, Kernel, Reader};
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
            Request::Replace(slot, _) if self.loads_first(state, thread, slot) => return None,
            Request::Replace(slot, new) if config.reader == Reader::ReplacesPlainly => {
                let was = std::mem::take(&mut state.threads[thread].before) - 1;
                state.slots[slot.0 as usize][Field::Pointer as usize] = new as u8;
                Answer::Word(was.into())
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
                let parked = state.parked != 0 && !mine.looked;
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

    /// The first half of a replacement that is a load and a store.
    fn loads_first(&self, state: &mut State<R>, thread: usize, slot: Slot) -> bool {
        let loads = self.config.reader == Reader::ReplacesPlainly;
        let before = &mut state.threads[thread].before;
        let first = loads && *before == 0;
        if first {
            *before = 1 + state.slots[slot.0 as usize][Field::Pointer as usize];
        }
        first
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
