//! Consecutive words in every stripe: what structures larger than a counter stand on.

use core::fmt;
use core::sync::atomic::AtomicU64;

use percid_cid::Domain;
use percid_rseq::Refusal;
use percid_rseq::section::WordAddress;

use crate::arena::{
    ArenaError, LONGEST_RUN, Operation, Run, ScopedRun, StripeRef, Stripes, run_once,
};
use crate::scope::{Process, Scope, Several};

/// Consecutive words in every stripe, for authors of structures.
///
/// A [`Counter`](crate::Counter) is one word; a histogram, a magazine or a table of slots
/// is a room of them. What happens to the words is up to its owner, one section
/// ([`Operation`]) at a time.
///
/// ```
/// use percid::{Operation, Room};
/// use percid_rseq::section::{self, Index, WordAddress};
/// use percid_rseq::{Refusal, portable};
///
/// /// Counts one event of a kind.
/// struct Count(usize);
///
/// impl Operation for Count {
///     type Output = ();
///
///     #[inline(always)]
///     unsafe fn run<I: Index, const SHIFT: u32>(
///         &self,
///         index: I,
///         first: WordAddress,
///     ) -> Result<(), Refusal> {
///         // SAFETY: the caller's contract.
///         unsafe { section::increment::<I, SHIFT>(index, first.offset(self.0)) }
///     }
/// }
///
/// static KINDS: Room = Room::new(16);
///
/// fn count(kind: usize) -> Result<(), percid::ArenaError> {
///     assert!(kind < 16);
///     // SAFETY: one of the room's words; those of cids change by this section only.
///     if unsafe { KINDS.run(&Count(kind)) }.is_err() {
///         portable::add(&KINDS.fallback()?.words()[kind], 1);
///     }
///     Ok(())
/// }
///
/// count(3)?;
/// let threes: u64 = KINDS.stripes().map(|stripe| portable::load(&stripe.words()[3])).sum();
/// assert_eq!(threes, 1);
/// # Ok::<(), percid::ArenaError>(())
/// ```
///
/// # Cost
///
/// [`run`](Room::run) is the section and one load more; in a domain two. Eight bytes of
/// address space per word in each active cid's stripe, rounded up to a power of two words;
/// memory by the page, as it is touched.
///
/// # Shapes and units
///
/// 1 to [`Room::LONGEST`] words. They read zero at first, in every stripe. Rooms of eight
/// words and more start on a cache line; smaller ones share theirs with others of the same
/// cid, never with another cid.
///
/// # Fallback
///
/// A thread without sections works on the words of [`fallback`](Room::fallback), which
/// several threads may share: by single read-modify-writes.
///
/// # Fork and signals
///
/// Everything but making one in a domain may be called from a signal handler. A child of
/// `fork` has its parent's words.
pub struct Room<S: Scope = Process> {
    words: S::Run,
}

impl Room {
    /// The most words that a room may have.
    pub const LONGEST: u32 = LONGEST_RUN;

    /// A room for a `static`. It takes its place in the arena at its first use.
    ///
    /// # Panics
    ///
    /// If it has no word, or more than [`LONGEST`](Room::LONGEST): in a `static`, when it
    /// is compiled.
    #[must_use]
    pub const fn new(words: u32) -> Room {
        assert!(words > 0 && words <= LONGEST_RUN, "not a room's length");
        Room {
            words: Run::new(words),
        }
    }

    /// A room that has its place already.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, the arena is full, or the length is not a room's.
    pub fn try_new(words: u32) -> Result<Room, ArenaError> {
        Ok(Room {
            words: Run::try_new(words)?,
        })
    }
}

/// Where a word of a [`Room`] is: four bytes, for a fast path that has no room for more.
///
/// Its own slow half comes to the room. Nothing of an operation is kept in memory for a
/// second attempt.
///
/// # Cost
///
/// [`run_once`](Place::run_once) is the section, and no load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

impl Place {
    /// Runs an operation in a section once, on the words from this one on.
    ///
    /// # Errors
    ///
    /// As [`Room::run`]; more often, and always where the ids are not the kernel's.
    ///
    /// # Safety
    ///
    /// As [`Room::run`], of the room that this is a place of, which is still there.
    #[inline(always)]
    pub unsafe fn run_once<O: Operation>(self, operation: &O) -> Result<O::Output, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { run_once(self.0, operation) }
    }
}

