//! A reader that holds an idle slot, and a counted reference, caches the object there.
//!
//! ```text
//! (policy) clear the slot's bit in the old object's mask   while the slot still holds it
//! pointer = new (release)
//! set the slot's bit in the new object's mask
//! while dying is a mark: take it away, lower that object's pending count
//! give the counted reference back
//! ```
//!
//! The old object is alive at the first step: its bit is set, its pointer was there when
//! the slot was taken, so its shootdown either comes later and leaves its mark to this
//! holder, or had marked the slot, which then was not to be taken. From the second step
//! on it may be freed, by the filter of its shootdown: it is not touched again, but
//! through a mark, which holds it.
//!
//! The new object's shootdown begins only after the last step: so it finds the bit. A mark
//! that is left in the slot would hold its object for as long as the new one's lease.

use core::marker::PhantomData;

use super::{Answer, NONE, Object, Outcome, Procedure, Request, Rules, Slot, Sound, mismatch};

/// Caches an object in a slot that the caller holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Install<R = Sound> {
    slot: Slot,
    /// What the slot held when it was taken.
    old: u64,
    new: Object,
    /// Whether the old object's mask is told.
    clears: bool,
    step: Step,
    rules: PhantomData<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Clear,
    Point,
    ClearLate,
    SetBit,
    Look,
    Resolve(Object),
    Lower(Object),
    Free(Object),
    GiveBack,
    Condemn,
    Done,
}

impl<R: Rules> Install<R> {
    pub(crate) fn with_rules(slot: Slot, old: u64, new: Object, clears: bool) -> Self {
        let mut install = Install {
            slot,
            old,
            new,
            clears,
            step: Step::SetBit,
            rules: PhantomData,
        };
        install.step = if old == new.0 {
            install.after_pointing()
        } else if R::CLEARS_BIT_FIRST && install.tells() {
            Step::Clear
        } else {
            Step::Point
        };
        install
    }

    fn tells(&self) -> bool {
        self.clears && self.old != NONE && self.old != self.new.0
    }

    fn after_pointing(&self) -> Step {
        match (R::GIVES_BACK_LAST, R::SETS_BIT) {
            (false, _) => Step::GiveBack,
            (true, true) => Step::SetBit,
            (true, false) => Step::Look,
        }
    }

    fn after_marks(&self) -> Step {
        if R::GIVES_BACK_LAST {
            Step::GiveBack
        } else {
            Step::Done
        }
    }

    fn after_count(&self) -> Step {
        if R::GIVES_BACK_LAST {
            Step::Done
        } else {
            Step::SetBit
        }
    }
}

impl Install {
    pub(crate) fn new(slot: Slot, old: u64, new: Object, clears: bool) -> Self {
        Install::with_rules(slot, old, new, clears)
    }
}

impl<R: Rules> Procedure for Install<R> {
    fn request(&self) -> Request {
        let slot = self.slot;
        match self.step {
            Step::Clear | Step::ClearLate => Request::ClearBit(Object(self.old), slot),
            Step::Point => Request::SetPointer(slot, self.new.0),
            Step::SetBit => Request::SetBit(self.new, slot),
            Step::Look => Request::Dying(slot),
            Step::Resolve(other) => Request::Exchange {
                slot,
                old: other.0,
                new: NONE,
            },
            Step::Lower(other) => Request::Lower(other),
            Step::Free(other) => Request::Free(other),
            Step::GiveBack => Request::GiveBack(self.new),
            Step::Condemn => Request::Condemn(self.new),
            Step::Done => Request::Done(Outcome::Finished),
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.step = match (self.step, answer) {
            (Step::Clear, Answer::Done) => Step::Point,
            (Step::Point, Answer::Done) if !R::CLEARS_BIT_FIRST && self.tells() => Step::ClearLate,
            (Step::Point | Step::ClearLate, Answer::Done) => self.after_pointing(),
            (Step::SetBit, Answer::Done) => Step::Look,
            (Step::Look, Answer::Word(NONE)) => self.after_marks(),
            // The new object's own mark cannot be there: its count is not zero.
            (Step::Look, Answer::Word(mark)) => Step::Resolve(Object(mark)),
            (Step::Resolve(other), Answer::Is(true)) => Step::Lower(other),
            (Step::Resolve(_), Answer::Is(false)) => Step::Look,
            (Step::Lower(other), Answer::Is(true)) => Step::Free(other),
            (Step::Lower(_), Answer::Is(false)) => Step::Look,
            (Step::Free(_), Answer::Done) => Step::Look,
            (Step::GiveBack, Answer::Is(true)) => Step::Condemn,
            (Step::GiveBack, Answer::Is(false)) | (Step::Condemn, Answer::Done) => {
                self.after_count()
            }
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
