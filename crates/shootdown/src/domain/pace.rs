//! How much is retired before a grace period begins.
//!
//! Each costs a fence, which the whole process pays for. So a domain asks how long ago the
//! last one began: less than [`SHORT`], and the next waits for twice as much; more than
//! [`LONG`], for half as much, down to every single object. At the most a bag is filled, of
//! about a thousand objects: with bags of half the size two threads that only replace took a
//! fifth longer, for the fences; what gathers behind the lock costs more than they do.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::stripe::CAPACITY;

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
    /// When the last grace period of this pace began, in nanoseconds since some moment.
    last: AtomicU64,
}

impl Pace {
    pub(super) const fn new() -> Pace {
        Pace {
            batch: AtomicU32::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// Words that may be put in a bag now.
    // Ordering: Relaxed, here and below: numbers to be patient by.
    #[inline(always)]
    pub(super) fn capacity(&self) -> u32 {
        self.batch.load(Ordering::Relaxed)
    }

    /// A bag is full, so that a grace period begins, or is looked after: sets the pace.
    pub(super) fn note(&self) {
        let batch = self.batch.load(Ordering::Relaxed);
        let now = nanoseconds();
        let past = Duration::from_nanos(now.saturating_sub(self.last.load(Ordering::Relaxed)));
        let next = next(batch, past);
        self.batch.store(next, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
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

fn nanoseconds() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
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
}
