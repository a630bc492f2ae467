//! A reader that has taken a slot, and a counted reference, caches the object there.
//!
//! ```text
//! (policy) clear the slot's bit in the old object's mask   if that is not marked
//! exchange pointer -> new
//! set the slot's bit in the new object's mask
//! give the counted reference back
//! the old pointer was marked: nudge
//! ```
//!
//! The old object is alive at the first step: it was found unmarked after the slot was
//! taken. So its shootdown's fence is still to come, or it has no mark here; after that
//! fence it finds the slot active, and leaves it. If it was found marked, that fence may
//! have come before the slot was taken: the object is not touched.
//!
//! The new object's shootdown begins only after the count is given back: so it finds the
//! bit. The old one's mark is gone with its pointer, which its shootdown has to hear of.

use core::marker::PhantomData;

use super::{
    Answer, NONE, Object, Outcome, Procedure, Request, Rules, Slot, Sound, is_marked, mismatch,
};

/// Caches an object in a slot that the caller holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Install<R = Sound> {
    slot: Slot,
    /// What the slot held when it was taken.
    old: u64,
    new: Object,
    /// Whether the old object's mask is told.
    clears: bool,
    /// What was replaced was marked.
    marked: bool,
    step: Step,
    rules: PhantomData<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Clear,
    Replace,
    ClearLate,
    SetBit,
    GiveBack,
    Condemn,
    Nudge,
    Done,
}

impl<R: Rules> Install<R> {
    pub(crate) fn with_rules(slot: Slot, old: u64, new: Object, clears: bool) -> Self {
        let mut install = Install {
            slot,
            old,
            new,
            clears,
            marked: false,
            step: Step::Replace,
            rules: PhantomData,
        };
        if old == new.0 {
            install.step = install.after_pointing();
        } else if R::CLEARS_BIT_FIRST && install.tells() {
            install.step = Step::Clear;
        }
        install
    }

    fn former(&self) -> Object {
        Object(self.old & !super::MARK)
    }

    fn tells(&self) -> bool {
        let spared = R::SPARES_MARKED && is_marked(self.old);
        self.clears && self.old != NONE && self.old != self.new.0 && !spared
    }

    fn after_pointing(&self) -> Step {
        match (R::GIVES_BACK_LAST, R::SETS_BIT) {
            (false, _) => Step::GiveBack,
            (true, true) => Step::SetBit,
            (true, false) => Step::GiveBack,
        }
    }

    fn at_the_end(&self) -> Step {
        match self.marked && R::NUDGES {
            true => Step::Nudge,
            false => Step::Done,
        }
    }

    fn after_bit(&self) -> Step {
        match R::GIVES_BACK_LAST {
            true => Step::GiveBack,
            false => self.at_the_end(),
        }
    }

    fn after_count(&self) -> Step {
        match R::GIVES_BACK_LAST {
            true => self.at_the_end(),
            false => Step::SetBit,
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
        let Install { slot, new, .. } = *self;
        match self.step {
            Step::Clear | Step::ClearLate => Request::ClearBit(self.former(), slot),
            Step::Replace => Request::Replace(slot, new.0),
            Step::SetBit => Request::SetBit(new, slot),
            Step::GiveBack => Request::GiveBack(new),
            Step::Condemn => Request::Condemn(new),
            Step::Nudge => Request::Nudge,
            Step::Done => Request::Done(Outcome::Finished),
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.step = match (self.step, answer) {
            (Step::Clear, Answer::Done) => Step::Replace,
            (Step::Replace, Answer::Word(was)) => {
                self.marked = is_marked(was);
                match !R::CLEARS_BIT_FIRST && self.tells() {
                    true => Step::ClearLate,
                    false => self.after_pointing(),
                }
            }
            (Step::ClearLate, Answer::Done) => self.after_pointing(),
            (Step::SetBit, Answer::Done) => self.after_bit(),
            (Step::GiveBack, Answer::Is(true)) => Step::Condemn,
            (Step::GiveBack, Answer::Is(false)) | (Step::Condemn, Answer::Done) => {
                self.after_count()
            }
            (Step::Nudge, Answer::Done) => Step::Done,
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
