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
    // Where the kernel's own code for it is missing, and a filter refuses the call.
    let _errno = percid_rseq::Preserved::new();
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

/// How far a clock may be behind what another thread has read of it.
const BEHIND: u64 = 1_000_000_000;

/// Whether so much time has passed since; also if the clock went back, as that of a process may
/// that is restored from an image, so that nothing waits until it has caught up.
// Ordering: Relaxed. A number.
pub(crate) fn is_over(since: &AtomicU64, period: Duration) -> bool {
    is_over_at(now(), since.load(Ordering::Relaxed), period)
}

fn is_over_at(now: u64, since: u64, period: Duration) -> bool {
    u128::from(now.saturating_sub(since)) >= period.as_nanos() || since.saturating_sub(now) > BEHIND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_ends_every_period() {
        let second = Duration::from_secs(1);
        let cases = [(5, 4, true), (5, 5, false), (4, 5, false), (4, 6, true)];
        for (now, since, over) in cases {
            let [now, since] = [now, since].map(|seconds| seconds * BEHIND);
            assert_eq!(is_over_at(now, since, second), over, "{now} {since}");
        }
    }
}
