//! Takes the lazy references to a batch of objects away: those that are idle at once,
//! those that are held when their holders leave.
//!
//! ```text
//! 1  each object, each slot in its mask:
//!      pointer is another             -> this slot cannot reach the object (the filter)
//!      pending += 1; exchange dying 0 -> object
//!        another object's mark is there: look at the pointer again; it is another's by
//!        now: undo; it is still the object: the slot cannot reach the other one, so its
//!        mark is replaced, and its pending -= 1
//! 2  one fence, if anything was marked
//! 3  each mark that was set:
//!      pointer is another             -> take the mark away, pending -= 1
//!      active is 0                    -> exchange dying object -> TOMB; pointer = 0;
//!                                        dying = 0 (release); pending -= 1
//!      active is 1                    -> the mark is the holder's, who sees it on leaving
//! 4  each object: pending -= 1, which began at 1; the last one frees
//! ```
//!
//! Why the filter holds: every install of the object came before its count was zero, which
//! came before this. Whoever replaces the pointer is done with the object.
//!
//! Why the fence decides: a section that takes the slot has loaded `dying` 0 before its
//! commit. If it loaded it before the mark, it has committed by the end of the fence, and
//! its `active` is seen, or it has aborted and sees the mark the next time. So with the
//! mark in place and `active` 0 after the fence, nobody takes the slot. A section that
//! leaves, likewise: if `active` is 1 after the fence, its holder has yet to load `dying`.
//!
//! Why a tombstone: while `dying` is not 0 nobody takes the slot, so nobody installs, and
//! `pointer = 0` wipes nothing but the object. With the mark gone first, a new holder's
//! pointer would be wiped.
//!
//! Why marks are remembered: by the third step the slot's bit may have been cleared, and
//! the slot left, by a holder that looked for a mark before it was set.

use core::marker::PhantomData;

use super::{
    Answer, NONE, Object, Outcome, Procedure, Request, Rules, Slot, Sound, TOMB, mismatch,
};

/// Shoots down the driver's batch; the caller has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shootdown<R = Sound> {
    /// Whether slots that hold something else are not marked at all.
    filter: bool,
    object: Object,
    slot: Slot,
    marked: bool,
    /// The fence was refused: marks are taken away again.
    refused: bool,
    step: Step,
    rules: PhantomData<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Object {
        first: bool,
    },
    Mask {
        first: bool,
    },
    Look,
    Raise,
    Mark,
    RaiseLate,
    LookAgain,
    Whose,
    Replace(Object),
    LowerOther(Object),
    FreeOther(Object),
    Wait,
    Undo,
    Fence,
    Note,
    Noted,
    /// The mutant that looks for its marks by the masks.
    MarkedObject {
        first: bool,
    },
    MarkedMask {
        first: bool,
    },
    Marked,
    Active,
    Holds {
        active: bool,
    },
    Away {
        wipes: bool,
    },
    Bury,
    Wipe {
        late: bool,
    },
    Unmark,
    Lower,
    Postpone,
    LastObject {
        first: bool,
    },
    LastLower {
        next: Option<Object>,
    },
    Free {
        next: Option<Object>,
    },
    Done,
}

impl<R: Rules> Shootdown<R> {
    pub(crate) fn with_rules(filter: bool) -> Self {
        Shootdown {
            filter,
            object: Object(NONE),
            slot: Slot(0),
            marked: false,
            refused: false,
            step: Step::Object { first: true },
            rules: PhantomData,
        }
    }

    /// Goes on at a slot, if there is one.
    fn at(&mut self, slot: Option<Slot>, found: Step, none: Step) -> Step {
        match slot {
            Some(slot) => {
                self.slot = slot;
                found
            }
            None => none,
        }
    }

    /// To the next mark.
    fn next_mark(first: bool) -> Step {
        match (R::NOTES_MARKS, first) {
            (true, _) => Step::Noted,
            (false, true) => Step::MarkedObject { first: true },
            (false, false) => Step::MarkedMask { first: false },
        }
    }

