//! Time, as exactly as decay needs it.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// Nanoseconds on a clock that is cheap to read.
#[cfg(unix)]
pub(crate) fn now() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid place for the answer.
    unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds since the first call.
#[cfg(not(unix))]
pub(crate) fn now() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START
        .get_or_init(std::time::Instant::now)
        .elapsed()
        .as_nanos() as u64
}

/// Whether so much time has passed since.
// Ordering: Relaxed. A number.
pub(crate) fn is_over(since: &AtomicU64, period: Duration) -> bool {
    u128::from(now().saturating_sub(since.load(Ordering::Relaxed))) >= period.as_nanos()
}
