//! The thread's error number, left as it was.

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

#[cfg(any(target_os = "linux", target_os = "emscripten"))]
pub(crate) fn errno() -> i32 {
    // SAFETY: libc's pointer to the thread's own error number.
    unsafe { *libc::__errno_location() }
}

#[cfg(any(target_os = "linux", target_os = "emscripten"))]
fn set(errno: i32) {
    // SAFETY: libc's pointer to the thread's own error number.
    unsafe { *libc::__errno_location() = errno };
}

#[cfg(not(any(target_os = "linux", target_os = "emscripten")))]
pub(crate) fn errno() -> i32 {
    0
}

#[cfg(not(any(target_os = "linux", target_os = "emscripten")))]
fn set(_: i32) {}