    /// When all marks have been seen to.
    fn after_marks(&self) -> Step {
        match self.refused {
            true => Step::Postpone,
            false => Step::LastObject { first: true },
        }
    }

    /// What is to be done with a mark.
    fn seen(&self) -> Step {
        match self.refused {
            true => Step::Away { wipes: false },
            false => Step::Active,
        }
    }
}

impl<R: Rules> Procedure for Shootdown<R> {
    fn request(&self) -> Request {
        let Shootdown { object, slot, .. } = *self;
        let exchange = |old, new| Request::Exchange { slot, old, new };
        let after_object = |first: bool| Request::Next((!first).then_some(object));
        let after_slot = |first: bool| Request::InMask(object, (!first).then_some(slot));
        match self.step {
            Step::Object { first } | Step::MarkedObject { first } => after_object(first),
            Step::Mask { first } | Step::MarkedMask { first } => after_slot(first),
            Step::Look => Request::Holds(slot, object),
            Step::LookAgain | Step::Holds { .. } => Request::Pointer(slot),
            Step::Raise | Step::RaiseLate => Request::Raise(object),
            Step::Mark => exchange(NONE, object.0),
            Step::Wait => Request::Wait,
            Step::Undo | Step::Lower => Request::Lower(object),
            Step::Note => Request::Note(slot, object),
            Step::Fence => Request::Fence,
            Step::Noted => Request::Noted,
            Step::Marked | Step::Whose => Request::Dying(slot),
            Step::Replace(other) => exchange(other.0, object.0),
            Step::LowerOther(other) => Request::Lower(other),
            Step::FreeOther(other) => Request::Free(other),
            Step::Active => Request::Active(slot),
            Step::Away { .. } => exchange(object.0, NONE),
            Step::Bury => exchange(object.0, TOMB),
            Step::Wipe { .. } => Request::SetPointer(slot, NONE),
            Step::Unmark => Request::ClearDying(slot),
            Step::Postpone => Request::Postpone,
            Step::LastObject { first } => after_object(first),
            Step::LastLower { .. } => Request::Lower(object),
            Step::Free { .. } => Request::Free(object),
            Step::Done if self.refused => Request::Done(Outcome::Refused),
            Step::Done => Request::Done(Outcome::Finished),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let object = self.object;
        self.step = match (self.step, answer) {
            (Step::Object { .. }, Answer::Object(Some(object))) => {
                self.object = object;
                Step::Mask { first: true }
            }
            (Step::Object { .. }, Answer::Object(None)) => match self.marked {
                true if R::FENCES => Step::Fence,
                true => Self::next_mark(true),
                false => Step::LastObject { first: true },
            },
            (Step::Mask { .. }, Answer::Slot(slot)) => {
                let found = match (self.filter, R::RAISES_FIRST) {
                    (true, _) => Step::Look,
                    (false, true) => Step::Raise,
                    (false, false) => Step::Mark,
                };
                self.at(slot, found, Step::Object { first: false })
            }
            (Step::Look, Answer::Is(holds)) => match (holds, R::RAISES_FIRST) {
                (false, _) => Step::Mask { first: false },
                (true, true) => Step::Raise,
                (true, false) => Step::Mark,
            },
            (Step::Raise, Answer::Done) => Step::Mark,
            (Step::Mark, Answer::Is(true)) => {
                self.marked = true;
                if R::RAISES_FIRST {
                    Step::Note
                } else {
                    Step::RaiseLate
                }
            }
            (Step::RaiseLate, Answer::Done) => Step::Note,
            (Step::Note, Answer::Done) => Step::Mask { first: false },
            (Step::Mark, Answer::Is(false)) => Step::LookAgain,
            (Step::LookAgain, Answer::Word(held)) if held == object.0 => Step::Whose,
            (Step::Whose, Answer::Word(NONE)) => Step::Mark,
            // Only who has the lock buries, and has ended that by now.
            (Step::Whose, Answer::Word(TOMB)) => Step::Wait,
            (Step::Whose, Answer::Word(other)) => Step::Replace(Object(other)),
            (Step::Wait, Answer::Done) => Step::Whose,
            (Step::Replace(other), Answer::Is(true)) => {
                self.marked = true;
                Step::LowerOther(other)
            }
            (Step::Replace(_), Answer::Is(false)) => Step::LookAgain,
            (Step::LowerOther(other), Answer::Is(true)) => Step::FreeOther(other),
            (Step::LowerOther(_), Answer::Is(false)) | (Step::FreeOther(_), Answer::Done) => {
                Step::Note
            }
            (Step::LookAgain, Answer::Word(_)) if !R::RAISES_FIRST => Step::Mask { first: false },
            (Step::LookAgain, Answer::Word(_)) => Step::Undo,
            // Never the last one: this procedure's own is there.
            (Step::Undo, Answer::Is(_)) => Step::Mask { first: false },
            (Step::Fence, Answer::Is(done)) => {
                self.refused = !done;
                Self::next_mark(true)
            }
            (Step::Noted, Answer::Mark(Some((slot, object)))) => {
                (self.slot, self.object) = (slot, object);
                self.seen()
            }
            (Step::Noted, Answer::Mark(None)) => self.after_marks(),
            (Step::MarkedObject { .. }, Answer::Object(Some(object))) => {
                self.object = object;
                Step::MarkedMask { first: true }
            }
            (Step::MarkedObject { .. }, Answer::Object(None)) => self.after_marks(),
            (Step::Postpone, Answer::Done) => Step::Done,
            (Step::MarkedMask { .. }, Answer::Slot(slot)) => {
                self.at(slot, Step::Marked, Step::MarkedObject { first: false })
            }
            (Step::Marked, Answer::Word(mark)) if mark == object.0 => self.seen(),
            (Step::Marked, Answer::Word(_)) => Step::MarkedMask { first: false },
            (Step::Active, Answer::Word(active)) => Step::Holds {
                active: active != 0,
            },
            (Step::Holds { active }, Answer::Word(held)) => {
                match (held == object.0, active && R::SPARES_ACTIVE) {
                    (false, _) => Step::Away { wipes: false },
                    (true, true) => Self::next_mark(false),
                    (true, false) if R::TOMBSTONES => Step::Bury,
                    (true, false) => Step::Away { wipes: true },
                }
            }
            (Step::Bury, Answer::Is(true)) => Step::Wipe { late: false },
            (Step::Away { wipes: true }, Answer::Is(true)) => Step::Wipe { late: true },
            (Step::Away { wipes: false }, Answer::Is(true)) => Step::Lower,
            (Step::Wipe { late: false }, Answer::Done) => Step::Unmark,
            (Step::Wipe { late: true }, Answer::Done) => Step::Lower,
            (Step::Unmark, Answer::Done) => Step::Lower,
            // The holder, or an installer, has resolved it.
            (Step::Bury | Step::Away { .. }, Answer::Is(false)) => Self::next_mark(false),
            (Step::Lower, Answer::Is(_)) => Self::next_mark(false),
            (Step::LastObject { first: true }, Answer::Object(Some(object))) => {
                self.object = object;
                // Which one is next must be known before this one may be freed.
                Step::LastObject { first: false }
            }
            (Step::LastObject { first: true }, Answer::Object(None)) => Step::Done,
            (Step::LastObject { first: false }, Answer::Object(next)) => Step::LastLower { next },
            (Step::LastLower { next }, Answer::Is(last)) if last || !R::COUNTS_PENDING => {
                Step::Free { next }
            }
            (Step::LastLower { next }, Answer::Is(_)) | (Step::Free { next }, Answer::Done) => {
                match next {
                    Some(next) => {
                        self.object = next;
                        Step::LastObject { first: false }
                    }
                    None => Step::Done,
                }
            }
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
