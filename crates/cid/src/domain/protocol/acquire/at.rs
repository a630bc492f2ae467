//! Where an acquisition is: the request that is next, and what is kept for later.
//!
//! Each place keeps only what is still needed, so that a checker meets no two states
//! that differ in what nobody reads.

use super::Place;
use crate::domain::protocol::take::Take;
use crate::domain::protocol::{Outcome, Request, Rules};
use crate::domain::word::{SlotState, SlotWord};

/// The next request, with what is still needed of the answers before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    Cpu {
        former: Option<Place>,
    },
    Bound {
        slot: u32,
        former: Option<Place>,
    },
    Load {
        slot: u32,
        bound: u32,
        former: Option<Place>,
    },

    /// The slot is LAZY: is a lower id free?
    Lower {
        slot: u32,
        word: SlotWord,
        bound: u32,
    },
    /// Owns `take.lower`.
    Move(Take),
    /// The move is done. Owns `old`.
    Release {
        place: (u32, SlotWord),
        old: u32,
    },
    Rescue {
        slot: u32,
        word: SlotWord,
    },

    /// The slot is UNSET.
    Former {
        former: Place,
        bound: u32,
    },
    HandOver(Take),
    Claim {
        slot: u32,
        word: SlotWord,
        bound: u32,
    },
    /// The id is claimed. Owns `cid`.
    Open {
        slot: u32,
        word: SlotWord,
        cid: u32,
    },
    Victim {
        slot: u32,
        bound: u32,
    },
    Look {
        victim: u32,
        bound: u32,
    },
    Steal(Take),
    /// The id is taken. All three own `cid`.
    CpuAgain {
        cid: u32,
    },
    LoadAgain {
        slot: u32,
        cid: u32,
    },
    Install {
        slot: u32,
        word: SlotWord,
        cid: u32,
    },
    /// Owns `cid`.
    GiveBack {
        cid: u32,
        then: Outcome,
    },

    /// An id was installed: has the bound fallen?
    Check {
        slot: u32,
        word: SlotWord,
    },
    Drop(Take),
    /// The mark failed: is it marked already?
    LoadAbove {
        slot: u32,
        cid: u32,
    },
    Done(Outcome),
}

impl At {
    pub(super) fn request(&self) -> Request {
        match *self {
            At::Cpu { .. } | At::CpuAgain { .. } => Request::Cpu,
            At::Bound { .. } | At::Check { .. } => Request::Bound,
            At::Load { slot, .. }
            | At::LoadAgain { slot, .. }
            | At::LoadAbove { slot, .. }
            | At::Look { victim: slot, .. } => Request::Load { slot },
            At::Former { former, .. } => Request::Load { slot: former.slot },
            At::Lower { word, bound, .. } => Request::Claim {
                below: word.cid().map_or(bound, |cid| cid.min(bound)),
            },
            At::Claim { bound, .. } => Request::Claim { below: bound },
            At::Open { cid, .. } => Request::Open { cid },
            At::Move(take) | At::HandOver(take) | At::Steal(take) | At::Drop(take) => {
                take.request()
            }
            At::Release { old: cid, .. } | At::GiveBack { cid, .. } => Request::Clear { cid },
            At::Rescue { slot, word } => Request::Swap {
                slot,
                old: word,
                new: word.rescue(),
            },
            At::Victim { slot, bound } => Request::Victim { thief: slot, bound },
            At::Install { slot, word, cid } => Request::Swap {
                slot,
                old: word,
                new: word.valid(cid),
            },
            At::Done(outcome) => Request::Done(outcome),
        }
    }

    /// Each number is one more than the largest of those that may follow.
    pub(super) fn remaining<R: Rules>(&self) -> u32 {
        const FREED: u32 = 1;
        const CHECK: u32 = 6;
        // An id that a mutant opens late is opened after this.
        const INSTALL: u32 = CHECK + 2;
        const CPU_AGAIN: u32 = INSTALL + 2;
        const CPU: u32 = 19;
        let handing = |former: Option<Place>| if former.is_some() { 7 } else { 0 };
        match *self {
            At::Done(_) => 0,
            At::GiveBack { .. } => FREED,
            At::Drop(take) => match take.word.state() {
                // It may be lost and tried again from LAZY.
                SlotState::Valid(_) => take.remaining() + FREED + 1,
                _ => take.remaining() + FREED,
            },
            At::LoadAbove { .. } => 4,
            At::Check { .. } => CHECK,
            At::Release { .. } | At::Rescue { .. } => CHECK + 1,
            At::Install { .. } => INSTALL,
            At::Open { .. } if R::OPENS_FIRST => INSTALL + 1,
            At::Open { .. } => INSTALL - 1,
            At::Move(take) => take.remaining() + CHECK + 1,
            At::Lower { .. } => CHECK + 4,
            At::LoadAgain { .. } => CPU_AGAIN - 1,
            At::CpuAgain { .. } => CPU_AGAIN,
            At::Steal(take) => take.remaining() + CPU_AGAIN,
            At::Look { .. } => CPU_AGAIN + 4,
            At::Victim { .. } => CPU_AGAIN + 5,
            At::Claim { .. } => CPU_AGAIN + 6,
            At::Load { former, .. } => CPU - 2 + handing(former),
            At::Bound { former, .. } => CPU - 1 + handing(former),
            At::Cpu { former } => CPU + handing(former),
            At::HandOver(take) => take.remaining() + CPU,
            At::Former { .. } => CPU + 4,
        }
    }

    pub(super) fn in_transit<R: Rules>(&self) -> Option<u32> {
        match *self {
            // That mutant has put it in a slot before.
            At::Open { .. } if !R::OPENS_FIRST => None,
            At::Move(take) => take.lower,
            At::Release { old: cid, .. }
            | At::CpuAgain { cid }
            | At::LoadAgain { cid, .. }
            | At::Install { cid, .. }
            | At::Open { cid, .. }
            | At::GiveBack { cid, .. } => Some(cid),
            _ => None,
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn words(&mut self, visit: &mut dyn FnMut(u32, &mut SlotWord)) {
        match self {
            At::Lower { slot, word, .. }
            | At::Rescue { slot, word }
            | At::Claim { slot, word, .. }
            | At::Install { slot, word, .. }
            | At::Open { slot, word, .. }
            | At::Check { slot, word }
            | At::Release {
                place: (slot, word),
                ..
            } => visit(*slot, word),
            At::Move(take) | At::HandOver(take) | At::Steal(take) | At::Drop(take) => {
                visit(take.slot, &mut take.word);
            }
            _ => {}
        }
    }
}
