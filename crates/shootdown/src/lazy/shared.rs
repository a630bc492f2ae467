//! A counted reference.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use std::sync::Arc;

use super::domain::LazyDomain;
use super::home::Home;
use super::object::{Header, Shell, value_of};
use super::references::References;

/// A counted reference to a value that cells may hold, as an [`Arc`] is.
///
/// Drop of the value runs when the last `Shared` and the last cell have given it up: at
/// once if no lease is out, otherwise when the last lease ends; in the thread that ends it.
///
/// ```
/// use percid_shootdown::lazy::Shared;
///
/// let one = Shared::new(String::from("routes"));
/// let two = one.clone();
/// assert_eq!(*two, "routes");
/// ```
///
/// # Cost
///
/// 56 bytes before the value, and cache lines of its own: one if the value is a word, two
/// up to 72 bytes, both from a [pool](percid::RawPool) of the process; longer values are of
/// the global allocator, with 48 bytes more. A clone or drop is an atomic read-modify-write.
/// Drop of the last one that no slot has cached makes no fence.
///
/// # Fork and signals
///
/// Drop may run the value's destructor, which few signal handlers may; inside of
/// [`in_handler`](super::in_handler) it does not.
pub struct Shared<T> {
    header: NonNull<Header>,
    value: PhantomData<Arc<T>>,
}

// SAFETY: as for Arc: shared and dropped by any thread.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T: Send + Sync + 'static> Shared<T> {
    /// A value in the process's domain.
    #[must_use]
    pub fn new(value: T) -> Shared<T> {
        LazyDomain::process().share(value)
    }

    // `'static`, for the value may be dropped at any time, by whoever shoots it down.
    pub(super) fn in_home(home: &'static Home, value: T) -> Shared<T> {
        home.counts.made.inc();
        // SAFETY: one reference, this.
        unsafe { Shared::from_header(Shell::allocate(home, value)) }
    }
}

impl<T> Shared<T> {
    /// # Safety
    ///
    /// A live object with such a value; one counted reference becomes this.
    pub(super) unsafe fn from_header(header: NonNull<Header>) -> Shared<T> {
        Shared {
            header,
            value: PhantomData,
        }
    }

    /// The object; its counted reference is the caller's.
    pub(super) fn into_header(self) -> NonNull<Header> {
        core::mem::ManuallyDrop::new(self).header
    }

    pub(super) fn header(&self) -> NonNull<Header> {
        self.header
    }

    /// Whether both are the same object.
    #[must_use]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.header == other.header
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: counted, so alive.
        unsafe { value_of::<T>(self.header).as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: counted, so alive.
        unsafe { self.header.as_ref() }.references.clone_one();
        Shared { ..*self }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: this one's count, which ends here.
        unsafe { give_back(self.header) };
    }
}

/// Gives a counted reference back.
///
/// # Safety
///
/// It is the caller's.
pub(super) unsafe fn give_back(header: NonNull<Header>) {
    // SAFETY: counted, so alive.
    let home = unsafe { header.as_ref() }.home();
    // SAFETY: the caller's count; who gives the last one is alone in seeing that.
    unsafe {
        if References::give_back(Header::references(header), 1) {
            home.condemn(header);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
