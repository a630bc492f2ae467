//! The slow paths of a domain as machines without input or output.
//!
//! # Algorithm
//!
//! A [`Procedure`] says which one access to shared memory, or which system call, it
//! needs next ([`Request`]) and takes what came of it ([`Answer`]). It has no clock,
//! no atomics and no memory but its own small state, so the same code is driven by
//! the real domain and by the checker, which stops every thread between any two
//! requests.
//!
//! | procedure | by whom | it may |
//! | --- | --- | --- |
//! | [`Acquire`] | a thread whose section was rejected | acquire, rescue, move down, steal |
//! | [`Scan`] | whoever finds the period over | mark, and take what is still marked |
//! | [`Compact`] | a leaving thread, or on request | scan until all ids are below the bound |
//! | [`Reset`] | the child of a fork, alone | rebuild the ids from the slots |
//!
//! One rule takes an id from under the sections of a CPU, and stands in one place
//! for each of its two users (`Take`, and the batches of [`Scan`]): read the LAZY
//! word, *then* fence that CPU, *then* CAS that very word, *then* use or free the
//! id. After the fence no section there holds the id; none can load it while the
//! slot is LAZY; and the CAS fails if it was anything else meanwhile, because the
//! tag grows. So the one that wins the CAS owns the id alone.
//!
//! The same order serves a move to a lower id: the CAS puts the lower one in the
//! slot. (With the fence *after* the CAS a move is sound too, as long as fences
//! succeed: one that fails leaves an id that can neither be freed nor given back.)
//!
//! # What is proved, by the checker beside this file
//!
//! 1. No two sections on two CPUs commit under the same id.
//! 2. A bit is set if and only if one slot or one thread in transit owns it; a
//!    thread has at most one id in transit ([`Procedure::in_transit`]).
//! 3. Nobody waits: each answer brings a procedure nearer its end
//!    ([`Procedure::remaining`]), and the third rejection within one operation sends
//!    it to the fallback ([`Attempts`]).
//! 4. No acquisition at or above the bound; after the bound has fallen, every id is
//!    below it within three scans. Whoever installs an id reads the bound once more
//!    afterwards and takes the id out again if it fell meanwhile.
//! 5. No section runs under an id whose stripe is not open: so sections need no limit.
//!    A claimed id is opened before its first slot holds it, and what is open stays so.
//!
//! # What a driver owes
//!
//! - Each request is carried out after the one before it was answered, as one access
//!   or one call; `Swap`, `Load`, `Look` and `Bound` are sequentially consistent, and
//!   so is whatever changes the bound. (Two places are of the kind "store mine, then
//!   load yours": a mark and the loads of sections, where the fence decides, and an
//!   id that is installed and the bound, where this does.)
//! - A shared fence serves a request only if it *started* after the request.
//! - A thread runs one procedure at a time: a signal handler that interrupts one
//!   does its operations on the fallback.
//!
//! Source: the kernel's `mm_cid` patches of April 2023, with membarrier in the place
//! of the scheduler's barriers.

mod acquire;
mod compact;
mod reset;
mod scan;
mod take;
#[cfg(all(test, not(loom)))]
mod tests;

use core::fmt::Debug;
use core::hash::Hash;

pub use acquire::{Acquire, Place};
pub use compact::Compact;
pub use reset::Reset;
pub use scan::{Depth, Scan};

use super::bitmap::Claim;
#[cfg(all(test, not(loom)))]
use super::word::SlotState;
use super::word::SlotWord;

