//! Leaving a library before it is unloaded.

use core::marker::PhantomData;

pub use percid_cid::prepare_unload;

/// Calls [`prepare_unload`] when it is dropped: for the entry points of a library
/// that may be unloaded.
///
/// ```
/// use percid::{Counter, PrepareUnload};
///
/// static CALLS: Counter = Counter::new();
///
/// // `#[unsafe(no_mangle)]` in a real library.
/// pub extern "C" fn entry_point() {
///     let _leaves = PrepareUnload::on_drop();
///     CALLS.inc();
/// }
/// # entry_point();
/// # assert_eq!(CALLS.sum(), 1);
/// ```
///
/// One at a time: what a thread does with the library after the drop, in an outer
/// entry point or a destructor of a thread-local, needs another one.
#[derive(Debug)]
#[must_use = "it works when it is dropped"]
pub struct PrepareUnload {
    /// The thread that leaves is the one that entered.
    not_send: PhantomData<*mut ()>,
}

impl PrepareUnload {
    /// Leaves when this is dropped.
    pub const fn on_drop() -> PrepareUnload {
        PrepareUnload {
            not_send: PhantomData,
        }
    }
}

impl Drop for PrepareUnload {
    fn drop(&mut self) {
        prepare_unload();
    }
}
