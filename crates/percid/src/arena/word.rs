//! A word of the process's arena, in four bytes, with a place from its first use.
//!
//! # The handle
//!
//! | bits | the word is | added to by |
//! | --- | --- | --- |
//! | 0 | nowhere yet | whoever gives it a place first |
//! | `0aaa…` (not 0) | at address `a << 3` of stripe 0 | sections, inline |
//! | `100i…` | word `i` of the arena | sections, out of line: stripe 0 is too high, or the ids are of a table |
//! | `101i…` | word `i` of the arena | the thread's stripe: no sections here |
//! | `110i…` | word `i` of the standby words | a shared atomic: no arena |
//!
//! So one signed comparison finds the fast case, and a process without sections
//! never reaches one. A word keeps its place until it is dropped.

use core::sync::atomic::{AtomicU32, Ordering};

use percid_cid::{Source, backend};
use percid_rseq::section::{self, WordAddress};
use percid_rseq::{Preserved, portable};

use super::layout::STRIPE_SHIFT;
use super::process::{self, arena};
use super::{ArenaError, standby};

const KIND: u32 = 0b111 << 29;
const OUT_OF_LINE: u32 = 0b100 << 29;
const BY_THREAD: u32 = 0b101 << 29;
const STANDBY: u32 = 0b110 << 29;

/// A word in every stripe, or nowhere yet.
pub(crate) struct Word {
    handle: AtomicU32,
}

type Layout = super::layout::Layout<STRIPE_SHIFT>;

/// Where a word is.
#[derive(Clone, Copy)]
enum Place {
    Sections(Layout, u32),
    ByThread(Layout, u32),
    Standby(u32),
}

impl Word {
    /// Nowhere yet.
    pub(crate) const fn new() -> Word {
        Word {
            handle: AtomicU32::new(0),
        }
    }

    /// In the arena, now.
    pub(crate) fn try_new() -> Result<Word, ArenaError> {
        let _errno = Preserved::new();
        Ok(Word {
            handle: AtomicU32::new(in_arena(backend().source)?),
        })
    }

    /// In the arena, now, and on the stripes of threads whatever works here.
    pub(crate) fn try_on_fallback() -> Result<Word, ArenaError> {
        let _errno = Preserved::new();
        Ok(Word {
            handle: AtomicU32::new(in_arena(Source::Thread)?),
        })
    }

    // Ordering: Acquire pairs with the Release of `place`: who sees the handle
    // sees the pages that were opened for it.
    #[inline(always)]
    fn in_sections(&self) -> Option<WordAddress> {
        let handle = self.handle.load(Ordering::Acquire);
        (handle.cast_signed() > 0).then(|| WordAddress::from_eighth(handle as usize))
    }

    /// Adds 1.
    #[inline]
    pub(crate) fn increment(&self) {
        if let Some(word) = self.in_sections() {
            let index = process::index();
            // SAFETY: an allocated word; stripes below the limit are open up to
            // it, are never closed, and change by sections only.
            if unsafe { section::increment::<_, STRIPE_SHIFT>(index, word) }.is_ok() {
                return;
            }
        }
        self.add_slow(1);
    }

    /// Adds `n`, wrapping.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        if let Some(word) = self.in_sections() {
            let index = process::index();
            // SAFETY: as in `increment`.
            if unsafe { section::add::<_, STRIPE_SHIFT>(index, word, n) }.is_ok() {
                return;
            }
        }
        self.add_slow(n);
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) {
        match self.place().unwrap_or_else(|| self.take_place()) {
            Place::Sections(layout, index) => process::add(layout, index, n),
            Place::ByThread(layout, index) => arena().add_by_thread(layout, index, n),
            Place::Standby(index) => portable::add(standby::word(index), n),
        }
    }

    /// What was added and not taken; racy while others add.
    pub(crate) fn sum(&self) -> u64 {
        match self.place() {
            None => 0,
            Some(Place::Sections(layout, index) | Place::ByThread(layout, index)) => {
                arena().sum(layout, index)
            }
            Some(Place::Standby(index)) => portable::load(standby::word(index)),
        }
    }

    /// Takes what was added and not taken.
    pub(crate) fn take(&self) -> u64 {
        match self.place() {
            None => 0,
            Some(Place::Sections(layout, index) | Place::ByThread(layout, index)) => {
                arena().take(layout, index)
            }
            // Ordering: AcqRel. What a taker sees, the next one builds on; the
            // word is changed by read-modify-writes only, so it may be swapped.
            Some(Place::Standby(index)) => standby::word(index).swap(0, Ordering::AcqRel),
        }
    }

    fn place(&self) -> Option<Place> {
        // Ordering: Acquire, as in `in_sections`.
        decode(self.handle.load(Ordering::Acquire))
    }

    /// Gives the word its place, if nobody else has by now.
    fn take_place(&self) -> Place {
        let _errno = Preserved::new();
        let mine = in_arena(backend().source).unwrap_or_else(|why| {
            let Some(index) = standby::allocate() else {
                panic!("no memory to count in: {why}, and all standby words are in use");
            };
            STANDBY | index
        });
        // Ordering: Release pairs with the Acquire of every load of the handle.
        let placed = self
            .handle
            .compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire);
        match placed {
            Ok(_) => decode(mine),
            Err(first) => {
                match decode(mine) {
                    Some(Place::Sections(layout, index) | Place::ByThread(layout, index)) => {
                        arena().give_back_unused(layout, index);
                    }
                    _ => give_back(mine),
                }
                decode(first)
            }
        }
        .expect("a handle that was just made or found is not 0")
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        give_back(*self.handle.get_mut());
    }
}

/// A handle to a fresh word of the arena.
fn in_arena(source: Source) -> Result<u32, ArenaError> {
    let (layout, index) = arena().allocate()?;
    Ok(match source {
        Source::MmCid if layout.low => layout.eighth(index),
        // The inline section is by mm_cid, which would be 0 for every thread where the
        // kernel keeps none.
        Source::MmCid | Source::Table => OUT_OF_LINE | index,
        _ => BY_THREAD | index,
    })
}

fn decode(handle: u32) -> Option<Place> {
    if handle == 0 {
        return None;
    }
    let index = handle & !KIND;
    if handle & KIND == STANDBY {
        return Some(Place::Standby(index));
    }
    let layout = arena()
        .layout()
        .expect("a handle into the arena comes after its reservation");
    Some(match handle & KIND {
        OUT_OF_LINE => Place::Sections(layout, index),
        BY_THREAD => Place::ByThread(layout, index),
        _ => Place::Sections(layout, handle - layout.eighth(0)),
    })
}

fn give_back(handle: u32) {
    match decode(handle) {
        None => {}
        Some(Place::Sections(layout, index) | Place::ByThread(layout, index)) => {
            arena().free(layout, index);
        }
        Some(Place::Standby(index)) => standby::free(index),
    }
}
