//! Delay points and abort counts, in test builds (`--cfg percid_inject`) only.
//!
//! Each section spins at three points for as many rounds as [`set_delay`] says,
//! so that timers, signals and migrations land inside it. So does an operation of the
//! portable body that claims its word.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Number of delay points: 1 after the start, 2 with the cid loaded or the word
/// claimed, 3 before the commit.
pub const POINTS: usize = 3;

/// The rounds of each point; number 0 is not a point: sections disarm themselves
/// while it is set.
pub(crate) static DELAYS: [AtomicU32; POINTS + 1] = [const { AtomicU32::new(0) }; POINTS + 1];

static ABORTS: AtomicU64 = AtomicU64::new(0);

/// Makes every section spin for `rounds` at `point` from now on.
///
/// # Panics
///
/// If there is no such point.
pub fn set_delay(point: usize, rounds: u32) {
    assert!(
        (1..=POINTS).contains(&point),
        "points are numbered 1 to {POINTS}"
    );
    DELAYS[point].store(rounds, Ordering::Relaxed);
}

/// Takes the protection away from all sections from now on, or gives it back: the
/// negative control of tests that claim to depend on it.
pub fn disarm(disarmed: bool) {
    DELAYS[0].store(u32::from(disarmed), Ordering::Relaxed);
}

/// How often sections of this process were aborted, or operations of the portable body
/// refused for a claim.
#[must_use]
pub fn aborts() -> u64 {
    ABORTS.load(Ordering::Relaxed)
}

pub(crate) fn count_abort() {
    ABORTS.fetch_add(1, Ordering::Relaxed);
}

/// Spins at a point, where there is no assembly to do it.
pub(crate) fn spin(point: usize) {
    for round in 0..DELAYS[point].load(Ordering::Relaxed) {
        core::hint::black_box(round);
    }
}

/// Whether the protection is taken away.
pub(crate) fn is_disarmed() -> bool {
    DELAYS[0].load(Ordering::Relaxed) != 0
}