impl Room<Domain> {
    /// A room in the stripes of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Room::try_new).
    pub fn in_domain(domain: &Domain, words: u32) -> Result<Room<Domain>, ArenaError> {
        Ok(Room {
            words: ScopedRun::new(domain, words)?,
        })
    }
}

impl<S: Scope> Room<S> {
    /// Where sections find a word and those after it, for a fast path to keep beside what
    /// it works on. Nowhere, so that every attempt is refused, in a domain of its own ids.
    ///
    /// # Panics
    ///
    /// If there is no such word.
    #[must_use]
    pub fn place(&self, word: u32) -> Place {
        assert!(word < self.len(), "beyond the room");
        Place(self.words.place(word))
    }

    /// Runs an operation in a section on the current cid's stripe. The first time there,
    /// opens the stripe; tries again a bounded number of times.
    ///
    /// # Errors
    ///
    /// `Mismatch`, `Empty` or `Full` if the operation says so. Anything else: there is no
    /// section to be had now, so do it on the [`fallback`](Room::fallback).
    ///
    /// # Safety
    ///
    /// The operation's contract, for the words of this room.
    #[inline(always)]
    pub unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { self.words.run(operation) }
    }

    /// As [`run`](Room::run), for operations that can be copied. What the operation holds
    /// stays in registers as long as nothing goes wrong; `run` stores it first.
    ///
    /// # Errors
    ///
    /// As [`run`](Room::run).
    ///
    /// # Safety
    ///
    /// As [`run`](Room::run).
    #[inline(always)]
    pub unsafe fn run_copied<O: Operation + Copy>(
        &self,
        operation: O,
    ) -> Result<O::Output, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { self.words.run_copied(operation) }
    }

    /// The stripe of the calling thread, for when there is no section.
    ///
    /// Its words may be those of other threads, too, and of this thread's signal handlers:
    /// change them by single read-modify-writes.
    ///
    /// # Errors
    ///
    /// If a room from [`new`](Room::new) finds no memory.
    pub fn fallback(&self) -> Result<StripeRef<'_>, ArenaError> {
        self.words.fallback()
    }

    /// Every stripe that may hold something, those of threads included; none if the room
    /// was never used.
    ///
    /// One that is opened meanwhile is seen or not: after a fence
    /// ([`membarrier`](percid_rseq::membarrier)) look again.
    pub fn stripes(&self) -> Stripes<'_> {
        self.words.stripes()
    }

    /// Words beside all stripes, as many, for read-modify-writes by everybody: for what was
    /// taken from the stripes, or belongs to none.
    ///
    /// # Errors
    ///
    /// As [`fallback`](Room::fallback).
    pub fn shared(&self) -> Result<&[AtomicU64], ArenaError> {
        self.words.shared()
    }

    /// Whether a word is one of this room's, in whatever stripe: for who kept where it is.
    ///
    /// ```
    /// use percid::Room;
    ///
    /// let (one, other) = (Room::try_new(8)?, Room::try_new(8)?);
    /// let word = &one.fallback()?.words()[3];
    /// assert!(one.holds(word) && !other.holds(word));
    /// # Ok::<(), percid::ArenaError>(())
    /// ```
    #[must_use]
    pub fn holds(&self, word: *const AtomicU64) -> bool {
        self.words.holds(word)
    }

    /// Runs an operation in a section once, where sections are inline.
    ///
    /// # Errors
    ///
    /// As [`run`](Room::run), which may know how.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn run_once<O: Operation>(
        &self,
        operation: &O,
    ) -> Result<O::Output, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { self.words.run_once(operation) }
    }

    /// As [`fallback`](Room::fallback), if it is known that there are no sections to ask
    /// for first: whatever [`run`](Room::run) is told would be refused.
    #[inline(always)]
    pub(crate) fn by_thread(&self) -> Option<StripeRef<'_>> {
        self.words.by_thread()
    }

    /// Where sections reach the first word inline; `None` where they do not.
    pub(crate) fn in_sections(&self) -> Option<WordAddress> {
        self.words.in_sections()
    }

    /// Number of words.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> u32 {
        self.words.len()
    }
}

impl<S: Scope> fmt::Debug for Room<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("words", &self.len())
            .finish_non_exhaustive()
    }
}
