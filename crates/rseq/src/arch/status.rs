//! How a section ended, where it is not by its commit.
//!
//! A section with a result leaves an address where it committed, and one of these
//! where it did not: they lie where no address does.

use super::thread::thread_area;
use crate::Refusal;
use crate::arch::NOWHERE;
use crate::area::Area;

pub(super) const ABORTED: i64 = -1;
pub(super) const NOTHING: i64 = -2;
pub(super) const REFUSED: i64 = -5;
#[cfg(percid_compare_twice)]
pub(super) const BROKEN: i64 = -6;

// The sections say it as a number.
#[cfg(percid_compare_twice)]
const _: () = assert!(BROKEN == -6);

// And so does no address that leads somewhere.
const _: () = {
    let common = ABORTED & NOTHING & REFUSED;
    assert!(common as u64 & NOWHERE != 0);
    #[cfg(percid_compare_twice)]
    assert!(BROKEN as u64 & NOWHERE != 0);
};

/// Everything from here on, as an unsigned number, is a status.
const FIRST: u64 = -16_i64 as u64;

/// The result, or why there is none.
#[inline(always)]
pub(super) fn result<T>(outcome: u64, value: T, nothing: Refusal) -> Result<T, Refusal> {
    if outcome < FIRST {
        Ok(value)
    } else {
        Err(ended(outcome.cast_signed(), nothing))
    }
}

/// The same of an address that was followed: nothing is what leads nowhere.
#[inline(always)]
pub(super) fn followed<T>(outcome: u64, value: T) -> Result<T, Refusal> {
    if outcome & NOWHERE == 0 {
        Ok(value)
    } else {
        Err(ended_or_nowhere(outcome))
    }
}

#[cold]
#[inline(never)]
fn ended_or_nowhere(outcome: u64) -> Refusal {
    if outcome < FIRST {
        Refusal::Empty
    } else {
        ended(outcome.cast_signed(), Refusal::Empty)
    }
}

#[cold]
#[inline(never)]
fn ended(status: i64, nothing: Refusal) -> Refusal {
    match status {
        ABORTED => aborted(),
        NOTHING => nothing,
        #[cfg(percid_compare_twice)]
        BROKEN => broken(),
        _ => refused(thread_area()),
    }
}

#[cold]
pub(super) fn aborted() -> Refusal {
    #[cfg(percid_inject)]
    crate::inject::count_abort();
    Refusal::Aborted
}

/// Why a section refused its thread. Disarms the area: a handler that finds it armed, and
/// not registered, has interrupted a section.
#[cold]
pub(super) fn refused(area: *mut Area) -> Refusal {
    // SAFETY: this thread's, or nobody's, which is always there.
    let area = unsafe { &*area };
    let registered = area.is_registered();
    area.disarm();
    if registered {
        Refusal::BeyondLimit
    } else {
        Refusal::NotRegistered
    }
}

/// What was compared at a section's start compared otherwise at its end.
#[cfg(percid_compare_twice)]
#[cold]
pub(super) fn broken() -> ! {
    panic!(
        "a section saw another id or another word at its end than at its start, and was not \
         aborted: this kernel does not restart sections, or somebody else writes their words; \
         use the fallback"
    )
}
