//! Magazines and their depot: the fast half.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::portable;

use super::control::Control;
use super::depot::Depot;
use super::stripe::{self, Magazine, Pop, Push, Way};
use crate::room::Room;
use crate::scope::{Process, Scope};

/// The most that a magazine may hold: its room is a power of two words.
pub(crate) const LARGEST: u32 = 1024 - stripe::BESIDE as u32;

/// Where words come from, and go to, when magazines and depot cannot help.
pub(crate) trait Source {
    /// Words that were kept, or new ones; how many. `grow`: whether memory may be asked for.
    fn fresh(&self, room: &mut [u64], grow: bool) -> usize;

    /// A word that has no place anywhere.
    fn keep(&self, word: u64);

    /// A word that goes to the depot, for another cid perhaps. It is the caller's.
    fn hand_on(&self, _: u64) {}
}

/// Words, cached per cid.
pub(crate) struct Magazines<S: Scope = Process> {
    pub(super) room: Room<S>,
    /// What a magazine may hold at first, and at the most.
    pub(super) least: AtomicU32,
    pub(super) most: AtomicU32,
    pub(super) depot: Depot,
    pub(super) control: Control,
    /// When cached words were last taken from other cids for want of new ones.
    pub(super) stolen_at: AtomicU64,
    /// When idle cids were last looked for.
    pub(super) swept_at: AtomicU64,
}

impl Magazines {
    /// For a `static`. `most` is at most [`LARGEST`]; 0: nothing is cached.
    pub(crate) const fn new(least: u32, most: u32) -> Magazines {
        assert!(least <= most && most <= LARGEST);
        Magazines::in_room(Room::new(words(most)), least, most)
    }
}

/// Words of a room with magazines that may hold so many.
pub(crate) const fn words(most: u32) -> u32 {
    most + stripe::BESIDE as u32
}

impl<S: Scope> Magazines<S> {
    /// In a room of [`words`] words.
    pub(crate) const fn in_room(room: Room<S>, least: u32, most: u32) -> Magazines<S> {
        Magazines {
            room,
            least: AtomicU32::new(least),
            most: AtomicU32::new(most),
            depot: Depot::new(),
            control: Control::new(),
            stolen_at: AtomicU64::new(0),
            swept_at: AtomicU64::new(0),
        }
    }

    /// Pops a word of the current cid's magazine, in one section. `None`: go on with
    /// [`pop_by_thread`](Self::pop_by_thread).
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<u64> {
        // SAFETY: a gated stack at its place; no gate says more than there are words, and
        // what changes it otherwise keeps the rules of this module.
        unsafe { self.room.run_once(&Pop) }.ok()
    }

    /// Pushes a word to the current cid's magazine, in one section. `false`: go on with
    /// [`push_by_thread`](Self::push_by_thread).
    #[inline(always)]
    pub(crate) fn push(&self, word: u64) -> bool {
        // SAFETY: as in `pop`.
        unsafe { self.room.run_once(&Push(word)) }.is_ok()
    }

    /// Pops a word of the thread's magazine, where there are no sections. `None`: go on with
    /// [`pop_out_of_line`](Self::pop_out_of_line).
    #[inline(always)]
    pub(crate) fn pop_by_thread(&self) -> Option<u64> {
        let it = Magazine::of(self.room.by_thread()?);
        // SAFETY: as in `pop`.
        unsafe { portable::gated_pop(it.header()) }.ok()
    }

    /// As [`pop_by_thread`](Self::pop_by_thread), for a push. `false`: go on with
    /// [`push_out_of_line`](Self::push_out_of_line).
    #[inline(always)]
    pub(crate) fn push_by_thread(&self, word: u64) -> bool {
        self.room.by_thread().is_some_and(|stripe| {
            // SAFETY: as in `pop`.
            unsafe { portable::gated_push(Magazine::of(stripe).header(), word) }.is_ok()
        })
    }

    /// Pops a word of the magazine where that was not to be had at once: it was in use, or
    /// the section was aborted, or sections are out of line here. `None`: a miss, for
    /// [`pop_slow`](Self::pop_slow).
    pub(crate) fn pop_out_of_line(&self) -> Option<u64> {
        self.nearest().pop().ok()
    }

    /// As [`pop_out_of_line`](Self::pop_out_of_line), for a push. `false`: a miss, for
    /// [`push_slow`](Self::push_slow).
    pub(crate) fn push_out_of_line(&self, word: u64) -> bool {
        self.nearest().push(word).is_ok()
    }

    /// Pops words of the magazine, all at once; how many.
    pub(crate) fn pop_batch(&self, room: &mut [u64]) -> usize {
        // SAFETY: a slice.
        let popped = unsafe {
            self.nearest()
                .pop_batch(room.as_mut_ptr(), room.len() as u32)
        };
        popped as usize
    }

    /// Pushes words to the magazine, all at once; how many.
    pub(crate) fn push_batch(&self, words: &[u64]) -> usize {
        // SAFETY: a slice.
        let pushed = unsafe {
            self.nearest()
                .push_batch(words.as_ptr(), words.len() as u32)
        };
        pushed as usize
    }

    /// By sections, unless it is known that there are none.
    #[inline(always)]
    pub(super) fn nearest(&self) -> Way<'_, S> {
        match self.room.by_thread() {
            Some(stripe) => Way::Thread(Magazine::of(stripe)),
            None => Way::Section(&self.room),
        }
    }

    /// Which word of the room a control word is.
    pub(super) fn control_word(&self, which: usize) -> usize {
        self.room.len() as usize - stripe::CONTROL + which
    }

    // Ordering: Relaxed, both. Gates are only ever compared with them.
    pub(super) fn least(&self) -> u32 {
        self.least.load(Ordering::Relaxed).min(self.most())
    }

    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }
}
