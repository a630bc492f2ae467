//! The thread's error number, left as it was.

use core::ptr::NonNull;

/// Keeps the calling thread's `errno` as it is now, until dropped: a function that
/// may be called from a signal handler must not change what the interrupted code
/// is about to read.
///
/// ```
/// let _errno = percid_rseq::Preserved::new();
/// // System calls that may fail without anybody noticing.
/// ```
#[derive(Debug)]
pub struct Preserved(i32);

impl Preserved {
    /// Remembers the number.
    #[must_use = "it is restored when this is dropped"]
    pub fn new() -> Preserved {
        Preserved(errno())
    }
}

impl Default for Preserved {
    fn default() -> Preserved {
        Preserved::new()
    }
}

impl Drop for Preserved {
    fn drop(&mut self) {
        set(self.0);
    }
}

/// libc's pointer to the thread's own error number, where it is known how to have it.
fn place() -> Option<NonNull<i32>> {
    #[cfg(any(target_os = "linux", target_os = "emscripten"))]
    // SAFETY: no preconditions.
    let place = unsafe { libc::__errno_location() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    // SAFETY: no preconditions.
    let place = unsafe { libc::__error() };
    #[cfg(any(target_os = "android", target_os = "openbsd", target_os = "netbsd"))]
    // SAFETY: no preconditions.
    let place = unsafe { libc::__errno() };
    #[cfg(any(target_os = "solaris", target_os = "illumos"))]
    // SAFETY: no preconditions.
    let place = unsafe { libc::___errno() };
    #[cfg(not(any(
        target_os = "linux",
        target_os = "emscripten",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "android",
        target_os = "openbsd",
        target_os = "netbsd",
        target_os = "solaris",
        target_os = "illumos"
    )))]
    let place = core::ptr::null_mut();
    NonNull::new(place)
}

/// The calling thread's error number.
///
/// For percid's own crates; not part of the interface.
#[doc(hidden)]
#[must_use]
pub fn errno() -> i32 {
    // SAFETY: the thread's own.
    place().map_or(0, |place| unsafe { place.read() })
}

fn set(errno: i32) {
    if let Some(place) = place() {
        // SAFETY: as above.
        unsafe { place.write(errno) };
    }
}
