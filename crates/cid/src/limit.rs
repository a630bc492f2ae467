//! The limit: how many stripes may be touched.
//!
//! # Algorithm
//!
//! Two numbers that only grow. A stripe is first *announced*, then its memory is
//! prepared, then it is *published*; sections compare their cid with the
//! published number, so they never touch memory that is not ready.
//!
//! The announcement lets two independent growers meet. Stripes grow in number,
//! and each grows in length, without a lock:
//!
//! ```text
//! activates a stripe                      lengthens all stripes
//!   stripes.announce(s + 1)                 length.announce(n)
//!   n = length.announced()                  s = stripes.announced()
//!   open stripes 0..=s up to n              open stripes 0..s up to n
//!   stripes.publish(s + 1)                  length.publish(n)
//! ```
//!
//! At least one of the two sees the other's announcement (Dekker), and does the
//! other's work too: every stripe below the published number is open up to the
//! published length. Opening twice is harmless. Nobody waits for anybody, so the
//! growers may run in signal handlers, and one that dies in between leaves nothing
//! locked. The arena's loom tests check all interleavings.

use crate::sync::atomic::{AtomicU32, Ordering, fence};

/// How much of something that only grows is announced and published.
///
/// ```
/// let limit = percid_cid::Limit::new();
/// limit.announce(3);
/// assert_eq!((limit.announced(), limit.get()), (3, 0));
/// // ... make the memory of stripes 0 to 2 ready ...
/// limit.publish(3);
/// assert_eq!(limit.get(), 3);
/// ```
#[derive(Debug)]
pub struct Limit {
    announced: AtomicU32,
    published: AtomicU32,
}

impl Limit {
    /// Nothing announced, nothing published.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Limit {
        Limit {
            announced: AtomicU32::new(0),
            published: AtomicU32::new(0),
        }
    }

    /// Nothing announced, nothing published.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Limit {
        Limit {
            announced: AtomicU32::new(0),
            published: AtomicU32::new(0),
        }
    }

    /// What may be touched.
    // Ordering: Acquire pairs with the Release of `publish`, so whoever sees the
    // number sees the memory that was made ready before it.
    #[inline]
    pub fn get(&self) -> u32 {
        self.published.load(Ordering::Acquire)
    }

    /// What somebody is making ready, or has.
    // Ordering: Relaxed; the fence in `announce` is what decides.
    #[inline]
    pub fn announced(&self) -> u32 {
        self.announced.load(Ordering::Relaxed)
    }

    /// Says that everything below `to` is being made ready.
    // Ordering: the fence pairs with the one in `announce` of the other of two
    // limits, whose `announced` is loaded next: store mine, fence, load yours, on
    // both sides. Without it both loads may return the old numbers, and a stripe
    // is published that is too short.
    pub fn announce(&self, to: u32) {
        self.announced.fetch_max(to, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that everything below `to` is ready.
    // Ordering: Release pairs with `get`, and with the acquiring load in sections: plain
    // on x86, `ldar` on aarch64.
    pub fn publish(&self, to: u32) {
        self.published.fetch_max(to, Ordering::Release);
    }

    /// The published number, for a section to compare with.
    #[cfg(not(loom))]
    #[inline]
    #[must_use]
    pub const fn as_atomic(&self) -> &AtomicU32 {
        &self.published
    }
}

impl Default for Limit {
    fn default() -> Limit {
        Limit::new()
    }
}
