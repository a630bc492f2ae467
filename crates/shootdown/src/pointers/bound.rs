//! A pointer in a domain that is made at run time.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use percid::{Process, Scope};

use crate::domain::Belonging;
use crate::pointers::atomic::destroy;
use crate::{Guard, ReclaimDomain};

/// A pointer that threads read under a guard of one domain, made at run time, and replace:
/// *the old value's drop runs after the last reader, in a later call to the domain.*
///
/// What [`Atomic`](crate::Atomic) has the compiler check by the [`Brand`](crate::Brand) of a
/// domain that is static, this checks when it is read: a guard of another domain does not
/// open it.
///
/// ```
/// use percid_shootdown::{Bound, ReclaimDomain};
///
/// let domain = ReclaimDomain::new();
/// let name = Bound::new(&domain, "first".to_owned());
/// let guard = domain.enter();
/// let found = name.load(&guard);
/// name.replace(Some("second".to_owned()));
/// assert_eq!(found.map(String::as_str), Some("first"));
/// drop(guard);
/// assert_eq!(name.load(&domain.enter()).map(String::as_str), Some("second"));
/// ```
///
/// # Cost
///
/// A load and the check, which is a comparison. To replace is a swap, and retires.
/// Sixteen bytes in place.
///
/// # Panics
///
/// [`load`](Self::load) with a guard of another domain.
///
/// # Fallback, fork and signals
///
/// As [`ReclaimDomain`]. What it leads to when it is dropped is retired.
pub struct Bound<'d, T: Send + Sync + 'static, S: Scope = Process> {
    domain: &'d ReclaimDomain<S>,
    pointer: AtomicPtr<T>,
}

impl<'d, T: Send + Sync + 'static, S: Scope> Bound<'d, T, S> {
    /// Leads to a new object.
    #[must_use]
    pub fn new(domain: &'d ReclaimDomain<S>, value: T) -> Bound<'d, T, S> {
        Bound {
            domain,
            pointer: AtomicPtr::new(Box::into_raw(Box::new(value))),
        }
    }

    /// Leads nowhere.
    #[must_use]
    pub const fn null(domain: &'d ReclaimDomain<S>) -> Bound<'d, T, S> {
        Bound {
            domain,
            pointer: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The domain whose guards open it.
    #[must_use]
    pub fn domain(&self) -> &'d ReclaimDomain<S> {
        self.domain
    }

    /// What it leads to now. That stays for as long as the guard.
    ///
    /// # Panics
    ///
    /// If the guard is of another domain.
    // Ordering: Acquire pairs with the Release of `replace`.
    #[inline]
    #[must_use]
    #[allow(private_bounds, reason = "as the guard's")]
    pub fn load<'g, B: Belonging>(&self, guard: &'g Guard<'_, B>) -> Option<&'g T> {
        assert!(
            self.domain.is_entered_by(guard),
            "a guard of another domain does not hold this object"
        );
        let found = self.pointer.load(Ordering::Acquire);
        // SAFETY: it was linked when it was loaded under a guard of the domain in which it is
        // retired when it is unlinked.
        unsafe { found.as_ref() }
    }

    /// Leads to another object or nowhere, and retires the old one.
    ///
    /// # Panics
    ///
    /// If a destructor of an earlier batch panics.
    // Ordering: AcqRel: releases the new object, acquires the old one.
    pub fn replace(&self, new: Option<T>) {
        let new = new.map_or(ptr::null_mut(), |value| Box::into_raw(Box::new(value)));
        let old = self.pointer.swap(new, Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: a box, unlinked by the swap, which nothing else leads to; `T` is `Send`
            // and lives as long as it must.
            unsafe { self.domain.retire_exchanged(old.cast(), destroy::<T>) };
        }
    }
}

/// Readers may still have what it leads to.
impl<T: Send + Sync + 'static, S: Scope> Drop for Bound<'_, T, S> {
    fn drop(&mut self) {
        self.replace(None);
    }
}

impl<T: Send + Sync + 'static, S: Scope> fmt::Debug for Bound<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bound")
            .field(&self.pointer.load(Ordering::Relaxed))
            .finish()
    }
}
