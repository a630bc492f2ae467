//! The slow paths of lazy references, as machines without input or output.
//!
//! A [`Procedure`] says which one access to shared memory, or which system call, it needs
//! next ([`Request`]), and takes what came of it ([`Answer`]). The same code is driven by
//! the real slots and objects ([`drive`]) and by the checker, which stops every thread
//! between any two requests.
//!
//! | procedure | by whom | what it does |
//! | --- | --- | --- |
//! | [`Install`] | a reader that has taken a slot, and a counted reference | caches the object there |
//! | [`Empty`] | the holder of a slot whose object has left its cell | takes the object out of the slot |
//! | [`Tend`] | whoever finds work and the lock free | shoots down a batch, and what earlier ones had to leave |
//!
//! A slot's `pointer` is 0, an object, or an object with [`MARK`]: its shootdown has
//! *marked* the slot. Marks are set and lifted with the lock only; a holder that replaces
//! a marked pointer, or finds its own marked after leaving, *nudges* whoever has the lock.
//!
//! # What a driver owes
//!
//! Requests are carried out one after the other. Loads acquire, stores release,
//! read-modify-writes do both, those of the lock, the nudge and the lists are sequentially
//! consistent. A fence is a full memory barrier on every CPU that runs a thread of the
//! process, between its beginning and its end.

mod empty;
mod install;
mod shootdown;
mod tend;

use core::fmt::Debug;
use core::hash::Hash;

pub(crate) use empty::Empty;
pub(crate) use install::Install;
pub(crate) use tend::Tend;

pub(crate) use super::list::NONE;

/// A slot, by the name that its driver has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub(crate) u64);

/// An object, by what stands for it in a slot: even, and not [`NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Object(pub(crate) u64);

impl Object {
    /// What a slot that is marked for it holds.
    pub(crate) const fn marked(self) -> u64 {
        self.0 | MARK
    }
}

/// Set in the pointer of a slot that a shootdown has marked.
pub(crate) const MARK: u64 = 1;

pub(crate) const fn is_marked(pointer: u64) -> bool {
    pointer & MARK != 0
}

/// One access to shared memory, or one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    /// Words of a slot. [`Answer::Word`].
    Active(Slot),
    Pointer(Slot),
    /// Whether a slot holds an object: its pointer, for the filter. [`Answer::Is`].
    Holds(Slot, Object),
    /// Exchanges the pointer of a slot that the caller holds for another, whatever it is.
    /// [`Answer::Word`]: what it was.
    Replace(Slot, u64),
    /// Exchanges the pointer of a slot. [`Answer::Is`]: whether it was `old`.
    Exchange {
        slot: Slot,
        old: u64,
        new: u64,
    },
    /// The slot's bit in an object's mask. [`Answer::Done`].
    SetBit(Object, Slot),
    ClearBit(Object, Slot),
    /// The next slot in an object's mask, after one. [`Answer::Slot`].
    InMask(Object, Option<Slot>),
    /// Gives a counted reference back. [`Answer::Is`]: whether it was the last one.
    GiveBack(Object),
    /// Puts an object without counted references on the list of those to shoot down.
    /// [`Answer::Done`].
    Condemn(Object),
    /// Has whoever has the lock look at the marks that it had to leave. [`Answer::Done`].
    Nudge,
    /// Takes the lock, if it is free. [`Answer::Is`].
    TryLock,
    /// Gives it back. [`Answer::Done`].
    Unlock,

    // What follows is for who has the lock.
    /// One more mark is pending. [`Answer::Done`].
    Raise(Object),
    /// One less. [`Answer::Is`]: whether it was the last one.
    Lower(Object),
    /// Nobody reaches the object any more. [`Answer::Done`].
    Free(Object),
    /// Forgets the nudges so far, and notes all kept marks. [`Answer::Done`].
    Recall,
    /// Has a batch that waits for somebody's fence, if that has been made: its marks are
    /// noted, and it is this procedure's batch. [`Answer::Is`].
    Unpark,
    /// Takes the list of dying objects as this procedure's batch. [`Answer::Done`].
    Batch,
    /// Lays the batch and its marks aside, until somebody makes a fence that begins from
    /// now on; if the policy says so. [`Answer::Is`].
    Park,
    /// Puts the batch back: they are to be tried again at another time. [`Answer::Done`].
    Postpone,
    /// Remembers a mark that is set. [`Answer::Done`].
    Note(Slot, Object),
    /// Forgets one of those, and says which. [`Answer::Mark`].
    Noted,
    /// Remembers a mark for the next time. [`Answer::Done`].
    Keep(Slot, Object),
    /// The object after one in the batch. [`Answer::Object`].
    Next(Option<Object>),
    /// Says that marks have been set, to who leaves a slot and looks at no more than that.
    /// [`Answer::Done`].
    Announce,
    /// Waits until every CPU has passed a full barrier. [`Answer::Is`]: whether it is so.
    Fence,

    /// Whether there is work for [`Tend`]. [`Answer::Is`].
    Work,
    /// Whether there are nudges. [`Answer::Is`].
    Nudged,
    /// Nothing more.
    Done(Outcome),
}

