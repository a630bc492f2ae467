//! The arena of a domain, and runs of words of it.
//!
//! The domain owns its arena, as memory under its limit; a word owns its domain. So the
//! arena goes when the last word and the last handle have gone.

use alloc::sync::Arc;
use core::sync::atomic::AtomicU64;

use percid_cid::domain::{self, AttachError};
use percid_cid::{Domain, Source, backend};
use percid_rseq::Refusal;
use percid_rseq::section::{Table, WordAddress};

use super::ArenaError;
use super::apart::{Apart, Kept, run_in};
use super::layout::{DOMAIN_SHIFT, Layout, Stripe};
use super::operation::{Operation, is_answer};
use super::process::open;
use super::run::Run;
use super::shared::{Arena, ArenaStats};
use super::stripes::{StripeRef, Stripes};

/// The arena of a domain.
pub(crate) struct DomainArena(Arc<Inside>);

struct Inside(Arena<DOMAIN_SHIFT>);

impl domain::Stripes for DomainArena {
    fn open(&self, to: u32) -> Result<(), i32> {
        open(&self.0.0, to)
    }

    fn opened(&self) -> u32 {
        self.0.0.stats().cid_stripes
    }
}

/// The arena of a domain, made if there is none. Of several that are made at the same
/// time the first one attached is everybody's; the others stay empty. No lock: a child of
/// `fork` could find it held for ever.
fn arena_of(domain: &Domain) -> Result<Arc<Inside>, ArenaError> {
    let attached = || {
        let arena = domain.attached::<DomainArena>()?;
        // One that another thread has yet to open, or is about to withdraw, for it has too
        // few stripes, is found out here: every id that a slot holds must have one.
        Some(match domain.keep(arena) {
            Ok(()) => Ok(Arc::clone(&arena.0)),
            Err(AttachError::NoMemory(os_error)) => Err(ArenaError::NoMemory { os_error }),
            Err(_) => Err(ArenaError::NoPlace),
        })
    };
    if let Some(arena) = attached() {
        return arena;
    }
    let inside = Inside(Arena::new(false));
    inside.0.reserve()?;
    match domain.attach(Arc::new(DomainArena(Arc::new(inside)))) {
        Err(AttachError::NoMemory(os_error)) => Err(ArenaError::NoMemory { os_error }),
        // Or others were faster, as often as there are places.
        _ => attached().unwrap_or(Err(ArenaError::NoPlace)),
    }
}

/// Words in every stripe of a domain's own arena.
pub(super) struct Own {
    domain: Domain,
    arena: Arc<Inside>,
    layout: Layout<DOMAIN_SHIFT>,
    first: u32,
    words: u32,
}

impl Own {
    fn new(domain: &Domain, words: u32) -> Result<Own, ArenaError> {
        let arena = arena_of(domain)?;
        let (layout, first) = arena.0.allocate_run(words)?;
        Ok(Own {
            domain: domain.clone(),
            arena,
            layout,
            first,
            words,
        })
    }

    /// Runs an operation on the stripe of the current id, once it has one.
    ///
    /// # Errors
    ///
    /// The operation's own answer; or that it has to be done on the fallback.
    ///
    /// # Safety
    ///
    /// The operation's contract, for these words.
    #[cold]
    #[inline(never)]
    unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        // SAFETY: allocated words of an arena that this keeps; the rest is the caller's
        // contract.
        unsafe { run_in(&self.domain, self.layout.first(self.first), operation) }
    }

    /// The stripe of the calling thread.
    fn thread_stripe(&self) -> StripeRef<'_> {
        let stripe = Stripe::Thread(self.arena.0.thread_stripe());
        // SAFETY: an open stripe of an arena that this keeps.
        unsafe { StripeRef::new(self.layout, stripe, self.first, self.words) }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.arena.0.free_run(self.layout, self.first, self.words);
    }
}

/// Words in every stripe of a domain.
pub(crate) struct ScopedRun {
    /// Where sections find their id: the domain's table, or a closed one.
    pub(super) ids: Table<'static>,
    /// The first word's address in stripe 0.
    pub(super) first: WordAddress,
    place: Scoped,
}

// SAFETY: `ids` points to what the domain, which is both, keeps for all threads.
unsafe impl Send for ScopedRun {}
// SAFETY: as above.
unsafe impl Sync for ScopedRun {}

enum Scoped {
    /// The domain is the process's: words of its arena, reached out of line.
    Process(Run),
    /// Words of a domain's own arena.
    Own(Own),
}

impl ScopedRun {
    pub(crate) fn new(domain: &Domain, words: u32) -> Result<ScopedRun, ArenaError> {
        if domain.is(&Domain::process()) {
            return Ok(ScopedRun {
                ids: Table::closed(),
                first: WordAddress::from_eighth(1),
                place: Scoped::Process(Run::try_new(words)?),
            });
        }
        let own = Own::new(domain, words)?;
        Ok(ScopedRun {
            // SAFETY: the run owns its domain.
            ids: unsafe { domain.index_unbound() }.unwrap_or(Table::closed()),
            first: own.layout.first(own.first),
            place: Scoped::Own(own),
        })
    }

