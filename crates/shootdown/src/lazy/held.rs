//! What a cell holds: an object, and the readers that have yet to count themselves in it.
//!
//! ```text
//! read     the cell += one reader outside; count += 1; the cell -= one reader outside, or,
//!          if the cell was changed, count -= 1
//! replace  old = swap the cell; count of old -= BIAS - readers outside
//! ```
//!
//! A reader that is counted in the cell is counted in by whoever takes the object out, in
//! the same read-modify-write that gives the cell's own count back: so a read never meets
//! a count of zero.

use core::marker::PhantomData;

use super::references::{BIAS, References, Rules, Sound};
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{self, Relaxed, Release};

/// What a cell holds: an object's name, and above it the readers that have counted
/// themselves here and not yet in the object.
pub(crate) struct Held<R = Sound>(AtomicU64, PhantomData<R>);

/// One reader that has counted itself outside. There are fewer than four million threads,
/// so the count ends in the word.
const OUTSIDE: u64 = 1 << (64 - READERS);

/// Bits of the count of readers.
pub(crate) const READERS: u32 = 22;

/// The name in a word.
#[inline(always)]
pub(crate) const fn name_in(word: u64) -> u64 {
    word & (OUTSIDE - 1)
}

/// What is given back of an object's count for a cell that held this: readers who are
/// counted outside are counted in, and `kept` references stay.
pub(crate) const fn given(word: u64, kept: u64) -> u64 {
    BIAS - (word >> (64 - READERS)) - kept
}

impl<R: Rules> Held<R> {
    pub(crate) fn new(name: u64) -> Held<R> {
        Held(AtomicU64::new(name), PhantomData)
    }

    /// With nobody counted outside it is the name.
    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    /// Counts the caller in what is held; what that is.
    pub(crate) fn count<'a>(&self, references: impl FnOnce(u64) -> &'a References<R>) -> u64 {
        // Ordering: AcqRel. Acquire for the object; Release orders nothing here, but keeps
        // the chain of read-modify-writes one that a store's Acquire synchronizes with.
        let word = self.0.fetch_add(OUTSIDE, R::COUNT_OUTSIDE);
        // Counted outside: whoever takes the object out of the cell counts this in before
        // it gives the cell's own count back, which is more than readers can owe.
        let count = &references(name_in(word)).count;
        count.fetch_add(1, Relaxed);
        let mut now = self.0.load(Relaxed);
        loop {
            if name_in(now) != name_in(word) || now < OUTSIDE {
                // Counted in by a store, so this is one too many. (If the object has come
                // back to the cell meanwhile, it is anybody's.) Never the last one.
                count.fetch_sub(1, Release);
                return name_in(word);
            }
            // Ordering: Release pairs with the Acquire of a store: it sees the count.
            let less = now - OUTSIDE;
            match self.0.compare_exchange_weak(now, less, R::COUNTED, Relaxed) {
                Ok(_) => return name_in(word),
                Err(other) => now = other,
            }
        }
    }

    /// Puts another there; what was there.
    // Ordering: AcqRel. Release publishes the object; Acquire pairs with readers that have
    // counted themselves.
    pub(crate) fn swap(&self, name: u64) -> u64 {
        self.0.swap(name, R::REPLACE)
    }

    /// Puts another there if it holds `current`; what was there.
    // Ordering: as `swap`.
    pub(crate) fn exchange(&self, current: u64, name: u64) -> Option<u64> {
        let mut now = self.0.load(Relaxed);
        while name_in(now) == current {
            match self.0.compare_exchange_weak(now, name, R::REPLACE, Relaxed) {
                Ok(old) => return Some(old),
                Err(other) => now = other,
            }
        }
        None
    }

    pub(crate) fn get_mut(&mut self) -> u64 {
        self.0.load(Relaxed)
    }
}