/// What came of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Word(u64),
    Is(bool),
    Slot(Option<Slot>),
    Object(Option<Object>),
    Mark(Option<(Slot, Object)>),
    Done,
}

/// How a procedure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// Everything has been done.
    Finished,
    /// The fence was refused: nothing was taken from under anybody.
    Refused,
}

/// A slow path, as a machine that is driven by answers.
pub(crate) trait Procedure {
    /// What is to be done next. Calling it again changes nothing.
    fn request(&self) -> Request;

    /// Takes what came of the request.
    ///
    /// # Panics
    ///
    /// If it is no answer to the request.
    fn answer(&mut self, answer: Answer);
}

/// Carries requests out: the memory and the system below a procedure.
pub(crate) trait Shared {
    /// Carries out one request; never called with [`Request::Done`].
    fn perform(&mut self, request: Request) -> Answer;
}

/// Runs a procedure to its end.
pub(crate) fn drive(mut procedure: impl Procedure, shared: &mut impl Shared) -> Outcome {
    loop {
        match procedure.request() {
            Request::Done(outcome) => return outcome,
            request => procedure.answer(shared.perform(request)),
        }
    }
}

/// Which rules of the machine hold: all, except in the mutants that the checker's tests
/// define to see that it finds them.
pub(crate) trait Rules:
    Copy + Debug + Default + Eq + Ord + Hash + Send + Sync + 'static
{
    /// An installer gives its count back last.
    const GIVES_BACK_LAST: bool = true;
    /// It sets the slot's bit.
    const SETS_BIT: bool = true;
    /// Who clears a bit does so before it replaces the pointer.
    const CLEARS_BIT_FIRST: bool = true;
    /// An installer does not touch an object that the slot was marked for.
    const SPARES_MARKED: bool = true;
    /// Who replaces a marked pointer nudges.
    const NUDGES: bool = true;
    /// A shootdown fences after it has marked.
    const FENCES: bool = true;
    /// It announces its marks, after they are set and before the fence.
    const ANNOUNCES: bool = true;
    const ANNOUNCES_MARKS: bool = true;
    const ANNOUNCES_FIRST: bool = true;
    /// It leaves active slots to their holders.
    const SPARES_ACTIVE: bool = true;
    /// It does not wait until they have left.
    const WAITS_FOR_NO_HOLDER: bool = true;
    /// It keeps their marks in mind.
    const KEEPS_MARKS: bool = true;
    /// It takes a pointer away only if it is still the marked one.
    const EXCHANGES: bool = true;
    /// Objects wait for their marks: each counts, and the last one frees.
    const COUNTS_PENDING: bool = true;
    /// Nudges are forgotten before the kept marks are looked at.
    const FORGETS_FIRST: bool = true;
    /// There is one tender at a time.
    const LOCKS: bool = true;
    /// It looks for work again after it has given the lock back.
    const LOOKS_AGAIN: bool = true;
}

/// Every rule holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sound;

impl Rules for Sound {}

/// A driver gave an answer to another question.
#[cold]
fn mismatch(request: Request, answer: Answer) -> ! {
    panic!("{answer:?} is no answer to {request:?}");
}