    /// Whether there can ever be a section on them.
    pub(super) fn has_sections(&self) -> bool {
        match &self.place {
            Scoped::Process(_) => backend().source != Source::Thread,
            Scoped::Own(own) => own.domain.source() == Source::Table,
        }
    }

    /// What a section needs.
    #[inline(always)]
    pub(super) fn apart(&self) -> Apart {
        Apart::new(self.ids, self.first)
    }

    /// What a thread without an id needs.
    pub(super) fn kept(&self) -> Kept {
        match &self.place {
            Scoped::Process(run) => Kept::Process(run.for_sections()),
            Scoped::Own(own) => Kept::Own(own.domain.clone(), self.first),
        }
    }

    /// As [`Run::run`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        // SAFETY: the caller's contract.
        match unsafe { self.apart().run_once(operation) } {
            Err(refusal) if !is_answer(refusal) => {
                // The first result never was in memory and stays out of it.
                let mut value = None;
                // SAFETY: the caller's contract.
                let refusal = unsafe { self.run_slow(operation, &mut value) };
                value.ok_or(refusal)
            }
            answer => answer,
        }
    }

    /// As [`Run::run_once`].
    ///
    /// # Errors
    ///
    /// As there.
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
        unsafe { self.apart().run_once(operation) }
    }

    /// As [`Run::run_copied`].
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
        // SAFETY: as in `run`.
        match unsafe { operation.run::<_, DOMAIN_SHIFT>(self.ids, self.first) } {
            Err(refusal) if !is_answer(refusal) => {
                let mut value = None;
                // SAFETY: the caller's contract.
                let refusal = unsafe { self.run_copied_slow(operation, &mut value) };
                value.ok_or(refusal)
            }
            answer => answer,
        }
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

    #[cold]
    #[inline(never)]
    pub(super) unsafe fn run_slow<O: Operation>(
        &self,
        operation: &O,
        value: &mut Option<O::Output>,
    ) -> Refusal {
        let outcome = match &self.place {
            // SAFETY: the caller's contract.
            Scoped::Process(run) => unsafe { run.run(operation) },
            // SAFETY: as above.
            Scoped::Own(own) => unsafe { own.run(operation) },
        };
        match outcome {
            Ok(done) => {
                *value = Some(done);
                Refusal::Aborted
            }
            Err(refusal) => refusal,
        }
    }

    /// As [`Run::fallback`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn fallback(&self) -> Result<StripeRef<'_>, ArenaError> {
        match &self.place {
            Scoped::Process(run) => run.fallback(),
            Scoped::Own(own) => Ok(own.thread_stripe()),
        }
    }

    /// As [`Run::by_thread`].
    #[inline(always)]
    pub(crate) fn by_thread(&self) -> Option<StripeRef<'_>> {
        match &self.place {
            Scoped::Process(run) => run.by_thread(),
            // Where `run_in` refuses everything.
            Scoped::Own(own) => (own.domain.source() != Source::Table).then(|| own.thread_stripe()),
        }
    }

    /// As [`Run::stripes`].
    pub(crate) fn stripes(&self) -> Stripes<'_> {
        match &self.place {
            Scoped::Process(run) => run.stripes(),
            Scoped::Own(own) => {
                own.domain.tick();
                // SAFETY: words of an arena that this keeps.
                unsafe { Stripes::new(&own.arena.0, own.layout, own.first, own.words) }
            }
        }
    }

    /// As [`Run::shared`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn shared(&self) -> Result<&[AtomicU64], ArenaError> {
        match &self.place {
            Scoped::Process(run) => run.shared(),
            Scoped::Own(own) => {
                // SAFETY: the ledger is open up to every word that was allocated, and
                // this keeps it.
                Ok(unsafe { own.layout.words(Stripe::Ledger, own.first, own.words) })
            }
        }
    }

    pub(crate) fn len(&self) -> u32 {
        match &self.place {
            Scoped::Process(run) => run.len(),
            Scoped::Own(own) => own.words,
        }
    }

    /// As [`Run::holds`].
    pub(crate) fn holds(&self, word: *const AtomicU64) -> bool {
        match &self.place {
            Scoped::Process(run) => run.holds(word),
            Scoped::Own(own) => own.layout.has_at(word, own.first, own.words),
        }
    }

    /// As [`Run::place`]; nowhere if the ids are the domain's own.
    pub(crate) fn place(&self, word: u32) -> u32 {
        match &self.place {
            Scoped::Process(run) => run.place(word),
            Scoped::Own(_) => 0,
        }
    }

    /// Nowhere: sections of a domain find their id in its table.
    pub(crate) fn in_sections(&self) -> Option<WordAddress> {
        None
    }
}

/// How large the arena of a domain is at this moment; nothing, if no structure was ever
/// made in it.
///
/// ```
/// use percid::{Counter, Domain, domain_arena_stats};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let domain = Domain::builder().build()?;
/// let counter = Counter::in_domain(&domain)?;
/// counter.inc();
/// assert_eq!(domain_arena_stats(&domain).words, 1);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn domain_arena_stats(domain: &Domain) -> ArenaStats {
    if domain.is(&Domain::process()) {
        return super::arena_stats();
    }
    domain
        .attached::<DomainArena>()
        .map_or_else(ArenaStats::default, |arena| arena.0.0.stats())
}
