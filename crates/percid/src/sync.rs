//! The atomics, core's or loom's when the protocols are checked, and what libc does for
//! threads where `std` may be missing.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic;
#[cfg(all(not(unix), not(loom)))]
pub(crate) use std::thread::yield_now;

/// Lets another thread run.
#[cfg(all(unix, not(loom)))]
pub(crate) fn yield_now() {
    // SAFETY: no preconditions.
    unsafe { libc::sched_yield() };
}

/// Sleeps for a moment.
#[cfg(all(not(target_os = "linux"), not(loom)))]
pub(crate) fn rest() {
    #[cfg(unix)]
    // SAFETY: no preconditions.
    unsafe {
        libc::usleep(50)
    };
    #[cfg(not(unix))]
    std::thread::sleep(core::time::Duration::from_micros(50));
}

/// Ends the process.
#[cfg(unix)]
pub(crate) fn abort() -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}
#[cfg(not(unix))]
pub(crate) use std::process::abort;

#[cfg(loom)]
pub(crate) use loom::sync::atomic;
#[cfg(loom)]
pub(crate) use loom::thread::yield_now;
