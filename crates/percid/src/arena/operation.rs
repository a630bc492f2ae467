//! One section operation, whatever its ids and its stripes.

use percid_rseq::Refusal;
use percid_rseq::section::{self, Index, WordAddress};

/// One operation in a section: what a [`Room`](crate::Room) runs.
///
/// ```
/// use percid::Operation;
/// use percid_rseq::Refusal;
/// use percid_rseq::section::{self, Index, WordAddress};
///
/// /// Adds 1 to the second word.
/// struct Second;
///
/// impl Operation for Second {
///     type Output = ();
///
///     unsafe fn run<I: Index, const SHIFT: u32>(
///         &self,
///         index: I,
///         first: WordAddress,
///     ) -> Result<(), Refusal> {
///         // SAFETY: the caller's contract.
///         unsafe { section::increment::<I, SHIFT>(index, first.offset(1)) }
///     }
/// }
///
/// let room = percid::Room::try_new(2)?;
/// // SAFETY: the room has two words, which nobody else changes.
/// if unsafe { room.run(&Second) }.is_err() {
///     percid_rseq::portable::add(&room.fallback()?.words()[1], 1);
/// }
/// let sum: u64 = room.stripes().map(|stripe| percid_rseq::portable::load(&stripe.words()[1])).sum();
/// assert_eq!(sum, 1);
/// # Ok::<(), percid::ArenaError>(())
/// ```
pub trait Operation {
    /// What it returns when it has committed.
    type Output;

    /// Runs it once. Mark it `#[inline(always)]`: it is the fast path.
    ///
    /// # Errors
    ///
    /// As the section's.
    ///
    /// # Safety
    ///
    /// `first` is the first word of a room, in stripe 0; stripes that `index` admits (below
    /// its limit; by table, those whose ids are in slots) stand `1 << SHIFT` bytes apart and
    /// are open; words of ids change by sections only, or as the structure that owns the
    /// room has proved.
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<Self::Output, Refusal>;
}

/// Whether that is the operation's own answer. Anything else says that there was no
/// section to ask in.
#[inline(always)]
pub(super) fn is_answer(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::Mismatch | Refusal::Empty | Refusal::Full)
}

/// Adds to the first word, wrapping.
pub(super) struct Add(pub(super) u64);

impl Operation for Add {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract is the section's.
        unsafe { section::add::<I, SHIFT>(index, first, self.0) }
    }
}
