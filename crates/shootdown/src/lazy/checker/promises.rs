//! What must be so: when a lease is handed out, when an object is freed, and at the end.

use super::super::protocol::{Object as Name, Rules, is_marked};
use super::config::Reader;
use super::forks::of_marks;
use super::model::World;
use super::state::{Doing, Object, State, name_of, number_of};

impl<R: Rules> World<R> {
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
        state.objects[usize::from(number)] = Object::default();
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
