//! Takes the lazy references to dying objects away: those that are idle at once, those
//! that are held when their holders have left.
//!
//! ```text
//! 1  each kept mark: as 4
//! 2  a batch that waits for somebody's fence, if that has been made: as 4 and 5
//! 3  each object of the new batch, each slot in its mask:
//!      (the filter) pointer is another: next
//!      exchange pointer object -> marked; it was another: next; pending += 1
//!    announced += 1, if anything was marked
//!    one fence, if anything was marked; or (policy) lay the batch aside until somebody
//!    else makes one
//! 4  each mark that was set:
//!      pointer is another             -> pending -= 1
//!      active is 1                    -> keep the mark in mind; its holder will nudge
//!      active is 0                    -> exchange pointer marked -> 0; pending -= 1
//! 5  each object of the batch: pending -= 1, which began at 1
//! *  pending is 0: nobody reaches the object
//! ```
//!
//! Why a slot with another pointer cannot come to hold the object: every install of it
//! came before its count was zero, which came before this.
//!
//! Why the fence decides: who holds a lease by this slot has stored `active`, and *then*
//! found the pointer unmarked. If it found it so before the mark was set, the fence came
//! after its store, which is therefore seen in step 4, unless the slot has been left
//! since. Whoever takes the slot later finds the mark, or what came after it, and never
//! has the object. So `active` 0, once seen after the fence, is the end of all leases by
//! this slot: later it may be taken again, but not for the object.
//!
//! Why a holder that leaves cannot be missed: it stores `active` 0, and *then* looks at
//! the pointer. The fence came between the mark and step 4. If the look came before the
//! mark, so did the store before the fence, and step 4 sees it. Otherwise the look finds
//! the mark, or another pointer, and nudges.
//!
//! Where the slots are those of a domain of its own ids, they may be gone once its last
//! object is. So a holder looks at its slot before it leaves it, and then at the home only:
//! at `announced`, before and after. If it finds another number afterwards it nudges. The
//! same number, before this shootdown's: its look came before the fence, and so did its
//! store, which step 4 sees. The same, with this shootdown's: then the first look came after
//! the marks, and the one at the pointer found its own.
//!
//! Why the pointer is taken away by an exchange: somebody may have taken the slot though
//! it is marked, and be replacing the pointer.

use core::marker::PhantomData;

use super::{Answer, NONE, Object, Outcome, Procedure, Request, Rules, Slot, Sound, mismatch};

/// Shoots down what is due; the caller has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shootdown<R = Sound> {
    /// Whether slots are read before they are marked, and fences made for marks only.
    filter: bool,
    object: Object,
    slot: Slot,
    /// What asks for a fence.
    due: bool,
    /// Whose marks are seen to.
    phase: Phase,
    step: Step,
    rules: PhantomData<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    /// Those that were kept.
    Kept,
    /// Those of a batch that was laid aside.
    Parked,
    /// Those of the new batch.
    New,
    /// Its fence was refused: its marks are lifted.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Recall,
    Unpark,
    Batch,
    Object {
        first: bool,
    },
    Mask {
        first: bool,
    },
    Look,
    Mark,
    Raise,
    Note,
    /// Where the mutants announce is not where it belongs.
    Announce {
        then: After,
    },
    Park,
    Fence,
    Noted,
    Pointer,
    Active,
    Keep,
    Take,
    Lift,
    Lower,
    FreeMarked,
    LastObject {
        first: bool,
    },
    LastLower {
        next: Option<Object>,
    },
    Free {
        next: Option<Object>,
    },
    Postpone,
    Done,
}

/// What follows the announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum After {
    /// The marks: a mutant's.
    Objects,
    Park,
    /// What is done after the fence: a mutant's.
    Noted,
}

impl<R: Rules> Shootdown<R> {
    pub(crate) fn with_rules(filter: bool) -> Self {
        Shootdown {
            filter,
            object: Object(NONE),
            slot: Slot(0),
            due: false,
            phase: Phase::Kept,
            step: Step::Recall,
            rules: PhantomData,
        }
    }

    /// Whose mark, or mask, it is at.
    #[cfg(test)]
    pub(super) fn object(&self) -> Object {
        self.object
    }

    /// The new batch has been taken.
    fn after_batch() -> Step {
        match R::ANNOUNCES_MARKS {
            true => Step::Object { first: true },
            false => Step::Announce {
                then: After::Objects,
            },
        }
    }

    /// Slots have been marked for it.
    fn after_marking() -> Step {
        match R::ANNOUNCES && R::ANNOUNCES_MARKS && R::ANNOUNCES_FIRST {
            true => Step::Announce { then: After::Park },
            false => Step::Park,
        }
    }

    fn after_fence() -> Step {
        match R::ANNOUNCES_FIRST {
            true => Step::Noted,
            false => Step::Announce { then: After::Noted },
        }
    }

    /// All marks of this phase have been seen to.
    fn after_marks(&self) -> Step {
        match self.phase {
            Phase::Kept => Step::Unpark,
            Phase::Parked | Phase::New => Step::LastObject { first: true },
            Phase::Refused => Step::Postpone,
        }
    }

    /// All objects of this phase have, too.
    fn after_objects(&self) -> Step {
        match self.phase {
            Phase::Parked => Step::Batch,
            _ => Step::Done,
        }
    }
}

