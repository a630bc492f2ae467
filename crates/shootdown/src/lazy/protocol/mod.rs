//! The slow paths of lazy references, as machines without input or output.
//!
//! A [`Procedure`] says which one access to shared memory, or which system call, it needs
//! next ([`Request`]), and takes what came of it ([`Answer`]). The same code is driven by
//! the real slots and objects ([`drive`]) and by the checker, which stops every thread
//! between any two requests.
//!
//! | procedure | by whom | what it does |
//! | --- | --- | --- |
//! | [`Install`] | a reader that holds an idle slot and a counted reference | caches the object there |
//! | [`Leave`] | the holder of a slot that is marked, or that it wants to empty | resolves marks, and leaves |
//! | [`Tend`] | whoever finds work and the lock free | leaves orphaned slots, and shoots down a batch |
//!
//! A slot's `dying` word holds 0, the object whose shootdown has *marked* the slot, or
//! [`TOMB`]. Whoever takes a mark away (the one whose exchange succeeds) *resolves* it,
//! and lowers that object's count of pending marks.
//!
//! # What a driver owes
//!
//! Requests are carried out one after the other. Loads acquire, stores release,
//! read-modify-writes do both, those of the lock and the lists are sequentially
//! consistent. A fence is one that aborts sections.

mod install;
mod leave;
mod shootdown;
mod tend;

use core::fmt::Debug;
use core::hash::Hash;

pub(crate) use install::Install;
pub(crate) use leave::Leave;
pub(crate) use tend::Tend;

/// A slot, by the name that its driver has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub(crate) u64);

/// An object, by what stands for it in a slot. Neither [`NONE`] nor [`TOMB`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Object(pub(crate) u64);

/// No object; no mark.
pub(crate) const NONE: u64 = 0;

/// The mark of a slot whose pointer is being taken away.
pub(crate) const TOMB: u64 = 1;

/// One access to shared memory, or one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    /// Words of a slot. [`Answer::Word`].
    Active(Slot),
    Dying(Slot),
    Pointer(Slot),
    /// Whether a slot holds an object: its pointer, for the filter. [`Answer::Is`].
    Holds(Slot, Object),
    /// Stores to a slot. [`Answer::Done`].
    SetPointer(Slot, u64),
    ClearDying(Slot),
    Idle(Slot),
    /// Exchanges the mark of a slot. [`Answer::Is`]: whether it was `old`.
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
    /// One more mark is pending. [`Answer::Done`].
    Raise(Object),
    /// One less. [`Answer::Is`]: whether it was the last one.
    Lower(Object),
    /// Puts an object without counted references on the list of those to shoot down.
    /// [`Answer::Done`].
    Condemn(Object),
    /// Nobody reaches the object any more. [`Answer::Done`].
    Free(Object),
    /// Takes the lock, if it is free. [`Answer::Is`].
    TryLock,
    /// Gives it back. [`Answer::Done`].
    Unlock,
    /// With the lock: a slot that its holder could not leave, and the object it holds.
    /// [`Answer::Mark`].
    Orphan,
    /// With the lock: takes the list of dying objects as this procedure's batch.
    /// [`Answer::Done`].
    Batch,
    /// Puts the batch back: they are to be tried again at another time. [`Answer::Done`].
    Postpone,
    /// Remembers a mark that this procedure has set. [`Answer::Done`].
    Note(Slot, Object),
    /// Forgets one of those, and says which. [`Answer::Mark`].
    Noted,
    /// The object after one in the batch. [`Answer::Object`].
    Next(Option<Object>),
    /// Waits until every section that began before has committed or aborted.
    /// [`Answer::Is`]: whether it is so.
    Fence,
    /// Whether there is work for [`Tend`]. [`Answer::Is`].
    Work,
    /// Whether there are slots to leave. [`Answer::Is`].
    Orphans,
    /// Somebody else is taking the slot's pointer away: in no reachable state.
    /// [`Answer::Done`].
    Wait,
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
    /// A slot, and what it holds or is marked for.
    Mark(Option<(Slot, Object)>),
    Done,
}

/// How a procedure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// The slot is still held, and no longer marked: try the section again.
    Again,
    /// The slot is left.
    Left,
    /// Everything has been done.
    Finished,
    /// The fence was refused: nothing was taken from under anybody.
    Refused,
    /// A slot that is held is being taken away: in no reachable state.
    Broken,
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
    /// A shootdown raises the count before it marks.
    const RAISES_FIRST: bool = true;
    /// It fences after it has marked.
    const FENCES: bool = true;
    /// It leaves the marks of active slots to their holders.
    const SPARES_ACTIVE: bool = true;
    /// It remembers its marks, and does not look for them by the masks again.
    const NOTES_MARKS: bool = true;
    /// It takes the pointer away behind a tombstone, not after the mark.
    const TOMBSTONES: bool = true;
    /// It waits for the holders: its own count goes last, and frees only if it is the last.
    const COUNTS_PENDING: bool = true;
    /// There is one at a time.
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
