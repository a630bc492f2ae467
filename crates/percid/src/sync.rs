//! The atomics: std's, or loom's when the protocols are checked.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic;
#[cfg(not(loom))]
pub(crate) use std::process::id as process_id;
#[cfg(not(loom))]
pub(crate) use std::thread::yield_now;

#[cfg(loom)]
pub(crate) use loom::sync::atomic;
#[cfg(loom)]
pub(crate) use loom::thread::yield_now;

/// Models have one process.
#[cfg(loom)]
pub(crate) fn process_id() -> u32 {
    1
}
