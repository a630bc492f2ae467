//! The child of a fork makes the ids agree with the slots.
//!
//! The child has one thread, and finds its slots wiped: no CPU holds an id, and no thread
//! but itself has one in transit. So no id is taken. One may be all the same: where a
//! handler forked between two requests of a procedure, the second is carried out in the
//! child before the procedure is given up, and may put an id into a slot. So it is the
//! slots that say which bits are set. Tags begin again: nobody remembers a word.
//!
//! The child's first slow path runs this, before any other procedure; so the thread
//! is not itself within one (see the module's rule for signal handlers). Nobody may
//! run procedures beside it: the driver sends everybody else to the fallback. Sections
//! may, under an id that a slot holds, for its bit is set before anybody can claim it.
//! A child of this child that forks off in the middle begins again.

use core::ops::Range;

use super::{Answer, Outcome, Procedure, Request, mismatch};
use crate::domain::word::SlotWord;

/// Rebuilds the ids from the slots.
///
/// Ends in [`Outcome::Rebuilt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reset {
    at: At,
    /// One past the last slot.
    end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Clear(u32),
    Load(u32),
    Set(u32, u32),
    Done,
}

impl Reset {
    /// From the words of these slots.
    #[must_use]
    pub const fn new(slots: Range<u32>) -> Reset {
        Reset {
            at: At::Clear(slots.start),
            end: slots.end,
        }
    }

    fn load(&self, slot: u32) -> At {
        if slot < self.end {
            At::Load(slot)
        } else {
            At::Done
        }
    }
}

impl Procedure for Reset {
    fn request(&self) -> Request {
        match self.at {
            At::Clear(_) => Request::ClearAll,
            At::Load(slot) => Request::Load { slot },
            At::Set(_, cid) => Request::Set { cid },
            At::Done => Request::Done(Outcome::Rebuilt),
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.at = match (self.at, answer) {
            (At::Clear(first), Answer::Done) => self.load(first),
            (At::Load(slot), Answer::Word(word)) => match SlotWord::cid(word) {
                Some(cid) => At::Set(slot, cid),
                None => self.load(slot + 1),
            },
            (At::Set(slot, _), Answer::Done) => self.load(slot + 1),
            (_, answer) => mismatch(self.request(), answer),
        };
    }

    fn remaining(&self) -> u32 {
        match self.at {
            At::Clear(first) => 1 + 2 * (self.end - first),
            At::Load(slot) => 2 * (self.end - slot),
            At::Set(slot, _) => 2 * (self.end - slot) - 1,
            At::Done => 0,
        }
    }

    fn in_transit(&self) -> Option<u32> {
        None
    }
}