/// One access to shared memory, or one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// The CPU that the thread is on. [`Answer::Cpu`], `None` if the thread cannot
    /// run sections or the table has no slot for that CPU.
    Cpu,
    /// Ids are acquired below this. [`Answer::Bound`].
    Bound,
    /// The word of a slot. [`Answer::Word`].
    Load {
        /// Which slot.
        slot: u32,
    },
    /// The word of a slot, and whether it has been in its state for a period.
    /// [`Answer::Seen`].
    Look {
        /// Which slot.
        slot: u32,
    },
    /// Compare and swap of a slot's word. [`Answer::Swapped`]. The driver stamps the
    /// slot if it succeeds: that is the age that `Look` and `Victim` tell.
    Swap {
        /// Which slot.
        slot: u32,
        /// The word as it was read.
        old: SlotWord,
        /// The word that is to take its place.
        new: SlotWord,
    },
    /// Sets the lowest free bit below a number. [`Answer::Claimed`].
    Claim {
        /// Ids below this.
        below: u32,
    },
    /// Opens the stripes of an id that was claimed, and of all below it, in every memory
    /// of the domain. [`Answer::Opened`].
    Open {
        /// Which id.
        cid: u32,
    },
    /// Frees an id. [`Answer::Done`].
    Clear {
        /// Which id.
        cid: u32,
    },
    /// Frees every id: for a child, which is alone. [`Answer::Done`].
    ClearAll,
    /// Takes this id, which is free: for a child, which is alone. [`Answer::Done`].
    Set {
        /// Which id.
        cid: u32,
    },
    /// Which slot to take an id from; see [`victim`](super::victim()).
    /// [`Answer::Victim`]. A hint: any answer is sound.
    Victim {
        /// The thief's own slot, never the answer.
        thief: u32,
        /// Ids at or above this are of no use to it.
        bound: u32,
    },
    /// Waits until every section that began on a CPU has committed or aborted.
    /// [`Answer::Fenced`].
    Fence {
        /// Which CPU.
        cpu: u32,
    },
    /// The same on every CPU. [`Answer::Fenced`].
    FenceAll,
    /// Nothing more: the procedure has ended.
    Done(Outcome),
}

/// What came of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To [`Request::Cpu`].
    Cpu(Option<u32>),
    /// To [`Request::Bound`].
    Bound(u32),
    /// To [`Request::Load`].
    Word(SlotWord),
    /// To [`Request::Look`].
    Seen {
        /// The word.
        word: SlotWord,
        /// Whether it has been in its state for long, or is to move down.
        aged: bool,
    },
    /// To [`Request::Swap`]: whether the slot still held the old word.
    Swapped(bool),
    /// To [`Request::Claim`].
    Claimed(Claim),
    /// To [`Request::Open`]: whether they are open.
    Opened(bool),
    /// To [`Request::Victim`].
    Victim(Option<u32>),
    /// To a fence: whether it was made. One that was not has ordered nothing.
    Fenced(bool),
    /// To what cannot fail.
    Done,
}

/// How a procedure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The section may be tried again. The place is where this thread put or found
    /// an id, to be remembered for a hand-over.
    Retry(Option<Place>),
    /// This operation is to be done on the fallback.
    Fallback,
    /// The slots were gone through.
    Scanned {
        /// Whether an id at or above the bound was seen: another scan is worth it.
        above: bool,
    },
    /// The ids are what the slots say.
    Rebuilt,
}

/// A slow path, as a machine that is driven by answers.
pub trait Procedure {
    /// What is to be done next. Calling it again changes nothing.
    fn request(&self) -> Request;

    /// Takes what came of the request.
    ///
    /// # Panics
    ///
    /// If it is no answer to [`request`](Procedure::request).
    fn answer(&mut self, answer: Answer);

    /// An upper bound of the answers that are still needed, whatever they are. Every
    /// answer lowers it: that is what "nobody waits" means.
    fn remaining(&self) -> u32;

    /// The id that the procedure has taken out of all slots and not yet freed or put
    /// into one. A thread that dies here leaves its bit set: [`Reset`] frees it.
    fn in_transit(&self) -> Option<u32>;

    /// Takes an answer and says what is to be done next.
    fn step(&mut self, answer: Answer) -> Request {
        self.answer(answer);
        self.request()
    }
}

/// Carries requests out: the memory and the system below a procedure.
pub trait Shared {
    /// Carries out one request; never called with [`Request::Done`].
    fn perform(&self, request: Request) -> Answer;
}

