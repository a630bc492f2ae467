//! How much is retired before a grace period begins.
//!
//! Each costs a fence, which the whole process pays for. So a domain asks how long ago the
//! last one began: less than [`SHORT`], and the next waits for twice as much; more than
//! [`LONG`], for half as much, down to every single object. At the most a bag is filled, of
//! about a thousand objects: with bags of half the size two threads that only replace took a
//! fifth longer, for the fences; what gathers behind the lock costs more than they do.

use core::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::stripe::CAPACITY;
use crate::fork_lock::ForkLock;

const SHORT: Duration = Duration::from_micros(250);
const LONG: Duration = Duration::from_millis(4);

/// The smallest batch that is one; below it every object begins a grace period.
const LEAST: u32 = 16;

/// The largest.
const MOST: u32 = CAPACITY;

const _: () = assert!(LEAST <= MOST);

pub(super) struct Pace {
    /// Words to gather in a bag.
    batch: AtomicU32,
    /// When it was set last.
    last: ForkLock<Option<Instant>>,
}

impl Pace {
    pub(super) const fn new() -> Pace {
        Pace {
            batch: AtomicU32::new(0),
            last: ForkLock::new(None),
        }
    }

    /// Words that may be put in a bag now.
    // Ordering: Relaxed, here and below: numbers to be patient by.
    #[inline(always)]
    pub(super) fn capacity(&self) -> u32 {
        self.batch.load(Ordering::Relaxed)
    }

    /// A bag is full, so that a grace period begins, or is looked after: sets the pace,
    /// unless another thread is about to.
    pub(super) fn note(&self) {
        let Some(mut last) = self.last.try_lock() else {
            return;
        };
        let now = Instant::now();
        let past = last.map_or(Duration::MAX, |last| now.duration_since(last));
        let batch = self.batch.load(Ordering::Relaxed);
        self.batch.store(next(batch, past), Ordering::Relaxed);
        *last = Some(now);
    }
}

/// The batch that follows, if the last one took so long.
fn next(batch: u32, past: Duration) -> u32 {
    match batch {
        _ if past < SHORT => (2 * batch).clamp(LEAST, MOST),
        ..=LEAST if past > LONG => 0,
        _ if past > LONG => batch / 4 * 2,
        _ => batch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_with_the_rate_and_shrink_with_it() {
        let mut batch = 0;
        for _ in 0..100 {
            let grown = next(batch, SHORT / 2);
            assert!(grown > batch || grown == MOST);
            assert!(grown.is_multiple_of(2));
            assert_eq!(next(grown, LONG), grown);
            batch = grown;
        }
        for _ in 0..100 {
            let shrunk = next(batch, LONG * 2);
            assert!(shrunk < batch || shrunk == 0);
            assert!(shrunk.is_multiple_of(2));
            batch = shrunk;
        }
        assert_eq!(batch, 0);
    }

    /// A child of `fork` may find that a thread, which it does not have, was at it.
    #[test]
    fn the_pace_is_set_again_in_a_child() {
        let pace = Pace::new();
        pace.last.hold_as_an_ancestor();
        pace.note();
        pace.note();
        assert_eq!(pace.capacity(), LEAST);
    }
}
