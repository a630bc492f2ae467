//! A shared library that counts, for the tests that load and unload it.
#![cfg(not(loom))]

use percid::{Counter, PrepareUnload, Reason};

static COUNTER: Counter = Counter::new();

/// Counts so many times and leaves the thread as it is then.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_count(times: u64) {
    (0..times).for_each(|_| COUNTER.inc());
}

/// Counts so many times and leaves, as an entry point should.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_count_and_leave(times: u64) {
    let _leaves = PrepareUnload::on_drop();
    plugin_count(times);
}

/// Readies the calling thread.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_leave() {
    percid::prepare_unload();
}

/// The total.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_sum() -> u64 {
    COUNTER.sum()
}

/// Who registers threads: 0 nobody, 1 libc, 2 this copy of percid.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_owner() -> u64 {
    match percid::backend().reason {
        Reason::LibcRegisters => 1,
        Reason::PercidRegisters => 2,
        _ => 0,
    }
}

/// 1 if the calling thread is registered, as far as this copy of percid can see.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_registered() -> u64 {
    u64::from(percid_rseq::thread_ids().is_some())
}

/// 1 if the kernel knows the calling thread's last section, or will look for one.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_armed() -> u64 {
    u64::from(percid_rseq::testing::is_armed())
}
