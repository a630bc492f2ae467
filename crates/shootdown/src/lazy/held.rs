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
//!
//! What nobody but the cell has ever had a reference to is freed without a look at it: the
//! word says so. Who puts an object there knows whether it is alone; who gets a reference
//! by the cell counts itself in the word before, and leaves a trace there. A slot that has
//! the object was filled by one of these.

use core::marker::PhantomData;

use super::references::{BIAS, References, Rules, Sound};
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{self, Relaxed, Release};

/// What a cell holds, in a word:
///
/// | bits | |
/// | --- | --- |
/// | 0 to 41 | an object's name |
/// | 42 to 62 | readers that have counted themselves here and not yet in the object |
/// | 63 | the object has been lent out: somebody but the cell may have a reference |
pub(crate) struct Held<R = Sound>(AtomicU64, PhantomData<R>);

/// One reader that has counted itself outside.
const OUTSIDE: u64 = 1 << 42;

/// So many readers outside at the same instant are too many. The count ends in its bits
/// as long as not as many threads more come before the first of these has said so.
const TOO_MANY: u64 = 1 << 20;

const LENT: u64 = 1 << 63;

/// The name in a word.
#[inline(always)]
pub(crate) const fn name_in(word: u64) -> u64 {
    word & (OUTSIDE - 1)
}

const fn readers_in(word: u64) -> u64 {
    (word & !LENT) / OUTSIDE
}

/// Whether somebody but the cell may have a reference to what it held. Otherwise nobody
/// ever had one: whoever gets one counts itself in the word first, or had it before.
pub(crate) const fn is_lent(word: u64) -> bool {
    word >= OUTSIDE
}

/// What is given back of an object's count for a cell that held this: readers who are
/// counted outside are counted in, and `kept` references stay.
pub(crate) const fn given(word: u64, kept: u64) -> u64 {
    BIAS - readers_in(word) - kept
}

/// A cell's word for an object; whether nobody but the cell has had it.
pub(crate) fn word<R: Rules>(name: u64, alone: bool) -> u64 {
    match alone || !R::SHOWS_LENT {
        true => name,
        false => name | LENT,
    }
}

impl<R: Rules> Held<R> {
    pub(crate) fn new(word: u64) -> Held<R> {
        Held(AtomicU64::new(word), PhantomData)
    }

    /// What is held. With nobody counted outside it is the name but for the top bit.
    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    /// Counts the caller in what is held; what that is.
    pub(crate) fn count<'a>(&self, references: impl FnOnce(u64) -> &'a References<R>) -> u64 {
        // Ordering: AcqRel. Acquire for the object; Release orders nothing here, but keeps
        // the chain of read-modify-writes one that a store's Acquire synchronizes with.
        let word = self.0.fetch_add(OUTSIDE, R::COUNT_OUTSIDE);
        if readers_in(word) >= TOO_MANY {
            std::process::abort();
        }
        // Counted outside: whoever takes the object out of the cell counts this in before
        // it gives the cell's own count back, which is more than readers can owe.
        let count = &references(name_in(word)).count;
        count.fetch_add(1, Relaxed);
        let mut now = self.0.load(Relaxed);
        loop {
            if name_in(now) != name_in(word) || readers_in(now) == 0 {
                // Counted in by a store, so this is one too many. (If the object has come
                // back to the cell meanwhile, it is anybody's.) Never the last one.
                count.fetch_sub(1, Release);
                return name_in(word);
            }
            // Ordering: Release pairs with the Acquire of a store: it sees the count.
            let lent = if R::LENDS { LENT } else { 0 };
            let less = (now - OUTSIDE) | lent;
            match self.0.compare_exchange_weak(now, less, R::COUNTED, Relaxed) {
                Ok(_) => return name_in(word),
                Err(other) => now = other,
            }
        }
    }

    /// Puts another there; what was there.
    // Ordering: AcqRel. Release publishes the object; Acquire pairs with readers that have
    // counted themselves.
    pub(crate) fn swap(&self, word: u64) -> u64 {
        self.0.swap(word, R::REPLACE)
    }

    /// Puts another there if it holds `current`; what was there.
    // Ordering: as `swap`.
    pub(crate) fn exchange(&self, current: u64, word: u64) -> Option<u64> {
        let mut now = self.0.load(Relaxed);
        while name_in(now) == current {
            match self.0.compare_exchange_weak(now, word, R::REPLACE, Relaxed) {
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
