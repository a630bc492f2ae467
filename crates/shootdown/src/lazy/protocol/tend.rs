//! Whoever finds work, and the lock free, does it: for itself and for those who found the
//! lock taken.
//!
//! ```text
//! while there is work and the lock is to be had:
//!     leave the slots that their holders could not leave
//!     shoot down the dying objects
//!     give the lock back
//! ```
//!
//! Nobody waits for the lock. Who finds it taken has put its work on a list before; the
//! lock's owner looks at the lists once more after it has given the lock back. All of
//! these are sequentially consistent, so one of the two sees the other.
//!
//! Marks are set with the lock only. So with it, a slot that is not marked stays so, and is
//! left by a plain store: that is the door for threads that run no sections.

use super::leave::Leave;
use super::shootdown::Shootdown;
use super::{Answer, Outcome, Procedure, Request, Rules, Sound, mismatch};

/// Does what there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tend<R = Sound> {
    filter: bool,
    /// A fence was refused: shootdowns are for another time, but slots are left.
    refused: bool,
    step: Step<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step<R> {
    Work,
    Lock,
    Orphan,
    Leave(Leave<R>),
    Batch,
    Shootdown(Shootdown<R>),
    Unlock,
    Done,
}

impl<R: Rules> Tend<R> {
    pub(crate) fn with_rules(filter: bool) -> Self {
        Tend {
            filter,
            refused: false,
            step: Step::Work,
        }
    }
}

impl Tend {
    pub(crate) fn new(filter: bool) -> Self {
        Tend::with_rules(filter)
    }
}

impl<R: Rules> Procedure for Tend<R> {
    fn request(&self) -> Request {
        match &self.step {
            Step::Work if self.refused => Request::Orphans,
            Step::Work => Request::Work,
            Step::Lock => Request::TryLock,
            Step::Orphan => Request::Orphan,
            Step::Leave(leave) => leave.request(),
            Step::Batch => Request::Batch,
            Step::Shootdown(shootdown) => shootdown.request(),
            Step::Unlock => Request::Unlock,
            Step::Done if self.refused => Request::Done(Outcome::Refused),
            Step::Done => Request::Done(Outcome::Finished),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let filter = self.filter;
        self.step = match (self.step, answer) {
            (Step::Work, Answer::Is(true)) if R::LOCKS => Step::Lock,
            (Step::Work, Answer::Is(true)) => Step::Orphan,
            (Step::Work | Step::Lock, Answer::Is(false)) => Step::Done,
            (Step::Lock, Answer::Is(true)) => Step::Orphan,
            (Step::Orphan, Answer::Mark(Some((slot, own)))) => {
                Step::Leave(Leave::with_rules(slot, own, true))
            }
            (Step::Orphan, Answer::Mark(None)) if self.refused => Step::Unlock,
            (Step::Orphan, Answer::Mark(None)) => Step::Batch,
            (Step::Batch, Answer::Done) => Step::Shootdown(Shootdown::with_rules(filter)),
            (Step::Unlock, Answer::Done) if R::LOOKS_AGAIN => Step::Work,
            (Step::Unlock, Answer::Done) => Step::Done,
            (Step::Leave(mut leave), answer) => {
                leave.answer(answer);
                match leave.request() {
                    Request::Done(_) => Step::Orphan,
                    _ => Step::Leave(leave),
                }
            }
            (Step::Shootdown(mut shootdown), answer) => {
                shootdown.answer(answer);
                match shootdown.request() {
                    Request::Done(_) if !R::LOCKS => Step::Work,
                    Request::Done(outcome) => {
                        self.refused = outcome == Outcome::Refused;
                        Step::Unlock
                    }
                    _ => Step::Shootdown(shootdown),
                }
            }
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
