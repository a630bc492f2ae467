//! A thread whose section was rejected gets an id for the CPU that it is on.
//!
//! # Algorithm
//!
//! Read the CPU, the bound, and the CPU's slot. Then by what the slot holds:
//!
//! | slot | what is done |
//! | --- | --- |
//! | VALID below the bound | nothing: somebody else was faster |
//! | VALID at or above it | the id is dropped: taken and freed |
//! | LAZY, a lower id is free, or LAZY at or above the bound and any below it is | claim that id; take the old one, the lower in its place; free the old one |
//! | LAZY below the bound otherwise | rescue: VALID again, proof of use |
//! | LAZY at or above the bound otherwise | dropped |
//! | UNSET, and the thread's former id is elsewhere | hand-over: take that id from its slot, install it here |
//! | UNSET, an id below the bound is free | claim it, open its stripe, install it |
//! | UNSET, all are taken | steal: take a victim's id, straight to the thief's slot |
//! | UNSET, and there is nobody to steal from | the operation is done on the fallback |
//!
//! A CAS that fails means that somebody else changed the slot: what is in transit is
//! freed and the section tried again. There is no loop here, but for one return to
//! the start after a hand-over that failed; so the steps have a bound, which does
//! not depend on the number of CPUs.
//!
//! An id that comes out of a slot was opened by whoever put it into its first one, so
//! only one that was claimed is opened; and one that takes another's place is lower than
//! that, and open with it.
//!
//! Who stole or took over an id may have migrated meanwhile: the CPU is read once
//! more, and the id installed only if that CPU's slot is UNSET.
//!
//! Whoever installs an id reads the bound *afterwards*. Either that shows a bound
//! that fell meanwhile, and the id is taken out again here; or the id was in its
//! slot before the bound fell, and the scans of whoever lowered it find it. If a
//! scan that does not know the new bound marks the slot first, the mark is no
//! excuse: the slot is read again and the LAZY id dropped.

mod at;

use core::marker::PhantomData;

use self::at::At;
use super::take::{Progress, Take};
use super::{Answer, Outcome, Procedure, Request, Rules, Sound, mismatch};
use crate::domain::bitmap::Claim;
use crate::domain::policy::Policy;
use crate::domain::word::{SlotState, SlotWord};

/// A slot and the id in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The slot, which is the CPU.
    pub slot: u32,
    /// The id.
    pub cid: u32,
}

/// Gets an id for the CPU that the thread is on; see the table above.
///
/// Ends in [`Outcome::Retry`] or [`Outcome::Fallback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Acquire<R = Sound> {
    at: At,
    rules: PhantomData<R>,
}

const AGAIN: Outcome = Outcome::Retry(None);

impl Acquire {
    /// From the start; `former` is where the thread last put or found an id.
    #[must_use]
    pub fn new(policy: Policy, former: Option<Place>) -> Acquire {
        Acquire::with_rules(policy, former)
    }
}

impl<R: Rules> Acquire<R> {
    /// As [`Acquire::new`], under other rules.
    pub fn with_rules(policy: Policy, former: Option<Place>) -> Acquire<R> {
        let former = former.filter(|_| policy.handover);
        Acquire {
            at: At::Cpu { former },
            rules: PhantomData,
        }
    }

    /// What the slot of the CPU asks for.
    fn found(slot: u32, word: SlotWord, bound: u32, former: Option<Place>) -> At {
        match word.state() {
            SlotState::Valid(cid) if cid < bound => {
                At::Done(Outcome::Retry(Some(Place { slot, cid })))
            }
            SlotState::Valid(_) => At::Drop(Take::new(slot, word)),
            SlotState::Lazy(_) => At::Lower { slot, word, bound },
            SlotState::Unset => match former {
                Some(former) if former.slot != slot && former.cid < bound => {
                    At::Former { former, bound }
                }
                _ => At::Claim { slot, word, bound },
            },
        }
    }

    /// An id is in its slot.
    fn installed(slot: u32, word: SlotWord) -> At {
        if R::CHECKS_BOUND {
            At::Check { slot, word }
        } else {
            At::Done(AGAIN)
        }
    }

    /// The slot is LAZY and no lower id could be claimed.
    fn keep_or_drop(slot: u32, word: SlotWord, bound: u32) -> At {
        if word.cid().is_some_and(|cid| cid < bound) {
            At::Rescue { slot, word }
        } else {
            At::Drop(Take::new(slot, word))
        }
    }

