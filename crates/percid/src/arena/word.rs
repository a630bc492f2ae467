//! A word of the process's arena, in four bytes, with a place from its first use.

use core::sync::atomic::Ordering;

use percid_cid::{Source, backend};
use percid_rseq::{portable, section};

use super::handle::{Handle, Place};
use super::layout::STRIPE_SHIFT;
use super::operation::Add;
use super::process::{self, arena};
use super::{ArenaError, standby};

/// A word in every stripe, or nowhere yet.
pub(crate) struct Word {
    handle: Handle,
}

impl Word {
    /// Nowhere yet.
    pub(crate) const fn new() -> Word {
        Word {
            handle: Handle::new(),
        }
    }

    /// In the arena, now.
    pub(crate) fn try_new() -> Result<Word, ArenaError> {
        Ok(Word {
            handle: Handle::try_new(1, backend().source)?,
        })
    }

    /// In the arena, now, and on the stripes of threads whatever works here.
    pub(crate) fn try_on_fallback() -> Result<Word, ArenaError> {
        Ok(Word {
            handle: Handle::try_new(1, Source::Thread)?,
        })
    }

    /// Adds 1.
    #[inline]
    pub(crate) fn increment(&self) {
        section::anchor();
        if let Some(word) = self.handle.in_sections() {
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
        section::anchor();
        if let Some(word) = self.handle.in_sections() {
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
        // Not slow, where there are no sections.
        if let Some((layout, index)) = self.handle.by_thread() {
            return arena().add_by_thread(layout, index, n);
        }
        match self.place_now() {
            Place::Sections(layout, index) => {
                // SAFETY: as in `increment`.
                let added = unsafe { process::run(layout, index, &Add(n)) };
                if added.is_err() {
                    arena().add_by_thread(layout, index, n);
                }
            }
            Place::ByThread(layout, index) => arena().add_by_thread(layout, index, n),
            Place::Standby(index) => portable::add(standby::word(index), n),
        }
    }

    /// Where it is, from now on at the latest.
    fn place_now(&self) -> Place {
        if let Some(place) = self.handle.place() {
            return place;
        }
        match self.handle.take_place(1, true) {
            Ok(place) => place,
            Err(why) => panic!("no memory to count in: {why}, and all standby words are in use"),
        }
    }

    /// What was added and not taken; racy while others add.
    pub(crate) fn sum(&self) -> u64 {
        match self.handle.place() {
            None => 0,
            Some(Place::Sections(layout, index) | Place::ByThread(layout, index)) => {
                arena().sum(layout, index)
            }
            Some(Place::Standby(index)) => portable::load(standby::word(index)),
        }
    }

    /// Leaves a value as what was added and not taken.
    pub(crate) fn set(&self, value: u64) {
        match self.place_now() {
            Place::Sections(layout, index) | Place::ByThread(layout, index) => {
                arena().set(layout, index, value);
            }
            // Ordering: AcqRel, as in `take`.
            Place::Standby(index) => drop(standby::word(index).swap(value, Ordering::AcqRel)),
        }
    }

    /// Takes what was added and not taken.
    pub(crate) fn take(&self) -> u64 {
        match self.handle.place() {
            None => 0,
            Some(Place::Sections(layout, index) | Place::ByThread(layout, index)) => {
                arena().take(layout, index)
            }
            // Ordering: AcqRel. What a taker sees, the next one builds on; the
            // word is changed by read-modify-writes only, so it may be swapped.
            Some(Place::Standby(index)) => standby::word(index).swap(0, Ordering::AcqRel),
        }
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        self.handle.leave(1);
    }
}
