//! Draining a counter that others keep adding to.
//!
//! # Algorithm
//!
//! The words of a counter are never zeroed while it lives: somebody may be adding
//! to them with plain stores. Instead `taken` remembers how much was handed out.
//! A take reads `taken`, then the words, and exchanges `taken` for their sum; the
//! difference is its share. Every word only grows, and a take that succeeds read
//! each of them after the one before it did, so shares are never negative and add
//! up to the sum that the last one saw: each unit is handed out exactly once. All
//! arithmetic wraps at 2^64.
//!
//! No lock: a take that loses starts again, and somebody else has won then.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Hands out what `sum` has grown since the last take.
// Ordering: Acquire on `taken` before the words are read, Release after: a take
// that sees the one before it also sees every word at least as grown as that one
// saw it. Without them the words may read older than `taken`, and the share wraps
// to almost 2^64.
pub(crate) fn take(taken: &AtomicU64, sum: impl Fn() -> u64) -> u64 {
    let mut before = taken.load(Ordering::Acquire);
    loop {
        let now = sum();
        match taken.compare_exchange(before, now, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return now.wrapping_sub(before),
            Err(other) => before = other,
        }
    }
}

/// Leaves a value: what the words sum to beyond it counts as taken.
// Ordering: as `take`.
pub(crate) fn set(taken: &AtomicU64, sum: impl Fn() -> u64, value: u64) {
    let mut before = taken.load(Ordering::Acquire);
    loop {
        let beyond = sum().wrapping_sub(value);
        match taken.compare_exchange(before, beyond, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(other) => before = other,
        }
    }
}

/// What was added and not taken.
// Ordering: Acquire, as in `take`: `taken` first, then the words, so that the
// words are never older and the difference never wraps.
pub(crate) fn untaken(taken: &AtomicU64, sum: impl Fn() -> u64) -> u64 {
    let before = taken.load(Ordering::Acquire);
    sum().wrapping_sub(before)
}
