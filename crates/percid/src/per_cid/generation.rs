//! Which process this is, counted in forks: in memory, for a system call would be dear.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Not 0.
static GENERATION: AtomicU64 = AtomicU64::new(1);

/// The number of this process among its ancestors.
// Ordering: Relaxed. It changes where there is one thread.
#[inline]
pub(super) fn current() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Has children of `fork` count on.
pub(super) fn watch() {
    static WATCHED: AtomicU32 = AtomicU32::new(0);
    if WATCHED.load(Ordering::Relaxed) == 0 && WATCHED.swap(1, Ordering::Relaxed) == 0 {
        #[cfg(unix)]
        // SAFETY: the function adds to a number. Where libc has no room for it, a child does
        // not know what its parent's threads had in use.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    }
}

#[cfg(unix)]
unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