    fn next(at: At, answer: Answer) -> At {
        match (at, answer) {
            (At::Cpu { former }, Answer::Cpu(Some(slot))) => At::Bound { slot, former },
            (At::Cpu { .. }, Answer::Cpu(None)) => At::Done(Outcome::Fallback),
            (At::Bound { slot, former }, Answer::Bound(bound)) => At::Load {
                slot,
                bound,
                former,
            },
            (
                At::Load {
                    slot,
                    bound,
                    former,
                },
                Answer::Word(word),
            ) => Self::found(slot, word, bound, former),

            (At::Lower { slot, word, bound }, Answer::Claimed(claim)) => match claim {
                Claim::Id(lower) => At::Move(Take::moving::<R>(slot, word, lower)),
                Claim::Full | Claim::Contended => Self::keep_or_drop(slot, word, bound),
            },
            (At::Move(take), answer) => match take.answer::<R>(answer) {
                Progress::More(take) => At::Move(take),
                Progress::Took(old) => At::Release {
                    place: (take.slot, take.taken()),
                    old,
                },
                Progress::Lost => Self::give_back(take.lower, AGAIN),
                Progress::Unfenced => Self::give_back(take.lower, Outcome::Fallback),
            },
            (At::Release { place, .. }, Answer::Done) => Self::installed(place.0, place.1),
            (At::Rescue { slot, word }, Answer::Swapped(true)) => {
                Self::installed(slot, word.rescue())
            }

            (At::Former { former, bound }, Answer::Word(word)) => match word.cid() {
                Some(cid) if cid == former.cid && cid < bound => {
                    At::HandOver(Take::new(former.slot, word))
                }
                _ => At::Cpu { former: None },
            },
            (At::HandOver(take), answer) => match take.answer::<R>(answer) {
                Progress::More(take) => At::HandOver(take),
                Progress::Took(cid) => At::CpuAgain { cid },
                Progress::Lost | Progress::Unfenced => At::Cpu { former: None },
            },
            (At::Claim { slot, word, bound }, Answer::Claimed(claim)) => match claim {
                Claim::Id(cid) if R::OPENS_FIRST => At::Open { slot, word, cid },
                Claim::Id(cid) => At::Install { slot, word, cid },
                Claim::Full => At::Victim { slot, bound },
                Claim::Contended => At::Done(Outcome::Fallback),
            },
            (At::Open { slot, word, .. }, Answer::Opened(_)) if !R::OPENS_FIRST => {
                Self::installed(slot, word)
            }
            (At::Open { slot, word, cid }, Answer::Opened(true)) => At::Install { slot, word, cid },
            (At::Open { cid, .. }, Answer::Opened(false)) => {
                Self::give_back(Some(cid), Outcome::Fallback)
            }
            (At::Victim { bound, .. }, Answer::Victim(Some(victim))) => At::Look { victim, bound },
            (At::Victim { .. }, Answer::Victim(None)) => {
                if R::FALLS_BACK {
                    At::Done(Outcome::Fallback)
                } else {
                    At::Cpu { former: None }
                }
            }
            (At::Look { victim, bound }, Answer::Word(word)) => match word.cid() {
                Some(cid) if cid < bound => At::Steal(Take::new(victim, word)),
                _ => At::Done(AGAIN),
            },
            (At::Steal(take), answer) => match take.answer::<R>(answer) {
                Progress::More(take) => At::Steal(take),
                Progress::Took(cid) => At::CpuAgain { cid },
                Progress::Lost => At::Done(AGAIN),
                Progress::Unfenced => At::Done(Outcome::Fallback),
            },
            (At::CpuAgain { cid }, Answer::Cpu(Some(slot))) => At::LoadAgain { slot, cid },
            (At::CpuAgain { cid }, Answer::Cpu(None)) => {
                Self::give_back(Some(cid), Outcome::Fallback)
            }
            (At::LoadAgain { slot, cid }, Answer::Word(word)) => match word.state() {
                SlotState::Unset => At::Install { slot, word, cid },
                _ => Self::give_back(Some(cid), AGAIN),
            },
            (At::Install { slot, word, cid }, Answer::Swapped(swapped)) => {
                let valid = word.valid(cid);
                if swapped && !R::OPENS_FIRST {
                    At::Open {
                        slot,
                        word: valid,
                        cid,
                    }
                } else if swapped {
                    Self::installed(slot, valid)
                } else {
                    Self::give_back(Some(cid), AGAIN)
                }
            }
            (At::GiveBack { then, .. }, Answer::Done) => At::Done(then),

            (At::Check { slot, word }, Answer::Bound(bound)) => match word.cid() {
                Some(cid) if cid < bound => At::Done(Outcome::Retry(Some(Place { slot, cid }))),
                _ => At::Drop(Take::new(slot, word)),
            },
            (At::Drop(take), answer) => match take.answer::<R>(answer) {
                Progress::More(take) => At::Drop(take),
                Progress::Took(cid) => Self::give_back(Some(cid), AGAIN),
                Progress::Lost => match take.word.state() {
                    SlotState::Valid(cid) if R::DROPS_MARKED => At::LoadAbove {
                        slot: take.slot,
                        cid,
                    },
                    _ => At::Done(AGAIN),
                },
                Progress::Unfenced => At::Done(Outcome::Fallback),
            },
            (At::LoadAbove { slot, cid }, Answer::Word(word)) => match word.state() {
                SlotState::Lazy(now) if now == cid => At::Drop(Take::new(slot, word)),
                _ => At::Done(AGAIN),
            },
            (At::Rescue { .. }, Answer::Swapped(false)) => At::Done(AGAIN),
            (_, answer) => mismatch(at.request(), answer),
        }
    }

    /// Frees what is in transit, then ends.
    fn give_back(cid: Option<u32>, then: Outcome) -> At {
        cid.map_or(At::Done(then), |cid| At::GiveBack { cid, then })
    }
}

impl<R: Rules> Procedure for Acquire<R> {
    fn request(&self) -> Request {
        self.at.request()
    }

    fn answer(&mut self, answer: Answer) {
        self.at = Self::next(self.at, answer);
    }

    fn remaining(&self) -> u32 {
        self.at.remaining::<R>()
    }

    fn in_transit(&self) -> Option<u32> {
        self.at.in_transit::<R>()
    }
}

#[cfg(all(test, not(loom)))]
impl<R> super::Words for Acquire<R> {
    fn words(&mut self, visit: &mut dyn FnMut(u32, &mut SlotWord)) {
        self.at.words(visit);
    }
}
