//! What a thread keeps: an id, marks, hints.
//!
//! Nothing here has a destructor, so it works in those of thread-locals and in signal
//! handlers. It lies in the thread-locals of `percid-rseq`, which need no `std`; on targets
//! where that has none, in those of `std`; without either a thread keeps nothing, and
//! whoever asks does without.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32};

use crate::domain::{Mark, REMEMBERED, Remembered};

/// All zero at first, and zero is valid for each. Atomic against signal handlers of the same
/// thread.
#[repr(C)]
pub(crate) struct Local {
    /// See `thread`.
    pub(crate) stripe: AtomicU32,
    /// Whether it is in a slow path.
    pub(crate) inside: AtomicBool,
    /// The domains that it has joined.
    pub(crate) joined: AtomicPtr<Mark>,
    /// Where it was in some domains.
    pub(crate) remembered: [Remembered; REMEMBERED],
}

/// Looks at what the calling thread keeps, if it can keep anything.
#[inline]
pub(crate) fn with<T>(look: impl FnOnce(&Local) -> T) -> Option<T> {
    match percid_rseq::thread_words() {
        // SAFETY: the thread's own, which live as long as it runs; large and aligned enough,
        // zero or what was stored through this type, and for this crate alone.
        Some(words) => Some(look(unsafe { words.cast::<Local>().as_ref() })),
        None => elsewhere(look),
    }
}

const _: () = {
    use percid_rseq::ThreadWords;
    assert!(size_of::<Local>() <= size_of::<ThreadWords>());
    assert!(align_of::<Local>() <= align_of::<ThreadWords>());
};

#[cfg(feature = "std")]
fn elsewhere<T>(look: impl FnOnce(&Local) -> T) -> Option<T> {
    use core::ptr;

    std::thread_local! {
        static LOCAL: Local = const {
            Local {
                stripe: AtomicU32::new(0),
                inside: AtomicBool::new(false),
                joined: AtomicPtr::new(ptr::null_mut()),
                remembered: [const { Remembered::new() }; REMEMBERED],
            }
        };
    }
    // Without a destructor it is accessible to the end.
    Some(LOCAL.with(look))
}

#[cfg(not(feature = "std"))]
fn elsewhere<T>(_: impl FnOnce(&Local) -> T) -> Option<T> {
    None
}
