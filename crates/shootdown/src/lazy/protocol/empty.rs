//! The holder of a slot takes its object out, which has left its cell: nobody will look
//! for it there, and its shootdown need not.
//!
//! ```text
//! clear the slot's bit in the object's mask     while the slot still holds it
//! exchange pointer -> 0; it was marked: nudge
//! ```
//!
//! Then the slot is left as any other. From the first step on the object may be freed by
//! a shootdown that does not find the bit: it is not touched again.

use core::marker::PhantomData;

use super::{
    Answer, NONE, Object, Outcome, Procedure, Request, Rules, Slot, Sound, is_marked, mismatch,
};

/// Empties a slot that the caller holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Empty<R = Sound> {
    slot: Slot,
    own: Object,
    step: Step,
    rules: PhantomData<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Clear,
    Replace,
    ClearLate { marked: bool },
    Nudge,
    Done,
}

impl<R: Rules> Empty<R> {
    pub(crate) fn with_rules(slot: Slot, own: Object) -> Self {
        Empty {
            slot,
            own,
            step: match R::CLEARS_BIT_FIRST {
                true => Step::Clear,
                false => Step::Replace,
            },
            rules: PhantomData,
        }
    }

    fn emptied(marked: bool) -> Step {
        match marked && R::NUDGES {
            true => Step::Nudge,
            false => Step::Done,
        }
    }
}

impl Empty {
    pub(crate) fn new(slot: Slot, own: Object) -> Self {
        Empty::with_rules(slot, own)
    }
}

impl<R: Rules> Procedure for Empty<R> {
    fn request(&self) -> Request {
        let Empty { slot, own, .. } = *self;
        match self.step {
            Step::Clear | Step::ClearLate { .. } => Request::ClearBit(own, slot),
            Step::Replace => Request::Replace(slot, NONE),
            Step::Nudge => Request::Nudge,
            Step::Done => Request::Done(Outcome::Finished),
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.step = match (self.step, answer) {
            (Step::Clear, Answer::Done) => Step::Replace,
            (Step::Replace, Answer::Word(was)) if !R::CLEARS_BIT_FIRST => Step::ClearLate {
                marked: is_marked(was),
            },
            (Step::Replace, Answer::Word(was)) => Self::emptied(is_marked(was)),
            (Step::ClearLate { marked }, Answer::Done) => Self::emptied(marked),
            (Step::Nudge, Answer::Done) => Step::Done,
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