/// Runs a procedure to its end.
///
/// ```
/// use percid_cid::domain::{Acquire, Answer, Claim, Outcome, Policy, Request, Shared, SlotWord, drive};
///
/// /// A domain that nobody else uses.
/// struct Alone;
///
/// impl Shared for Alone {
///     fn perform(&self, request: Request) -> Answer {
///         match request {
///             Request::Cpu => Answer::Cpu(Some(2)),
///             Request::Bound => Answer::Bound(4),
///             Request::Load { .. } => Answer::Word(SlotWord::UNSET),
///             Request::Claim { .. } => Answer::Claimed(Claim::Id(0)),
///             Request::Open { .. } => Answer::Opened(true),
///             Request::Swap { .. } => Answer::Swapped(true),
///             other => panic!("{other:?} is not needed here"),
///         }
///     }
/// }
///
/// let outcome = drive(Acquire::new(Policy::default(), None), &Alone);
/// let Outcome::Retry(Some(place)) = outcome else { panic!() };
/// assert_eq!((place.slot, place.cid), (2, 0));
/// ```
pub fn drive<P: Procedure>(mut procedure: P, shared: &impl Shared) -> Outcome {
    loop {
        match procedure.request() {
            Request::Done(outcome) => return outcome,
            request => {
                let before = procedure.remaining();
                procedure.answer(shared.perform(request));
                debug_assert!(procedure.remaining() < before, "{request:?} led nowhere");
            }
        }
    }
}

/// Which rules of the machine hold: all, except in the mutants that the checker's
/// tests define to see that it finds them.
pub trait Rules: Copy + Debug + Default + Eq + Hash + Send + Sync + 'static {
    /// A move to a lower id fences the CPU.
    const FENCES_MOVES: bool = true;
    /// A scan fences after it has read the words, not before.
    const FENCES_AFTER_READ: bool = true;
    /// A scan takes the id out of its slot before it frees the bit.
    const TAKES_BEFORE_FREE: bool = true;
    /// An acquirer opens the stripe of an id before it puts it in a slot.
    const OPENS_FIRST: bool = true;
    /// A thief looks whether the CAS of the victim's slot has succeeded.
    const LOOKS_AGAIN: bool = true;
    /// An acquirer that finds every id taken, and none to steal, falls back.
    const FALLS_BACK: bool = true;
    /// Whoever installs an id reads the bound again afterwards.
    const CHECKS_BOUND: bool = true;
    /// It drops an id at or above the bound even if somebody else has marked it.
    const DROPS_MARKED: bool = true;
}

/// Every rule holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sound;

impl Rules for Sound {}

/// Rejections of one operation after which it is done on the fallback.
pub const REJECTIONS: u8 = 3;

/// Counts the rejections of one operation.
///
/// ```
/// use percid_cid::domain::Attempts;
///
/// let mut attempts = Attempts::default();
/// assert!(attempts.rejected()); // acquire, and try the section again
/// assert!(attempts.rejected());
/// assert!(!attempts.rejected()); // do the operation on the fallback
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempts(u8);

impl Attempts {
    /// Counts one; whether an [`Acquire`] is worth it.
    pub fn rejected(&mut self) -> bool {
        self.0 = (self.0 + 1).min(REJECTIONS);
        self.0 < REJECTIONS
    }

    /// Rejections that are left.
    #[must_use]
    pub fn left(self) -> u8 {
        REJECTIONS - self.0
    }
}

/// The words that a procedure remembers, each with its slot: for the checker, which
/// numbers tags from the newest.
#[cfg(all(test, not(loom)))]
pub(super) trait Words {
    fn words(&mut self, visit: &mut dyn FnMut(u32, &mut SlotWord));
}

/// A driver gave an answer to another question.
#[cold]
fn mismatch(request: Request, answer: Answer) -> ! {
    panic!("{answer:?} is no answer to {request:?}");
}
