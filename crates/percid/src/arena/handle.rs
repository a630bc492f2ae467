//! Where something in the process's arena is, in four bytes, from its first use on.
//!
//! # The handle
//!
//! | bits | the word is | changed by |
//! | --- | --- | --- |
//! | 0 | nowhere yet | whoever gives it a place first |
//! | `0aaa…` (not 0) | at address `a << 3` of stripe 0 | sections, inline |
//! | `100i…` | word `i` of the arena | sections, out of line: stripe 0 is too high, or the ids are of a table |
//! | `101i…` | word `i` of the arena | the thread's stripe: no sections here |
//! | `110i…` | word `i` of the standby words | a shared atomic: no arena |
//!
//! So one signed comparison finds the fast case, and a process without sections
//! never reaches one. It keeps its place until it is dropped.

use core::sync::atomic::{AtomicU32, Ordering};

use percid_cid::{Source, backend};
use percid_rseq::Preserved;
use percid_rseq::section::WordAddress;

use super::layout::STRIPE_SHIFT;
use super::process::arena;
use super::{ArenaError, standby};

const KIND: u32 = 0b111 << 29;
const OUT_OF_LINE: u32 = 0b100 << 29;
const BY_THREAD: u32 = 0b101 << 29;
const STANDBY: u32 = 0b110 << 29;

type Layout = super::layout::Layout<STRIPE_SHIFT>;

/// The place of a word, or of the first of several, or nowhere yet.
pub(super) struct Handle(AtomicU32);

/// Where it is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Sections(Layout, u32),
    ByThread(Layout, u32),
    /// One word only.
    Standby(u32),
}

impl Handle {
    /// Nowhere yet.
    pub(super) const fn new() -> Handle {
        Handle(AtomicU32::new(0))
    }

    /// In the arena, now, used from a source.
    pub(super) fn try_new(words: u32, source: Source) -> Result<Handle, ArenaError> {
        let _errno = Preserved::new();
        Ok(Handle(AtomicU32::new(in_arena(words, source)?)))
    }

    /// Where sections reach it inline.
    // Ordering: Acquire pairs with the Release of `take_place`: who sees the handle
    // sees the pages that were opened for it.
    #[inline(always)]
    pub(super) fn in_sections(&self) -> Option<WordAddress> {
        let handle = self.0.load(Ordering::Acquire);
        (handle.cast_signed() > 0).then(|| WordAddress::from_eighth(handle as usize))
    }

    /// The same as a number, an eighth of the address; 0: nowhere inline.
    pub(super) fn eighth(&self) -> u32 {
        // Ordering: Acquire, as in `in_sections`.
        let handle = self.0.load(Ordering::Acquire);
        if handle.cast_signed() > 0 { handle } else { 0 }
    }

    /// Where it is by now.
    pub(super) fn place(&self) -> Option<Place> {
        // Ordering: Acquire, as in `in_sections`.
        decode(self.0.load(Ordering::Acquire))
    }

    /// The same for a word of threads without sections: all that their adds need to know,
    /// without a way through memory.
    #[inline(always)]
    pub(super) fn by_thread(&self) -> Option<(Layout, u32)> {
        // Ordering: Acquire, as in `in_sections`.
        let handle = self.0.load(Ordering::Acquire);
        (handle & KIND == BY_THREAD).then(|| (layout(), handle & !KIND))
    }

    /// Gives it a place, if nobody else has by now; `standby`: a single word may stand
    /// outside of the arena.
    ///
    /// # Errors
    ///
    /// If there is no memory, and no standby word either.
    pub(super) fn take_place(&self, words: u32, standby: bool) -> Result<Place, ArenaError> {
        let _errno = Preserved::new();
        let mine = in_arena(words, backend().source).or_else(|why| {
            let index = standby.then(standby::allocate).flatten();
            index.map(|index| STANDBY | index).ok_or(why)
        });
        let mine = match mine {
            Ok(mine) => mine,
            // Perhaps somebody else took the last one, for this.
            Err(why) => return self.place().ok_or(why),
        };
        // Ordering: Release pairs with the Acquire of every load of the handle.
        let placed = self
            .0
            .compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire);
        let handle = match placed {
            Ok(_) => mine,
            Err(first) => {
                match decode(mine) {
                    Some(Place::Sections(layout, index) | Place::ByThread(layout, index))
                        if words == 1 =>
                    {
                        arena().give_back_unused(layout, index);
                    }
                    _ => give_back(mine, words),
                }
                first
            }
        };
        Ok(decode(handle).expect("a handle that was just made or found is not 0"))
    }

    /// Gives the place back; the last user does.
    pub(super) fn leave(&mut self, words: u32) {
        give_back(*self.0.get_mut(), words);
    }
}

/// A handle to fresh words of the arena.
fn in_arena(words: u32, source: Source) -> Result<u32, ArenaError> {
    let (layout, index) = arena().allocate_run(words)?;
    Ok(match source {
        Source::MmCid if layout.low => layout.eighth(index),
        // The inline section is by mm_cid, which would be 0 for every thread where the
        // kernel keeps none.
        Source::MmCid | Source::Table => OUT_OF_LINE | index,
        _ => BY_THREAD | index,
    })
}

/// Where the arena is that a handle leads into.
#[inline(always)]
fn layout() -> Layout {
    arena()
        .layout()
        .expect("a handle into the arena comes after its reservation")
}

fn decode(handle: u32) -> Option<Place> {
    if handle == 0 {
        return None;
    }
    let index = handle & !KIND;
    if handle & KIND == STANDBY {
        return Some(Place::Standby(index));
    }
    let layout = layout();
    Some(match handle & KIND {
        OUT_OF_LINE => Place::Sections(layout, index),
        BY_THREAD => Place::ByThread(layout, index),
        _ => Place::Sections(layout, handle - layout.eighth(0)),
    })
}

fn give_back(handle: u32, words: u32) {
    match decode(handle) {
        None => {}
        Some(Place::Sections(layout, index) | Place::ByThread(layout, index)) => {
            arena().free_run(layout, index, words);
        }
        Some(Place::Standby(index)) => standby::free(index),
    }
}
