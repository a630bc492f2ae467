//! The holder of a slot resolves its marks, and leaves it.
//!
//! ```text
//! the mark is for the object that the slot holds:
//!     take the mark away, pointer = 0, lower its pending count, look again
//! it is for an object that the slot held before:
//!     take the mark away, lower that object's pending count, look again
//! there is none:
//!     the section again; or, with the lock, which keeps marks from coming: active = 0
//! ```
//!
//! The pointer goes before the count: lowering it may free the object, and then no slot
//! may lead to it. From then on the slot is one that holds nothing, and is left as such: a
//! shootdown that was refused its fence may have marked it a second time.
//!
//! A holder that *empties* the slot (its cell has another object by now) clears the
//! slot's bit in the object's mask, and the pointer, first. A mark of that object that
//! came meanwhile is then one of a former object, which it keeps alive until it is
//! resolved.

use core::marker::PhantomData;

use super::{
    Answer, NONE, Object, Outcome, Procedure, Request, Rules, Slot, Sound, TOMB, mismatch,
};

/// Leaves a slot that the caller holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Leave<R = Sound> {
    slot: Slot,
    /// What the slot holds.
    own: Object,
    /// Whether the caller has the lock.
    locked: bool,
    step: Step,
    rules: PhantomData<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    /// Empties the slot first.
    ClearBit,
    Empty,
    Look {
        emptied: bool,
    },
    /// Of the own object.
    Own,
    Wipe,
    Idle,
    /// Of another.
    Resolve(Object, bool),
    Lower(Object, bool),
    Free(Object, bool),
    Again,
    Left,
    Broken,
}

impl<R: Rules> Leave<R> {
    pub(crate) fn with_rules(slot: Slot, own: Object, locked: bool) -> Self {
        Leave {
            slot,
            own,
            locked,
            step: Step::Look { emptied: false },
            rules: PhantomData,
        }
    }

    /// Empties the slot, too.
    pub(crate) fn emptying(self) -> Self {
        Leave {
            step: if R::CLEARS_BIT_FIRST {
                Step::ClearBit
            } else {
                Step::Empty
            },
            ..self
        }
    }
}

impl Leave {
    pub(crate) fn new(slot: Slot, own: Object, locked: bool) -> Self {
        Leave::with_rules(slot, own, locked)
    }
}

impl<R: Rules> Procedure for Leave<R> {
    fn request(&self) -> Request {
        let Leave { slot, own, .. } = *self;
        let resolve = |object: Object| Request::Exchange {
            slot,
            old: object.0,
            new: NONE,
        };
        match self.step {
            Step::ClearBit => Request::ClearBit(own, slot),
            Step::Empty | Step::Wipe => Request::SetPointer(slot, NONE),
            Step::Look { .. } => Request::Dying(slot),
            Step::Own => resolve(own),
            Step::Idle => Request::Idle(slot),
            Step::Resolve(other, _) => resolve(other),
            Step::Lower(other, _) => Request::Lower(other),
            Step::Free(other, _) => Request::Free(other),
            Step::Again => Request::Done(Outcome::Again),
            Step::Left => Request::Done(Outcome::Left),
            Step::Broken => Request::Done(Outcome::Broken),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let look = |emptied| Step::Look { emptied };
        self.step = match (self.step, answer) {
            (Step::ClearBit, Answer::Done) if R::CLEARS_BIT_FIRST => Step::Empty,
            (Step::Empty, Answer::Done) if !R::CLEARS_BIT_FIRST => Step::ClearBit,
            (Step::Empty | Step::ClearBit, Answer::Done) => look(true),
            (Step::Look { .. }, Answer::Word(NONE)) if self.locked => Step::Idle,
            (Step::Look { .. }, Answer::Word(NONE)) => Step::Again,
            (Step::Look { .. }, Answer::Word(TOMB)) => Step::Broken,
            (Step::Look { emptied: false }, Answer::Word(mark)) if mark == self.own.0 => Step::Own,
            (Step::Look { emptied }, Answer::Word(mark)) => Step::Resolve(Object(mark), emptied),
            (Step::Own, Answer::Is(true)) => Step::Wipe,
            // A shootdown whose fence was refused took it away.
            (Step::Own, Answer::Is(false)) => look(false),
            (Step::Wipe, Answer::Done) => Step::Lower(self.own, true),
            (Step::Idle, Answer::Done) => Step::Left,
            (Step::Resolve(other, emptied), Answer::Is(true)) => Step::Lower(other, emptied),
            (Step::Resolve(_, emptied), Answer::Is(false)) => look(emptied),
            (Step::Lower(other, emptied), Answer::Is(true)) => Step::Free(other, emptied),
            (Step::Lower(_, emptied), Answer::Is(false))
            | (Step::Free(_, emptied), Answer::Done) => look(emptied),
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