impl<R: Rules> Procedure for Shootdown<R> {
    fn request(&self) -> Request {
        let Shootdown { object, slot, .. } = *self;
        let exchange = |old, new| Request::Exchange { slot, old, new };
        match self.step {
            Step::Recall => Request::Recall,
            Step::Unpark => Request::Unpark,
            Step::Batch => Request::Batch,
            Step::Object { first } | Step::LastObject { first } => {
                Request::Next((!first).then_some(object))
            }
            Step::Mask { first } => Request::InMask(object, (!first).then_some(slot)),
            Step::Look => Request::Holds(slot, object),
            Step::Mark => exchange(object.0, object.marked()),
            Step::Raise => Request::Raise(object),
            Step::Note => Request::Note(slot, object),
            Step::Announce { .. } => Request::Announce,
            Step::Park => Request::Park,
            Step::Fence => Request::Fence,
            Step::Noted => Request::Noted,
            Step::Pointer => Request::Pointer(slot),
            Step::Active => Request::Active(slot),
            Step::Keep => Request::Keep(slot, object),
            Step::Take if R::EXCHANGES => exchange(object.marked(), NONE),
            Step::Take => Request::Replace(slot, NONE),
            Step::Lift => exchange(object.marked(), object.0),
            Step::Lower | Step::LastLower { .. } => Request::Lower(object),
            Step::FreeMarked | Step::Free { .. } => Request::Free(object),
            Step::Postpone => Request::Postpone,
            Step::Done if self.phase == Phase::Refused => Request::Done(Outcome::Refused),
            Step::Done => Request::Done(Outcome::Finished),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let object = self.object;
        self.step = match (self.step, answer) {
            (Step::Recall, Answer::Done) => Step::Noted,
            (Step::Unpark, Answer::Is(true)) => {
                self.phase = Phase::Parked;
                Step::Noted
            }
            (Step::Unpark, Answer::Is(false)) => Step::Batch,
            (Step::Batch, Answer::Done) => {
                self.phase = Phase::New;
                Self::after_batch()
            }
            (Step::Object { .. }, Answer::Object(Some(object))) => {
                self.object = object;
                Step::Mask { first: true }
            }
            (Step::Object { .. }, Answer::Object(None)) => match self.due {
                true if R::FENCES => Self::after_marking(),
                _ => Step::Noted,
            },
            (Step::Mask { .. }, Answer::Slot(Some(slot))) => {
                self.slot = slot;
                self.due |= !self.filter;
                match self.filter {
                    true => Step::Look,
                    false => Step::Mark,
                }
            }
            (Step::Mask { .. }, Answer::Slot(None)) => Step::Object { first: false },
            (Step::Look, Answer::Is(true)) => Step::Mark,
            (Step::Look | Step::Mark, Answer::Is(false)) => Step::Mask { first: false },
            (Step::Mark, Answer::Is(true)) => {
                self.due = true;
                Step::Raise
            }
            (Step::Raise, Answer::Done) => Step::Note,
            (Step::Note, Answer::Done) => Step::Mask { first: false },
            (Step::Announce { then }, Answer::Done) => match then {
                After::Objects => Step::Object { first: true },
                After::Park => Step::Park,
                After::Noted => Step::Noted,
            },
            (Step::Park, Answer::Is(true)) => Step::Done,
            (Step::Park, Answer::Is(false)) => Step::Fence,
            (Step::Fence, Answer::Is(true)) => Self::after_fence(),
            (Step::Fence, Answer::Is(false)) => {
                self.phase = Phase::Refused;
                Step::Noted
            }
            (Step::Noted, Answer::Mark(Some((slot, object)))) => {
                (self.slot, self.object) = (slot, object);
                match self.phase {
                    Phase::Refused => Step::Lift,
                    _ => Step::Pointer,
                }
            }
            (Step::Noted, Answer::Mark(None)) => self.after_marks(),
            (Step::Pointer, Answer::Word(word)) if word == object.marked() => Step::Active,
            (Step::Pointer, Answer::Word(_)) => Step::Lower,
            (Step::Active, Answer::Word(active)) if active != 0 && R::SPARES_ACTIVE => {
                match (R::WAITS_FOR_NO_HOLDER, R::KEEPS_MARKS) {
                    (false, _) => Step::Pointer,
                    (true, true) => Step::Keep,
                    (true, false) => Step::Lower,
                }
            }
            (Step::Active, Answer::Word(_)) => Step::Take,
            (Step::Keep, Answer::Done) => Step::Noted,
            (Step::Take, Answer::Is(_) | Answer::Word(_)) | (Step::Lift, Answer::Is(_)) => {
                Step::Lower
            }
            (Step::Lower, Answer::Is(true)) => Step::FreeMarked,
            (Step::Lower, Answer::Is(false)) | (Step::FreeMarked, Answer::Done) => Step::Noted,
            (Step::LastObject { first: true }, Answer::Object(Some(object))) => {
                self.object = object;
                // Which one is next must be known before this one may be freed.
                Step::LastObject { first: false }
            }
            (Step::LastObject { first: true }, Answer::Object(None)) => self.after_objects(),
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
                    None => self.after_objects(),
                }
            }
            (Step::Postpone, Answer::Done) => Step::Done,
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
