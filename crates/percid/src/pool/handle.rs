//! A value of a pool, in use.

use core::fmt;
use core::mem::{self, ManuallyDrop};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::Pool;
use crate::scope::{Process, Scope};

/// A value that goes back to its [`Pool`] when this is dropped, on whatever thread.
///
/// ```
/// let pool = percid::Pool::new(String::new);
/// let mut name = pool.get();
/// name.push_str("percid");
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(name));
/// });
/// ```
pub struct Handle<'a, T, M: Fn() -> T = fn() -> T, S: Scope = Process> {
    value: NonNull<T>,
    pool: &'a Pool<T, M, S>,
}

// SAFETY: a handle is the only way to its value, as a Box is, and dropping it gives the
// value to whoever uses the pool, which `Pool: Sync` asks `T: Send` for.
unsafe impl<T: Send, M: Fn() -> T + Sync, S: Scope> Send for Handle<'_, T, M, S> {}
// SAFETY: a shared handle gives out `&T` only.
unsafe impl<T: Sync, M: Fn() -> T + Sync, S: Scope> Sync for Handle<'_, T, M, S> {}

impl<'a, T, M: Fn() -> T, S: Scope> Handle<'a, T, M, S> {
    /// # Safety
    ///
    /// A value of the pool that nobody else has.
    pub(super) unsafe fn new(value: NonNull<T>, pool: &'a Pool<T, M, S>) -> Self {
        Handle { value, pool }
    }

    /// Takes the value out of the pool. It is not reset.
    #[must_use]
    pub fn detach(self) -> T {
        let this = ManuallyDrop::new(self);
        // SAFETY: the handle's own value, which is read once: the handle is not dropped.
        let value = unsafe { this.value.read() };
        // SAFETY: the value has moved out.
        unsafe { this.pool.free_memory(this.value) };
        value
    }
}

impl<T, M: Fn() -> T, S: Scope> Deref for Handle<'_, T, M, S> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the handle's own value.
        unsafe { self.value.as_ref() }
    }
}

impl<T, M: Fn() -> T, S: Scope> DerefMut for Handle<'_, T, M, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.value.as_mut() }
    }
}

impl<T, M: Fn() -> T, S: Scope> Drop for Handle<'_, T, M, S> {
    #[inline]
    fn drop(&mut self) {
        if let Some(reset) = self.pool.resets() {
            let unless = Discard {
                value: self.value,
                pool: self.pool,
            };
            // SAFETY: the handle's own value.
            reset(unsafe { self.value.as_mut() });
            mem::forget(unless);
        }
        // SAFETY: the handle's own value, which it never uses again.
        unsafe { self.pool.put(self.value) };
    }
}

/// Drops a value whose reset has failed: half a reset is no value to hand out.
struct Discard<'a, T, M: Fn() -> T, S: Scope> {
    value: NonNull<T>,
    pool: &'a Pool<T, M, S>,
}

impl<T, M: Fn() -> T, S: Scope> Drop for Discard<'_, T, M, S> {
    fn drop(&mut self) {
        // SAFETY: the value of a handle that ends here.
        unsafe { self.pool.discard(self.value) };
    }
}

impl<T: fmt::Debug, M: Fn() -> T, S: Scope> fmt::Debug for Handle<'_, T, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
