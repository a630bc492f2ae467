//! What a section on words of a domain needs, apart from what keeps them.
//!
//! A section that puts the last reference to an object may see the object freed as soon as
//! it has committed, with the run of words that stands in it, while the thread still
//! returns. So nothing borrows the run meanwhile.

use percid_cid::{Domain, Source};
use percid_rseq::Refusal;
use percid_rseq::section::{Table, WordAddress};

use super::layout::{DOMAIN_SHIFT, Layout, STRIPE_SHIFT};
use super::operation::Operation;
use super::process::{self, admitted};

/// What a section needs of a run, apart from it: the run may go as soon as it commits.
#[derive(Clone, Copy)]
pub(super) struct Apart {
    ids: Table<'static>,
    first: WordAddress,
}

impl Apart {
    #[inline(always)]
    pub(super) const fn new(ids: Table<'static>, first: WordAddress) -> Apart {
        Apart { ids, first }
    }

    /// Runs an operation in one section, if this thread has all that it takes.
    ///
    /// # Errors
    ///
    /// As the section's.
    ///
    /// # Safety
    ///
    /// As [`Run::run`](super::run::Run::run); the run is there until the operation has committed.
    #[inline(always)]
    pub(super) unsafe fn run_once<O: Operation>(self, operation: &O) -> Result<O::Output, Refusal> {
        // SAFETY: allocated words, or a closed table; the domain opens a stripe before its
        // id is in a slot, and closes none. The rest is the caller's.
        unsafe { operation.run::<_, DOMAIN_SHIFT>(self.ids, self.first) }
    }
}

/// The same for a thread that has to get an id first, which takes the domain.
pub(super) enum Kept {
    /// Words of the process's arena, if they are where sections are.
    Process(Option<(Layout<STRIPE_SHIFT>, u32)>),
    Own(Domain, WordAddress),
}

impl Kept {
    /// As [`Run::run`](super::run::Run::run).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Safety
    ///
    /// As [`Apart::run_once`].
    pub(super) unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        match *self {
            Kept::Process(None) => Err(Refusal::Unsupported),
            // SAFETY: allocated words; the rest is the caller's contract.
            Kept::Process(Some((layout, first))) => unsafe {
                process::run(layout, first, operation)
            },
            // SAFETY: as above; the domain keeps its arenas.
            Kept::Own(ref domain, first) => unsafe { run_in(domain, first, operation) },
        }
    }
}

/// Runs an operation on the stripe of the current id, once it has one.
///
/// # Errors
///
/// The operation's own answer; or that it has to be done on the fallback.
///
/// # Safety
///
/// The words are allocated, in an arena of the domain, until the operation has committed;
/// and the operation's contract.
pub(super) unsafe fn run_in<O: Operation>(
    domain: &Domain,
    first: WordAddress,
    operation: &O,
) -> Result<O::Output, Refusal> {
    if domain.source() != Source::Table {
        return Err(Refusal::Unsupported);
    }
    // SAFETY: the domain opens a stripe before its id is in a slot, and closes none. The
    // rest is the caller's contract.
    admitted(domain, |ids| unsafe {
        operation.run::<_, DOMAIN_SHIFT>(ids, first)
    })
}
