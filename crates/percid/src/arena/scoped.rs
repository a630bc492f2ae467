//! The arena of a domain, and a word of it.
//!
//! The domain owns its arena, as memory under its limit; a word owns its domain. So the
//! arena goes when the last word and the last handle have gone.

use std::sync::{Arc, Mutex, PoisonError};

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

/// The arena of a domain, made if there is none.
fn arena_of(domain: &Domain) -> Result<Arc<Inside>, ArenaError> {
    /// Held while one is made, so that there is one.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let attached = || {
        domain
            .attached::<DomainArena>()
            .map(|arena| Arc::clone(&arena.0))
    };
    if let Some(arena) = attached() {
        return Ok(arena);
    }
    let inside = Inside(Arena::new(false));
    inside.0.reserve()?;
    domain
        .attach(Arc::new(DomainArena(Arc::new(inside))))
        .map_err(|why| match why {
            AttachError::NoMemory(os_error) => ArenaError::NoMemory { os_error },
            _ => ArenaError::NoPlace,
        })?;
    attached().ok_or(ArenaError::NoPlace)
}

/// A word in every stripe of a domain.
pub(crate) enum ScopedWord {
    /// The domain is the process's.
    Process(Word),
    Own(Own),
}

/// A word of a domain's own arena.
pub(crate) struct Own {
    domain: Domain,
    arena: Arc<Inside>,
    layout: Layout<DOMAIN_SHIFT>,
    index: u32,
    /// The word's address in stripe 0.
    first: WordAddress,
    sections: bool,
}

impl ScopedWord {
    pub(crate) fn new(domain: &Domain) -> Result<ScopedWord, ArenaError> {
        if domain.is(&Domain::process()) {
            return Word::try_new().map(ScopedWord::Process);
        }
        let arena = arena_of(domain)?;
        let (layout, index) = arena.0.allocate()?;
        Ok(ScopedWord::Own(Own {
            first: layout.first(index),
            sections: domain.source() == Source::Table,
            domain: domain.clone(),
            arena,
            layout,
            index,
        }))
    }

    /// Adds 1.
    #[inline]
    pub(crate) fn increment(&self) {
        match self {
            ScopedWord::Process(word) => word.increment(),
            ScopedWord::Own(word) => {
                let added = word.index().is_some_and(|index| {
                    // SAFETY: an allocated word; the domain opens stripes below its
                    // limit, which are closed with the last word only, and change by
                    // sections only.
                    unsafe { section::increment::<_, DOMAIN_SHIFT>(index, word.first) }.is_ok()
                });
                if !added {
                    word.add_slow(1);
                }
            }
        }
    }

    /// Adds `n`, wrapping.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        match self {
            ScopedWord::Process(word) => word.add(n),
            ScopedWord::Own(word) => {
                let added = word.index().is_some_and(|index| {
                    // SAFETY: as in `increment`.
                    unsafe { section::add::<_, DOMAIN_SHIFT>(index, word.first, n) }.is_ok()
                });
                if !added {
                    word.add_slow(n);
                }
            }
        }
    }

    /// What was added and not taken; racy while others add.
    pub(crate) fn sum(&self) -> u64 {
        match self {
            ScopedWord::Process(word) => word.sum(),
            ScopedWord::Own(word) => {
                word.domain.tick();
                word.arena.0.sum(word.layout, word.index)
            }
        }
    }

    /// Takes what was added and not taken.
    pub(crate) fn take(&self) -> u64 {
        match self {
            ScopedWord::Process(word) => word.take(),
            ScopedWord::Own(word) => {
                word.domain.tick();
                word.arena.0.take(word.layout, word.index)
            }
        }
    }
}

impl Own {
    #[inline(always)]
    fn index(&self) -> Option<Table<'_>> {
        self.domain.index()
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) {
        let added = self.sections
            && admitted(&self.domain, |index| {
                // SAFETY: as in `increment`.
                unsafe { section::add::<_, DOMAIN_SHIFT>(index, self.first, n) }
            })
            .is_some();
        if !added {
            self.arena.0.add_by_thread(self.layout, self.index, n);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.arena.0.free(self.layout, self.index);
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
