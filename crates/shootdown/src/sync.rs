//! The atomics: std's, or loom's when the protocols are checked.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic;
#[cfg(loom)]
pub(crate) use loom::sync::atomic;

/// Lets others go on, between two looks at what they do.
#[cfg(not(loom))]
pub(crate) fn spin_once(turn: u32) {
    if turn % 64 == 63 {
        std::thread::yield_now();
    } else {
        core::hint::spin_loop();
    }
}

/// The same in a model.
#[cfg(loom)]
pub(crate) fn spin_once(_: u32) {
    loom::thread::yield_now();
}
