//! The arena of a domain, and a word of it.
//!
//! The domain owns its arena, as memory under its limit; a word owns its domain. So the
//! arena goes when the last word and the last handle have gone.

use std::sync::Arc;

use percid_cid::domain::{AttachError, Stripes};
use percid_cid::{Domain, Source};
use percid_rseq::section::{self, Table, WordAddress};

use super::layout::{DOMAIN_SHIFT, Layout};
use super::process::{admitted, open};
use super::shared::{Arena, ArenaStats};
use super::{ArenaError, Word};

/// The arena of a domain.
pub(crate) struct DomainArena(Arc<Inside>);

struct Inside(Arena<DOMAIN_SHIFT>);

impl Stripes for DomainArena {
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
        domain
            .attached::<DomainArena>()
            .map(|arena| Arc::clone(&arena.0))
    };
    if let Some(arena) = attached() {
        // One that another thread is about to withdraw, for it has too few stripes, is
        // found out here: every id below the limit must have one.
        open(&arena.0, domain.limit()).map_err(|os_error| ArenaError::NoMemory { os_error })?;
        return Ok(arena);
    }
    let inside = Inside(Arena::new(false));
    inside.0.reserve()?;
    match domain.attach(Arc::new(DomainArena(Arc::new(inside)))) {
        Err(AttachError::NoMemory(os_error)) => Err(ArenaError::NoMemory { os_error }),
        // Or others were faster, as often as there are places.
        _ => attached().ok_or(ArenaError::NoPlace),
    }
}

/// A word in every stripe of a domain.
pub(crate) struct ScopedWord {
    /// Where its sections find their id: the domain's table, or a closed one.
    ids: Table<'static>,
    /// The word's address in stripe 0.
    first: WordAddress,
    place: Place,
}

// SAFETY: `ids` points to what the domain, which is both, keeps for all threads.
unsafe impl Send for ScopedWord {}
// SAFETY: as above.
unsafe impl Sync for ScopedWord {}

enum Place {
    /// The domain is the process's: a word of its arena, reached out of line.
    Process(Word),
    /// A word of a domain's own arena.
    Own {
        domain: Domain,
        arena: Arc<Inside>,
        layout: Layout<DOMAIN_SHIFT>,
        index: u32,
    },
}

impl ScopedWord {
    pub(crate) fn new(domain: &Domain) -> Result<ScopedWord, ArenaError> {
        if domain.is(&Domain::process()) {
            return Ok(ScopedWord {
                ids: Table::closed(),
                first: WordAddress::from_eighth(1),
                place: Place::Process(Word::try_new()?),
            });
        }
        let arena = arena_of(domain)?;
        let (layout, index) = arena.0.allocate()?;
        Ok(ScopedWord {
            // SAFETY: the word owns its domain.
            ids: unsafe { domain.index_unbound() }.unwrap_or(Table::closed()),
            first: layout.first(index),
            place: Place::Own {
                domain: domain.clone(),
                arena,
                layout,
                index,
            },
        })
    }

    /// Adds 1.
    #[inline]
    pub(crate) fn increment(&self) {
        // SAFETY: an allocated word, or a closed table; the domain opens stripes below
        // its limit, which are closed with the last word only, and change by sections
        // only.
        let added = unsafe { section::increment::<_, DOMAIN_SHIFT>(self.ids, self.first) };
        if added.is_err() {
            self.add_slow(1);
        }
    }

    /// Adds `n`, wrapping.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // SAFETY: as in `increment`.
        let added = unsafe { section::add::<_, DOMAIN_SHIFT>(self.ids, self.first, n) };
        if added.is_err() {
            self.add_slow(n);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) {
        match &self.place {
            Place::Process(word) => word.add(n),
            Place::Own {
                domain,
                arena,
                layout,
                index,
            } => {
                let added = domain.source() == Source::Table
                    && admitted(domain, |ids| {
                        // SAFETY: as in `increment`.
                        unsafe { section::add::<_, DOMAIN_SHIFT>(ids, self.first, n) }
                    })
                    .is_some();
                if !added {
                    arena.0.add_by_thread(*layout, *index, n);
                }
            }
        }
    }

    /// What was added and not taken; racy while others add.
    pub(crate) fn sum(&self) -> u64 {
        match &self.place {
            Place::Process(word) => word.sum(),
            Place::Own {
                domain,
                arena,
                layout,
                index,
            } => {
                domain.tick();
                arena.0.sum(*layout, *index)
            }
        }
    }

    /// Takes what was added and not taken.
    pub(crate) fn take(&self) -> u64 {
        match &self.place {
            Place::Process(word) => word.take(),
            Place::Own {
                domain,
                arena,
                layout,
                index,
            } => {
                domain.tick();
                arena.0.take(*layout, *index)
            }
        }
    }
}

impl Drop for ScopedWord {
    fn drop(&mut self) {
        if let Place::Own {
            arena,
            layout,
            index,
            ..
        } = &self.place
        {
            arena.0.free(*layout, *index);
        }
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
