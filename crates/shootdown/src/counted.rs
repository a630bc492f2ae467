//! Readers that count themselves: threads without sections, and those that find no seat.
//!
//! The protocol is `domain::grace`'s, in atomics alone, so that loom checks it.

use crate::sync::atomic::{AtomicU64, Ordering, fence};

/// Raises the count of the phase, and returns it: the caller is inside.
// Ordering: Acquire pairs with the choice of the phase: this reader sees what was unlinked
// before it. The fence pairs with the one after the choice: either this sees the choice, or
// whoever chose sees the count.
pub(crate) fn raise<'a>(
    phase: &AtomicU64,
    count_of: impl Fn(u64) -> &'a AtomicU64,
) -> &'a AtomicU64 {
    loop {
        let seen = phase.load(Ordering::Acquire);
        let count = count_of(seen);
        count.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if phase.load(Ordering::Acquire) == seen {
            return count;
        }
        // Again as often as grace periods begin at this very moment.
        lower(count);
    }
}

/// Leaves.
// Ordering: Release pairs with `is_left`: what was read has been read.
#[inline]
pub(crate) fn lower(count: &AtomicU64) {
    count.fetch_sub(1, Ordering::Release);
}

/// Whether nobody is inside who was when the phase was chosen.
#[inline]
pub(crate) fn is_left(count: &AtomicU64) -> bool {
    count.load(Ordering::Acquire) == 0
}
