//! Taking an id from under the sections of a CPU: the one rule.
//!
//! ```text
//! Mark   VALID(c) to LAZY(c), tag + 1      lost if the slot is something else
//! Fence  the slot's CPU                    unfenced: nothing was ordered, nothing taken
//! Swap   that very LAZY word to UNSET,     lost if the slot is something else
//!        or to VALID(d) for a move
//! ```
//!
//! A word that was LAZY when it was read begins at Fence.

use super::{Answer, Request, Rules, mismatch};
use crate::domain::word::{SlotState, SlotWord};

/// Where in the order above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Mark,
    Fence,
    Swap,
}

/// Takes the id of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Take {
    pub(super) slot: u32,
    /// The word as it was read, or as `Mark` left it.
    pub(super) word: SlotWord,
    pub(super) step: Step,
    /// The id that takes its place; none: the slot becomes UNSET.
    pub(super) lower: Option<u32>,
}

/// What an answer brought.
pub(super) enum Progress {
    More(Take),
    /// The id is out of its slot and the taker's alone.
    Took(u32),
    /// Somebody else changed the slot: nothing was taken.
    Lost,
    /// There is no fence: nothing was taken.
    Unfenced,
}

impl Take {
    /// From a word that is VALID or LAZY.
    pub(super) fn new(slot: u32, word: SlotWord) -> Take {
        let step = match word.state() {
            SlotState::Valid(_) => Step::Mark,
            SlotState::Lazy(_) => Step::Fence,
            SlotState::Unset => unreachable!("there is nothing to take in an UNSET slot"),
        };
        Take {
            slot,
            word,
            step,
            lower: None,
        }
    }

    /// From a word that is LAZY; `lower` takes the place of its id.
    pub(super) fn moving<R: Rules>(slot: u32, word: SlotWord, lower: u32) -> Take {
        Take {
            slot,
            word,
            step: if R::FENCES_MOVES {
                Step::Fence
            } else {
                Step::Swap
            },
            lower: Some(lower),
        }
    }

    /// The word that the slot holds after the last step.
    pub(super) fn taken(&self) -> SlotWord {
        self.lower
            .map_or(self.word.unset(), |lower| self.word.move_to(lower))
    }

    pub(super) fn request(&self) -> Request {
        let Take { slot, word, .. } = *self;
        match self.step {
            Step::Mark => Request::Swap {
                slot,
                old: word,
                new: word.to_lazy(),
            },
            Step::Fence => Request::Fence { cpu: slot },
            Step::Swap => Request::Swap {
                slot,
                old: word,
                new: self.taken(),
            },
        }
    }

    pub(super) fn answer<R: Rules>(self, answer: Answer) -> Progress {
        match (self.step, answer) {
            (Step::Mark, Answer::Swapped(true)) => Progress::More(Take {
                word: self.word.to_lazy(),
                step: Step::Fence,
                ..self
            }),
            (Step::Fence, Answer::Fenced(true)) => Progress::More(Take {
                step: Step::Swap,
                ..self
            }),
            (Step::Fence, Answer::Fenced(false)) => Progress::Unfenced,
            (Step::Swap, Answer::Swapped(swapped)) if swapped || !R::LOOKS_AGAIN => {
                Progress::Took(self.word.cid().unwrap_or_default())
            }
            (Step::Mark | Step::Swap, Answer::Swapped(_)) => Progress::Lost,
            (_, answer) => mismatch(self.request(), answer),
        }
    }

    /// Answers until the id is taken, or lost.
    pub(super) fn remaining(&self) -> u32 {
        match self.step {
            Step::Mark => 3,
            Step::Fence => 2,
            Step::Swap => 1,
        }
    }
}
