//! Whoever finds work, and the lock free, does it: for itself and for those who found the
//! lock taken.
//!
//! ```text
//! while there is work and the lock is to be had:
//!     shoot down what is due
//!     give the lock back
//! ```
//!
//! Nobody waits for the lock. Who finds it taken has put its work on a list before, or has
//! nudged; the lock's owner looks once more after it has given the lock back. All of these
//! are sequentially consistent, so one of the two sees the other.

#[cfg(test)]
use super::Object;
use super::shootdown::Shootdown;
use super::{Answer, Outcome, Procedure, Request, Rules, Sound, mismatch};

/// Does what there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tend<R = Sound> {
    filter: bool,
    /// A fence was refused: batches are for another time, but nudges are heard.
    refused: bool,
    step: Step<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step<R> {
    Work,
    Lock,
    Shootdown(Shootdown<R>),
    /// The mutant that hears nudges late.
    Recall,
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

#[cfg(test)]
impl<R: Rules> Tend<R> {
    /// The object that it is at.
    pub(crate) fn object(&self) -> Option<Object> {
        match &self.step {
            Step::Shootdown(shootdown) => Some(shootdown.object()),
            _ => None,
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
            Step::Work if self.refused => Request::Nudged,
            Step::Work => Request::Work,
            Step::Lock => Request::TryLock,
            Step::Shootdown(shootdown) => shootdown.request(),
            Step::Recall => Request::Recall,
            Step::Unlock => Request::Unlock,
            Step::Done if self.refused => Request::Done(Outcome::Refused),
            Step::Done => Request::Done(Outcome::Finished),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let shootdown = Step::Shootdown(Shootdown::with_rules(self.filter));
        self.step = match (self.step, answer) {
            (Step::Work, Answer::Is(true)) if R::LOCKS => Step::Lock,
            (Step::Work, Answer::Is(true)) => shootdown,
            (Step::Work | Step::Lock, Answer::Is(false)) => Step::Done,
            (Step::Lock, Answer::Is(true)) => shootdown,
            (Step::Shootdown(mut shootdown), answer) => {
                shootdown.answer(answer);
                match shootdown.request() {
                    Request::Done(outcome) => {
                        self.refused = outcome == Outcome::Refused;
                        match (R::LOCKS, R::FORGETS_FIRST) {
                            (false, _) => Step::Work,
                            (true, false) => Step::Recall,
                            (true, true) => Step::Unlock,
                        }
                    }
                    _ => Step::Shootdown(shootdown),
                }
            }
            (Step::Recall, Answer::Done) => Step::Unlock,
            (Step::Unlock, Answer::Done) if R::LOOKS_AGAIN => Step::Work,
            (Step::Unlock, Answer::Done) => Step::Done,
            (_, answer) => mismatch(self.request(), answer),
        };
    }
}
