//! What is counted: how it is given back, shown and made of a lease; and handles.

use super::super::protocol::Rules;
use super::config::Reader;
use super::model::World;
use super::state::{Doing, State, Then, Thread, number_of};

impl<R: Rules> World<R> {
    /// Whether it was the last one.
    pub(super) fn give_back(&self, state: &mut State<R>, object: u8) -> bool {
        let counted = state.object(object, "a count of what is gone");
        counted.count -= 1;
        let count = counted.count;
        if count < 0 {
            state.fail("a count below zero");
        }
        count == 0
    }

    /// If that is all there is, and no slot has had the object, it is freed as it is.
    pub(super) fn give_back_slowly(
        &self,
        state: &mut State<R>,
        thread: usize,
        object: u8,
        given: i8,
        step: u8,
    ) -> bool {
        let reader = self.config.reader;
        let cpu = state.threads[thread].cpu.expect("only who runs steps");
        let counted = state.object(object, "a count of what is gone");
        let mask = counted.mask;
        let is_alone = match reader {
            Reader::ForgetsMask => true,
            Reader::AsksMask => mask == 0,
            _ => !counted.cached,
        };
        let next = match step {
            0 if counted.count == given => 1,
            1 if is_alone => {
                counted.count = 0;
                self.free(state, thread, object);
                self.ended_one(state, thread);
                return true;
            }
            0 | 1 => 2,
            _ => {
                counted.count -= given;
                let count = counted.count;
                state.drain(cpu);
                if count < 0 {
                    state.fail("a count below zero");
                }
                if count == 0 && mask != 0 {
                    state.dying |= 1 << number_of(object);
                    self.tend(state, thread, Then::Rest);
                    return true;
                }
                if count == 0 {
                    self.free(state, thread, object);
                }
                self.ended_one(state, thread);
                return true;
            }
        };
        state.threads[thread].doing = Doing::GiveBack {
            object,
            given,
            step: next,
        };
        if self.config.whole {
            return self.step(state, thread, 0);
        }
        true
    }

    /// One more count, by a lease; the lease stays.
    pub(super) fn upgrade(&self, state: &mut State<R>, thread: usize, object: u8) -> bool {
        let rises = self.config.reader == Reader::RisesFromZero;
        let counted = state.object(object, "an upgrade of what is gone");
        if counted.count == 0 && !rises {
            return false;
        }
        counted.count += 1;
        state.threads[thread].owns = object;
        state.threads[thread].leased = object;
        true
    }

    /// What is counted is given back, or put into the cell.
    pub(super) fn use_owned(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let is_reader = self.is_reader(thread);
        let mine = &mut state.threads[thread];
        let object = std::mem::take(&mut mine.owns);
        // None of its loads.
        mine.left += u8::from(is_reader);
        mine.doing = match choice {
            0 => Doing::GiveBack {
                object,
                given: 1,
                step: 0,
            },
            _ => Doing::Show {
                object,
                step: 0,
                alone: false,
                shown: false,
            },
        };
        self.step(state, thread, 0)
    }

    /// A reference becomes a cell's: see `References::show`. Then it is put there, or the
    /// exchange fails, and it becomes a reference again.
    pub(super) fn show(&self, state: &mut State<R>, thread: usize, choice: u8) -> bool {
        let Doing::Show {
            object,
            step,
            alone,
            shown,
        } = state.threads[thread].doing
        else {
            unreachable!("nothing is shown");
        };
        let cpu = state.threads[thread].cpu.expect("only who runs steps");
        let bias = self.bias();
        let it = state.object(object, "a count of what is gone");
        let shown_first = self.config.reader == Reader::ShownFirst;
        let looks_at_count = (step == 0) != shown_first;
        let (mut now_alone, mut now_shown) = (alone, shown);
        match step {
            0 | 1 if looks_at_count => now_alone = it.count == 1,
            0 | 1 => now_shown = it.shown,
            2 => it.shown = true,
            3 if alone && !shown => it.count = bias,
            3 => {
                it.count += bias - 1;
                state.drain(cpu);
            }
            _ if choice == 0 => {
                state.drain(cpu);
                let is_lent = (shown || !alone) && self.config.reader != Reader::ShowsAsAlone;
                return self.replace(state, thread, 0, object, is_lent);
            }
            _ => {
                it.count -= bias - 1;
                state.drain(cpu);
                state.threads[thread].doing = Doing::GiveBack {
                    object,
                    given: 1,
                    step: 0,
                };
                return true;
            }
        }
        state.threads[thread].doing = Doing::Show {
            object,
            step: step + 1,
            alone: now_alone,
            shown: now_shown,
        };
        if self.config.whole && step < 3 {
            return self.step(state, thread, 0);
        }
        true
    }

    /// Nothing is left to do, but to drop the cell, by the last one that has a handle, and
    /// to give the handle up.
    pub(super) fn end(&self, state: &mut State<R>, thread: usize) -> bool {
        let cpu = state.threads[thread].cpu.expect("only who runs steps");
        if !self.config.handles || self.is_reader(thread) {
            state.drain(cpu);
            if state.child.is {
                // A flush, for the sake of those who had work and are gone.
                self.tend(state, thread, Then::End);
                state.threads[thread].force = true;
                state.nudged = true;
                return true;
            }
            state.threads[thread] = Thread::new(None, 0, Doing::Done);
            return true;
        }
        if state.handles == 1 && state.cells[0].object != 0 {
            let is_borrowed = |thread: &Thread<R>| {
                thread.window != 0 || matches!(thread.doing, Doing::Show { .. })
            };
            return !state.threads.iter().any(is_borrowed) && {
                state.drain(cpu);
                self.replace(state, thread, 0, 0, false)
            };
        }
        state.drain(cpu);
        state.handles -= 1;
        if state.handles == 0 && self.config.reader != Reader::GivesUpBlindly {
            self.tend(state, thread, Then::End);
            state.threads[thread].force = true;
            state.nudged |= self.config.reader != Reader::EndsQuietly;
        } else {
            state.threads[thread] = Thread::new(None, 0, Doing::Done);
        }
        true
    }
}
