//! Destructors that libc calls when a thread ends.
//!
//! A POSIX key, unlike a destructor of `thread_local!`, can be set in a signal
//! handler, since libc keeps the first few values in the thread itself.
//!
//! # Unloading
//!
//! A key outlives the library that made it, and with it the address of a function
//! that is gone. glibc, the libc that really unloads, calls the `.fini_array` of a
//! library before it unmaps it; the entry at the end of this file deletes this
//! copy's keys there, so that no thread calls their destructors any more and the
//! few keys of a process are not used up by a library that comes and goes.
//!
//! glibc calls the same entry when the process exits, with other threads still
//! running, and nothing tells the two apart. So it must do no harm then, either:
//!
//! - It takes no memory away and no registration, only the keys. A thread that has
//!   entered goes on.
//! - A thread that ends before the process does is not unregistered. glibc keeps
//!   its static block until the kernel says that the thread is gone.
//! - A thread that enters afterwards finds [`GONE`], and falls back. It never makes
//!   another key, nor uses the number of one that may be somebody else's by now;
//!   [`ExitKey::set`] looks again for the sake of a thread that was in between.
//! - Functions that were registered with `atexit` have run before, and destructors
//!   of libraries that this one depends on come later; neither has to do with keys.
//!
//! Other libcs that are known never unload a library (musl), and a static program
//! has none: there is no entry there.

use core::ffi::c_void;
use core::num::NonZeroUsize;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

/// Not made yet.
const NONE: u64 = 0;

/// Deleted: this copy is being unloaded, or the process exits.
const GONE: u64 = u64::MAX;

/// A destructor that libc calls for every thread that ends with a value.
///
/// For percid's own crates; not part of the interface.
#[doc(hidden)]
#[derive(Debug)]
pub struct ExitKey {
    /// The key's number plus one, [`NONE`] or [`GONE`].
    key: AtomicU64,
    destructor: unsafe extern "C" fn(*mut c_void),
    /// The key that was made before this one.
    #[allow(dead_code, reason = "read where libraries are unloaded")]
    next: AtomicPtr<ExitKey>,
}

/// Why no destructor will be called.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKeyError {
    /// libc would allocate for the value, which a signal handler must not.
    WouldAllocate,
    /// The process has no key left, or is exiting.
    NoKey,
}

impl ExitKey {
    /// A key that is made at its first use.
    #[must_use]
    pub const fn new(destructor: unsafe extern "C" fn(*mut c_void)) -> ExitKey {
        ExitKey {
            key: AtomicU64::new(NONE),
            destructor,
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Has the destructor called with `value` when the calling thread ends.
    ///
    /// # Errors
    ///
    /// Why it will not be called.
    pub fn set(&'static self, value: NonZeroUsize) -> Result<(), ExitKeyError> {
        /// glibc keeps so many values in the thread and allocates for others.
        const WITHOUT_ALLOCATION: u64 = 32;
        let key = self.key()?;
        if cfg!(target_env = "gnu") && key as u64 >= WITHOUT_ALLOCATION {
            return Err(ExitKeyError::WouldAllocate);
        }
        let value = ptr::without_provenance(value.get());
        // SAFETY: a key that was made here; the destructor gets what is its own.
        if unsafe { libc::pthread_setspecific(key, value) } != 0 {
            return Err(ExitKeyError::NoKey);
        }
        // Ordering: the fence pairs with whatever libc did to give the number to
        // somebody else: who has used the new owner's key sees that ours is gone.
        fence(Ordering::Acquire);
        if self.key.load(Ordering::Relaxed) == GONE {
            // SAFETY: the value is ours, whosever key that is by now.
            unsafe { libc::pthread_setspecific(key, ptr::null()) };
            return Err(ExitKeyError::NoKey);
        }
        Ok(())
    }

    /// Takes the calling thread's value back: its end is of no interest any more.
    pub fn clear(&self) {
        // Ordering: Relaxed. The key is a number; libc orders what it stands for.
        if let Some(key) = number(self.key.load(Ordering::Relaxed)) {
            // SAFETY: a key that was made here. Null needs no memory.
            unsafe { libc::pthread_setspecific(key, ptr::null()) };
        }
    }

    fn key(&'static self) -> Result<libc::pthread_key_t, ExitKeyError> {
        // Ordering: Relaxed. The key is a number; libc orders what it stands for.
        match self.key.load(Ordering::Relaxed) {
            NONE => self.make(),
            known => number(known).ok_or(ExitKeyError::NoKey),
        }
    }

    #[cold]
    fn make(&'static self) -> Result<libc::pthread_key_t, ExitKeyError> {
        let mut made = 0;
        // SAFETY: a valid place for the key and a destructor of the right type.
        if unsafe { libc::pthread_key_create(&raw mut made, Some(self.destructor)) } != 0 {
            return Err(ExitKeyError::NoKey);
        }
        let mine = made as u64 + 1;
        // Ordering: Relaxed, as above.
        match self
            .key
            .compare_exchange(NONE, mine, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => {
                unload::remember(self);
                Ok(made)
            }
            Err(first) => {
                // SAFETY: nobody has seen the key that lost.
                unsafe { libc::pthread_key_delete(made) };
                number(first).ok_or(ExitKeyError::NoKey)
            }
        }
    }
}

/// The number of a key that was made and is still there.
fn number(key: u64) -> Option<libc::pthread_key_t> {
    match key {
        NONE | GONE => None,
        key => Some((key - 1) as libc::pthread_key_t),
    }
}

/// Deleting the keys of this copy.
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    not(any(target_feature = "crt-static", miri))
))]
mod unload {
    use super::*;

    /// The key that was made last.
    static LAST: AtomicPtr<ExitKey> = AtomicPtr::new(ptr::null_mut());

    /// Has a key deleted when this copy goes.
    pub(super) fn remember(key: &'static ExitKey) {
        let this = ptr::from_ref(key).cast_mut();
        // Ordering: Release, for the entry reads `next` of what it finds.
        let link = |last| {
            key.next.store(last, Ordering::Relaxed);
            Some(this)
        };
        let _ = LAST.fetch_update(Ordering::Release, Ordering::Relaxed, link);
    }

    /// Called by libc; see the head of this file.
    extern "C" fn at_unload() {
        // Ordering: Acquire pairs with `remember`.
        let mut last = LAST.load(Ordering::Acquire);
        // SAFETY: null, or a static of this copy.
        while let Some(key) = unsafe { last.as_ref() } {
            // Ordering: Release, before the number can become somebody else's.
            if let Some(key) = number(key.key.swap(GONE, Ordering::Release)) {
                // SAFETY: a key that was made here; nobody deletes it twice.
                unsafe { libc::pthread_key_delete(key) };
            }
            last = key.next.load(Ordering::Relaxed);
        }
    }

    // SAFETY: a section of pointers to functions of this type; libc calls them once.
    #[used]
    #[unsafe(link_section = ".fini_array")]
    static AT_UNLOAD: extern "C" fn() = at_unload;
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    not(any(target_feature = "crt-static", miri))
)))]
mod unload {
    pub(super) fn remember(_: &'static super::ExitKey) {}
}
