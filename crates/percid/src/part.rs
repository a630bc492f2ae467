//! A part of a room that sections find by one load, and that may change.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use percid_rseq::section::{self, Index, Placed, WordAddress};
use percid_rseq::{Refusal, enter_thread};

use crate::arena::{Operation, STRIPE_SHIFT, process_limit};
use crate::room::Room;
use crate::scope::Scope;

/// A part of a [`Room`] that sections find by one load; which part, others may change.
///
/// Who leads it elsewhere and then [fences](percid_rseq::membarrier::fence) knows that no
/// section works on the former part any more. So it is for what is done by phases: readers
/// enter in one of two places, say, and who waits for those of one leads the next ones to
/// the other.
///
/// ```
/// use percid::{Operation, Part, Room};
/// use percid_rseq::section::{self, Index, WordAddress};
/// use percid_rseq::{Refusal, membarrier};
///
/// struct Count;
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
///         unsafe { section::increment::<I, SHIFT>(index, first) }
///     }
/// }
///
/// static COUNTS: Room = Room::new(16);
/// static NOW: Part = Part::nowhere();
///
/// if NOW.lead_to(&COUNTS, 0) {
///     // SAFETY: a word of the room, which only this operation changes.
///     unsafe { NOW.run(&Count).or_else(|_| NOW.run_slow(&COUNTS, &Count)) }?;
///     NOW.lead_to(&COUNTS, 8);
///     membarrier::fence().expect("there are sections, and fences");
///     // Word 0 does not change any more.
/// }
/// # Ok::<(), percid_rseq::Refusal>(())
/// ```
///
/// # Cost
///
/// [`run`](Part::run) is the section alone: where the words are and how many stripes are
/// open comes from one word, in a load less than a room's `run` needs. Eight bytes.
///
/// # Fallback
///
/// Only where the kernel keeps the process's ids (`Source::MmCid`) and the arena is below
/// 32 GiB, which it is unless the address space is full there, does a part lead to a room.
/// Elsewhere, and for rooms in domains, every section is refused as beyond the limit.
///
/// # Fork and signals
///
/// As [`Room`].
pub struct Part(AtomicU64);

/// What says nowhere: no section is below its limit.
const NOWHERE: u64 = 0;

impl Part {
    /// Leads nowhere yet.
    #[must_use]
    pub const fn nowhere() -> Part {
        Part(AtomicU64::new(NOWHERE))
    }

    /// Whether it leads somewhere.
    #[must_use]
    pub fn leads(&self) -> bool {
        // Ordering: Relaxed. Says only what is worth trying.
        self.0.load(Ordering::Relaxed) != NOWHERE
    }

    /// Leads to the room's words from `word` on. False where it cannot, and leads where it
    /// led then. One thread at a time, always with the same room.
    ///
    /// # Panics
    ///
    /// If the room has no such word.
    // Ordering: Release, here and in `raise`: a section that finds another part, which it
    // loads with acquire ordering, sees what was done before.
    pub fn lead_to<S: Scope>(&self, room: &Room<S>, word: u32) -> bool {
        assert!(word < room.len(), "a part outside of its room");
        let Some(first) = room.in_sections() else {
            return false;
        };
        let to = first.offset(word as usize);
        self.change(|_| Some(Placed::word(process_limit(), to)));
        true
    }

    /// Whether it leads to the room's words from `word` on.
    #[must_use]
    pub fn leads_to<S: Scope>(&self, room: &Room<S>, word: u32) -> bool {
        let place = self.0.load(Ordering::Relaxed) >> 32;
        let first = room.in_sections().map(|first| first.offset(word as usize));
        self.leads() && first == Some(WordAddress::from_eighth(place as usize))
    }

    /// Sees the limit of the process as it is by now.
    fn raise(&self) {
        self.change(|at| {
            let (limit, now) = (at as u32, process_limit());
            let place = WordAddress::from_eighth((at >> 32) as usize);
            (at != NOWHERE && limit < now).then(|| Placed::word(now, place))
        });
    }

    /// Stripes are opened before the process's limit says so, and never closed: so no
    /// order of changes leaves a limit that is too high.
    fn change(&self, to: impl FnMut(u64) -> Option<u64>) {
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, to);
    }

    /// Runs an operation once, in a section on the current cid's stripe. What it is given
    /// as its first word is the part's.
    ///
    /// # Errors
    ///
    /// As the section's. Do it by [`run_slow`](Part::run_slow) if it was refused for
    /// anything but what it says itself.
    ///
    /// # Safety
    ///
    /// The operation's contract, for the words of the room from wherever it is led to on.
    #[inline(always)]
    pub unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        let index = Placed { at: &self.0 };
        // SAFETY: stripes below the limit are open up to the room's words and are never
        // closed. The rest is the caller's contract.
        unsafe { operation.run::<_, STRIPE_SHIFT>(index, WordAddress::from_eighth(0)) }
    }

    /// Runs an operation in a section, after it was refused: opens the stripe of the current
    /// cid, and tries again a bounded number of times.
    ///
    /// # Errors
    ///
    /// As [`Room::run`].
    ///
    /// # Safety
    ///
    /// As [`run`](Part::run); `room` is where it is led to.
    #[cold]
    #[inline(never)]
    pub unsafe fn run_slow<O: Operation, S: Scope>(
        &self,
        room: &Room<S>,
        operation: &O,
    ) -> Result<O::Output, Refusal> {
        let mut refused = Refusal::Unsupported;
        for _ in 0..section::ATTEMPTS {
            if !self.leads() {
                break;
            }
            // SAFETY: the caller's contract.
            refused = match unsafe { self.run(operation) } {
                Ok(done) => return Ok(done),
                Err(refusal) => refusal,
            };
            let go_on = match refused {
                Refusal::Aborted => true,
                Refusal::NotRegistered => enter_thread().is_ok(),
                Refusal::BeyondLimit => {
                    // SAFETY: it changes nothing.
                    let opened = unsafe { room.run(&Look) }.is_ok();
                    self.raise();
                    opened
                }
                _ => false,
            };
            if !go_on {
                break;
            }
        }
        Err(refused)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("leads", &self.leads())
            .finish_non_exhaustive()
    }
}

/// Looks at the first word, and so opens the stripe.
struct Look;

impl Operation for Look {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::load::<I, SHIFT>(index, first).map(drop) }
    }
}
