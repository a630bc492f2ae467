//! Consecutive words of the process's arena, with a place from their first use.

use core::sync::atomic::AtomicU64;

use percid_cid::backend;
use percid_rseq::Refusal;
use percid_rseq::section::{self, WordAddress};

use super::ArenaError;
use super::handle::{Handle, Place};
use super::layout::{Layout, STRIPE_SHIFT, Stripe};
use super::operation::{Operation, is_answer};
use super::process::{self, arena};
use super::stripes::{StripeRef, Stripes};

/// Words in every stripe, or nowhere yet.
pub(crate) struct Run {
    handle: Handle,
    words: u32,
}

impl Run {
    /// Nowhere yet.
    pub(crate) const fn new(words: u32) -> Run {
        Run {
            handle: Handle::new(),
            words,
        }
    }

    /// In the arena, now.
    pub(crate) fn try_new(words: u32) -> Result<Run, ArenaError> {
        Ok(Run {
            handle: Handle::try_new(words, backend().source)?,
            words,
        })
    }

    pub(crate) fn len(&self) -> u32 {
        self.words
    }

    /// Runs an operation in a section on the stripe of the current cid.
    ///
    /// # Errors
    ///
    /// The operation's own answer (`Mismatch`, `Empty`, `Full`). Anything else: it has to
    /// be done on the fallback.
    ///
    /// # Safety
    ///
    /// The operation's contract, for these words.
    #[inline(always)]
    pub(crate) unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        section::anchor();
        if let Some(first) = self.handle.in_sections() {
            // SAFETY: allocated words; stripes below the limit are open up to them and are
            // never closed. The rest is the caller's contract.
            match unsafe { operation.run::<_, STRIPE_SHIFT>(process::index(), first) } {
                Err(refusal) if !is_answer(refusal) => {}
                answer => return answer,
            }
        }
        // What the first attempt returned never was in memory and stays out of it.
        let mut value = None;
        // SAFETY: the caller's contract.
        let refusal = unsafe { self.run_slow(operation, &mut value) };
        value.ok_or(refusal)
    }

    /// Runs an operation in a section once, where sections are inline.
    ///
    /// # Errors
    ///
    /// As the section's; anything but the operation's own answer: [`run`](Self::run) may
    /// know how.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn run_once<O: Operation>(
        &self,
        operation: &O,
    ) -> Result<O::Output, Refusal> {
        section::anchor();
        match self.handle.in_sections() {
            // SAFETY: as in `run`.
            Some(first) => unsafe { operation.run::<_, STRIPE_SHIFT>(process::index(), first) },
            None => Err(Refusal::Unsupported),
        }
    }

    /// As [`run`](Self::run), with what the operation holds in registers until it is refused.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn run_copied<O: Operation + Copy>(
        &self,
        operation: O,
    ) -> Result<O::Output, Refusal> {
        section::anchor();
        if let Some(first) = self.handle.in_sections() {
            // SAFETY: as in `run`.
            match unsafe { operation.run::<_, STRIPE_SHIFT>(process::index(), first) } {
                Err(refusal) if !is_answer(refusal) => {}
                answer => return answer,
            }
        }
        let mut value = None;
        // SAFETY: the caller's contract.
        let refusal = unsafe { self.run_copied_slow(operation, &mut value) };
        value.ok_or(refusal)
    }

    #[cold]
    #[inline(never)]
    unsafe fn run_copied_slow<O: Operation + Copy>(
        &self,
        operation: O,
        value: &mut Option<O::Output>,
    ) -> Refusal {
        // SAFETY: the caller's contract.
        unsafe { self.run_slow(&operation, value) }
    }

    /// Where sections reach a word inline, in eighths of an address; 0: nowhere.
    pub(crate) fn place(&self, word: u32) -> u32 {
        match self.handle.eighth() {
            0 => 0,
            first => first + word,
        }
    }

    /// What it was refused for, unless there is a value.
    #[cold]
    #[inline(never)]
    unsafe fn run_slow<O: Operation>(
        &self,
        operation: &O,
        value: &mut Option<O::Output>,
    ) -> Refusal {
        let Some((layout, first)) = self.for_sections() else {
            return Refusal::Unsupported;
        };
        // SAFETY: allocated words; the rest is the caller's contract.
        match unsafe { process::run(layout, first, operation) } {
            Ok(done) => {
                *value = Some(done);
                Refusal::Aborted
            }
            Err(refusal) => refusal,
        }
    }

    /// Where in the arena the words are, if sections reach them.
    pub(super) fn for_sections(&self) -> Option<(Layout<STRIPE_SHIFT>, u32)> {
        if self.handle.by_thread().is_some() {
            return None;
        }
        match self.place_now() {
            Ok(Place::Sections(layout, first)) => Some((layout, first)),
            _ => None,
        }
    }

    /// Whether an address is that of one of the words, in whatever stripe.
    pub(crate) fn holds(&self, word: *const AtomicU64) -> bool {
        self.handle.place().is_some_and(|place| {
            let (layout, first) = in_arena(place);
            layout.has_at(word, first, self.words)
        })
    }

    /// Where sections reach the first word inline; `None` where they do not.
    pub(crate) fn in_sections(&self) -> Option<WordAddress> {
        self.place_now().ok()?;
        self.handle.in_sections()
    }

    /// The stripe of the calling thread, for read-modify-writes.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(crate) fn fallback(&self) -> Result<StripeRef<'_>, ArenaError> {
        // Not slow, where there are no sections.
        if let Some(stripe) = self.by_thread() {
            return Ok(stripe);
        }
        let (layout, first) = in_arena(self.place_now()?);
        // SAFETY: the words' place.
        Ok(unsafe { self.thread_stripe(layout, first) })
    }

    /// The same where there are no sections at all, so that nobody needs to ask for one
    /// first; `None` also before the first use.
    #[inline(always)]
    pub(crate) fn by_thread(&self) -> Option<StripeRef<'_>> {
        let (layout, first) = self.handle.by_thread()?;
        // SAFETY: the words' place.
        Some(unsafe { self.thread_stripe(layout, first) })
    }

    /// # Safety
    ///
    /// That is the place of these words.
    #[inline(always)]
    unsafe fn thread_stripe(&self, layout: Layout<STRIPE_SHIFT>, first: u32) -> StripeRef<'_> {
        let stripe = Stripe::Thread(arena().thread_stripe());
        // SAFETY: an open stripe; the process's arena stays, and the words do with this.
        unsafe { StripeRef::new(layout, stripe, first, self.words) }
    }

    /// Every stripe that may hold something; none before the first use.
    pub(crate) fn stripes(&self) -> Stripes<'_> {
        self.handle.place().map_or_else(Stripes::none, |place| {
            let (layout, first) = in_arena(place);
            // SAFETY: the process's arena stays, and the words do with this.
            unsafe { Stripes::new(arena(), layout, first, self.words) }
        })
    }

    /// Words beside all stripes, for read-modify-writes by everybody.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(crate) fn shared(&self) -> Result<&[AtomicU64], ArenaError> {
        let (layout, first) = in_arena(self.place_now()?);
        // SAFETY: the ledger is open up to every word that was allocated; they stay with
        // this.
        Ok(unsafe { layout.words(Stripe::Ledger, first, self.words) })
    }

    fn place_now(&self) -> Result<Place, ArenaError> {
        match self.handle.place() {
            Some(place) => Ok(place),
            None => self.handle.take_place(self.words, false),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.handle.leave(self.words);
    }
}

/// Runs have no standby words.
fn in_arena(place: Place) -> (Layout<STRIPE_SHIFT>, u32) {
    match place {
        Place::Sections(layout, first) | Place::ByThread(layout, first) => (layout, first),
        Place::Standby(_) => unreachable!("asked for without standby words"),
    }
}

/// Runs an operation once, on the words from a place on.
///
/// # Errors
///
/// The operation's own answer. Anything else: [`run`](Run::run) may know how.
///
/// # Safety
///
/// As [`run`](Run::run), of the run that the place is of.
#[inline(always)]
pub(crate) unsafe fn run_once<O: Operation>(
    place: u32,
    operation: &O,
) -> Result<O::Output, Refusal> {
    section::anchor();
    if place == 0 {
        return Err(Refusal::Unsupported);
    }
    let first = WordAddress::from_eighth(place as usize);
    // SAFETY: as in `run`.
    unsafe { operation.run::<_, STRIPE_SHIFT>(process::index(), first) }
}
