//! How a section ended, where it is not by its commit.

use super::thread::thread_area;
use crate::Refusal;

pub(super) const DONE: u64 = 0;
pub(super) const ABORTED: u64 = 1;
pub(super) const NOTHING: u64 = 2;
pub(super) const REFUSED: u64 = 3;

/// The result, or why there is none.
#[inline(always)]
pub(super) fn result<T>(status: u64, value: T, nothing: Refusal) -> Result<T, Refusal> {
    match status {
        DONE => Ok(value),
        ABORTED => Err(aborted()),
        NOTHING => Err(nothing),
        _ => Err(refused()),
    }
}

#[cold]
pub(super) fn aborted() -> Refusal {
    #[cfg(percid_inject)]
    crate::inject::count_abort();
    Refusal::Aborted
}

/// Why a section refused its thread.
#[cold]
pub(super) fn refused() -> Refusal {
    // SAFETY: the area that this thread's sections use outlives the thread.
    if unsafe { (*thread_area()).is_registered() } {
        Refusal::BeyondLimit
    } else {
        Refusal::NotRegistered
    }
}
