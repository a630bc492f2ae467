//! A pointer that is shared, and the words for what is in it.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::{Brand, Global};
use crate::Guard;

/// A pointer to a `T` that threads read under a guard and replace: *the old value's drop
/// runs after the last reader, in a later call to the domain.*
///
/// ```
/// use percid_shootdown::{Atomic, Brand, Global};
///
/// static CONFIG: Atomic<String> = Atomic::null();
///
/// CONFIG.replace(Some("verbose".to_owned()));
/// let guard = Global::enter();
/// let config = CONFIG.load(&guard);
/// CONFIG.replace(None); // the old one is retired
/// assert_eq!(config.as_ref().map(String::as_str), Some("verbose"));
/// ```
///
/// Loading, replacing and taking are safe. To link an object that another pointer already
/// leads to, as lists do, is the author's to prove:
/// [`compare_exchange_linked`](Self::compare_exchange_linked) and [`Guarded::retire`] are
/// unsafe.
///
/// # Cost
///
/// A load is a load; the guard has paid. To replace is a swap, and retires
/// ([`ReclaimDomain::retire_with`](crate::ReclaimDomain::retire_with)). Eight bytes in place.
///
/// # Fallback, fork and signals
///
/// As [`ReclaimDomain`](crate::ReclaimDomain). What it leads to when it is dropped leaks, as
/// a pointer would: [`replace`](Self::replace) it with `None` first.
pub struct Atomic<T, B: Brand = Global> {
    pointer: AtomicPtr<T>,
    brand: PhantomData<fn() -> B>,
}

// SAFETY: it gives out `&T` on any thread, and drops what it was given on any other.
unsafe impl<T: Send + Sync, B: Brand> Sync for Atomic<T, B> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, B: Brand> Send for Atomic<T, B> {}

impl<T: 'static, B: Brand> Atomic<T, B> {
    /// Leads nowhere.
    #[must_use]
    pub const fn null() -> Atomic<T, B> {
        Atomic {
            pointer: AtomicPtr::new(ptr::null_mut()),
            brand: PhantomData,
        }
    }

    /// Leads to a new object.
    #[must_use]
    pub fn new(value: T) -> Atomic<T, B> {
        Atomic {
            pointer: AtomicPtr::new(Box::into_raw(Box::new(value))),
            brand: PhantomData,
        }
    }

    /// What it leads to now. That stays for as long as the guard.
    // Ordering: Acquire pairs with the Release of whoever linked it.
    #[inline]
    pub fn load<'g>(&self, guard: &'g Guard<'_, B>) -> Guarded<'g, T, B> {
        let _ = guard;
        Guarded::from_raw(self.pointer.load(Ordering::Acquire))
    }
}

impl<T: Send + Sync + 'static, B: Brand> Atomic<T, B> {
    /// Leads to another object or nowhere, and retires the old one.
    ///
    /// # Panics
    ///
    /// If a destructor of an earlier batch panics.
    pub fn replace(&self, new: Option<T>) {
        let new = new.map_or(ptr::null_mut(), |value| Box::into_raw(Box::new(value)));
        // Ordering: AcqRel: releases the new object, acquires the old one.
        let old = Guarded::<T, B>::from_raw(self.pointer.swap(new, Ordering::AcqRel));
        // SAFETY: unlinked by the swap. Whoever linked it by hand, elsewhere or twice, has
        // said that this is right.
        unsafe { old.retire_exchanged() };
    }

    /// As [`replace`](Self::replace), and returns the old object for as long as the guard.
    ///
    /// # Panics
    ///
    /// As [`replace`](Self::replace).
    pub fn swap<'g>(&self, new: Option<Owned<T>>, guard: &'g Guard<'_, B>) -> Guarded<'g, T, B> {
        let _ = guard;
        let new = new.map_or(ptr::null_mut(), Owned::into_raw);
        let old = Guarded::from_raw(self.pointer.swap(new, Ordering::AcqRel));
        // SAFETY: as in `replace`; the guard keeps it.
        unsafe { old.retire_exchanged() };
        old
    }

    /// Leads to `new` if it still leads to `current`, which is retired then. Since the guard
    /// keeps `current`, no other object can have its address meanwhile.
    ///
    /// # Errors
    ///
    /// If it leads elsewhere by now: gives `new` back and says where.
    ///
    /// # Panics
    ///
    /// As [`replace`](Self::replace).
    pub fn compare_exchange<'g>(
        &self,
        current: Guarded<'g, T, B>,
        new: Owned<T>,
        guard: &'g Guard<'_, B>,
    ) -> Result<Guarded<'g, T, B>, Lost<'g, T, B>> {
        let new = new.into_guarded(guard);
        // SAFETY: `new` is linked here and nowhere else.
        match unsafe { self.compare_exchange_linked(current, new, guard) } {
            Ok(new) => {
                // SAFETY: unlinked by the exchange.
                unsafe { current.retire_exchanged() };
                Ok(new)
            }
            Err(found) => Err(Lost {
                // SAFETY: not linked.
                new: unsafe { new.into_owned() },
                found,
            }),
        }
    }

    /// Leads to `new` if it still leads to `current`. Retires nothing.
    ///
    /// # Errors
    ///
    /// If it leads elsewhere by now: where.
    ///
    /// # Safety
    ///
    /// The safe methods retire what this leads to: so it must not be linked from elsewhere
    /// when they do, and must have been allocated as an [`Owned`].
    #[inline]
    pub unsafe fn compare_exchange_linked<'g>(
        &self,
        current: Guarded<'g, T, B>,
        new: Guarded<'g, T, B>,
        guard: &'g Guard<'_, B>,
    ) -> Result<Guarded<'g, T, B>, Guarded<'g, T, B>> {
        let _ = guard;
        // Ordering: as in `replace`; a failure is a load.
        let exchanged = self.pointer.compare_exchange(
            current.raw,
            new.raw,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match exchanged {
            Ok(_) => Ok(new),
            Err(found) => Err(Guarded::from_raw(found)),
        }
    }

    /// Leads to `new`. Retires nothing.
    ///
    /// # Safety
    ///
    /// As [`compare_exchange_linked`](Self::compare_exchange_linked).
    // Ordering: Release pairs with the Acquire of `load`.
    pub unsafe fn store_linked(&self, new: Guarded<'_, T, B>) {
        self.pointer.store(new.raw, Ordering::Release);
    }

    /// Takes the object out of a pointer that is nobody else's.
    ///
    /// # Safety
    ///
    /// No reader can have found it, nor finds it elsewhere.
    pub unsafe fn take_owned(&mut self) -> Option<Owned<T>> {
        let raw = mem::replace(self.pointer.get_mut(), ptr::null_mut());
        // SAFETY: the caller says that it is its alone.
        (!raw.is_null()).then(|| unsafe { Owned::from_raw(raw) })
    }
}

impl<T: 'static, B: Brand> Default for Atomic<T, B> {
    fn default() -> Self {
        Atomic::null()
    }
}

impl<T, B: Brand> fmt::Debug for Atomic<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Atomic")
            .field(&self.pointer.load(Ordering::Relaxed))
            .finish()
    }
}

/// An object that is not shared yet: its author may still change it.
///
/// ```
/// use percid_shootdown::{Atomic, Brand, Global, Owned};
///
/// static ROUTES: Atomic<Vec<u32>> = Atomic::null();
///
/// let mut routes = Owned::new(vec![1, 2]);
/// routes.push(3);
/// let guard = Global::enter();
/// assert!(ROUTES.swap(Some(routes), &guard).is_null());
/// assert_eq!(ROUTES.load(&guard).as_ref().map(Vec::len), Some(3));
/// # drop(guard);
/// # ROUTES.replace(None);
/// ```
///
/// # Cost
///
/// A box: eight bytes, and what it holds.
pub struct Owned<T>(Box<T>);

impl<T> Owned<T> {
    /// A new object.
    pub fn new(value: T) -> Owned<T> {
        Owned(Box::new(value))
    }

    /// The value, which is shared with nobody.
    #[must_use]
    pub fn into_inner(self) -> T {
        *self.0
    }

    /// The object, to be linked. If it never is, it leaks, unless it is
    /// [taken back](Guarded::into_owned).
    #[must_use]
    pub fn into_guarded<'g, B: Brand>(self, guard: &'g Guard<'_, B>) -> Guarded<'g, T, B>
    where
        T: 'static,
    {
        let _ = guard;
        Guarded::from_raw(self.into_raw())
    }

    fn into_raw(self) -> *mut T {
        Box::into_raw(self.0)
    }

    /// # Safety
    ///
    /// From [`into_raw`](Self::into_raw), and nobody else's.
    unsafe fn from_raw(raw: *mut T) -> Owned<T> {
        // SAFETY: the caller's contract.
        Owned(unsafe { Box::from_raw(raw) })
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owned").field(&self.0).finish()
    }
}

/// What an [`Atomic`] led to, or nowhere: good for as long as the guard.
///
/// ```
/// use percid_shootdown::{Atomic, Brand, Global, Guarded};
///
/// static FIRST: Atomic<u32> = Atomic::null();
///
/// let guard = Global::enter();
/// assert_eq!(FIRST.load(&guard), Guarded::null());
/// FIRST.replace(Some(1));
/// let one = FIRST.load(&guard);
/// FIRST.replace(Some(2));
/// // It was unlinked, and stays; and nothing else has its address meanwhile.
/// assert_eq!(one.as_ref(), Some(&1));
/// assert_ne!(one, FIRST.load(&guard));
/// # drop(guard);
/// # FIRST.replace(None);
/// ```
///
/// Not longer than the guard:
///
/// ```compile_fail,E0505
/// # use percid_shootdown::{Atomic, Brand, Global};
/// # static FIRST: Atomic<u32> = Atomic::null();
/// let guard = Global::enter();
/// let one = FIRST.load(&guard);
/// drop(guard);
/// one.as_ref();
/// ```
///
/// # Cost
///
/// Eight bytes, and `Copy`.
pub struct Guarded<'g, T, B: Brand = Global> {
    raw: *mut T,
    life: PhantomData<&'g T>,
    brand: PhantomData<fn() -> B>,
}

impl<T, B: Brand> Clone for Guarded<'_, T, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, B: Brand> Copy for Guarded<'_, T, B> {}

impl<'g, T: 'static, B: Brand> Guarded<'g, T, B> {
    fn from_raw(raw: *mut T) -> Self {
        Guarded {
            raw,
            life: PhantomData,
            brand: PhantomData,
        }
    }

    /// Leads nowhere.
    #[must_use]
    pub fn null() -> Self {
        Guarded::from_raw(ptr::null_mut())
    }

    /// Whether it leads nowhere.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.raw.is_null()
    }

    /// The object.
    #[inline]
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "of a pointer that may be null"
    )]
    pub fn as_ref(self) -> Option<&'g T> {
        // SAFETY: it was linked when it was loaded under the guard, or was made under it.
        // What is unlinked is retired, and freed after the guard.
        unsafe { self.raw.as_ref() }
    }

    /// The address, for comparisons.
    #[must_use]
    pub fn as_ptr(self) -> *const T {
        self.raw
    }

    /// Takes back what could not be linked.
    ///
    /// # Panics
    ///
    /// If it leads nowhere.
    ///
    /// # Safety
    ///
    /// It was allocated as an [`Owned`], and nobody else has found it or will.
    #[must_use]
    pub unsafe fn into_owned(self) -> Owned<T> {
        assert!(!self.raw.is_null(), "nothing to own");
        // SAFETY: the caller's contract.
        unsafe { Owned::from_raw(self.raw) }
    }

    /// Retires the object, if there is one: drops and frees it when no reader can have it.
    ///
    /// # Panics
    ///
    /// If a destructor of an earlier batch panics.
    ///
    /// # Safety
    ///
    /// It is unlinked, was allocated as an [`Owned`], and is retired once.
    pub unsafe fn retire(self)
    where
        T: Send,
    {
        if !self.raw.is_null() {
            // SAFETY: the caller's contract; `T` is `Send` and lives as long as it must.
            unsafe { B::domain().retire_with(self.raw.cast(), destroy::<T>) };
        }
    }

    /// The same for what was unlinked by a read-modify-write.
    ///
    /// # Safety
    ///
    /// As [`retire`](Self::retire).
    #[inline]
    unsafe fn retire_exchanged(self)
    where
        T: Send,
    {
        if !self.raw.is_null() {
            // SAFETY: as in `retire`.
            unsafe { B::domain().retire_exchanged(self.raw.cast(), destroy::<T>) };
        }
    }
}

/// # Safety
///
/// A box that nobody has any more.
pub(super) unsafe fn destroy<T>(object: *mut u8) {
    // SAFETY: the caller's contract.
    drop(unsafe { Box::from_raw(object.cast::<T>()) });
}

impl<T, B: Brand> PartialEq for Guarded<'_, T, B> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<T, B: Brand> Eq for Guarded<'_, T, B> {}

impl<T, B: Brand> fmt::Debug for Guarded<'_, T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.raw).finish()
    }
}

/// An exchange that came too late: what was to be linked, and what is in its place.
///
/// ```
/// use percid_shootdown::{Atomic, Brand, Global, Owned};
///
/// static COUNT: Atomic<u32> = Atomic::null();
///
/// /// Adds to what is there, whoever else does.
/// fn add(n: u32) -> u32 {
///     let guard = Global::enter();
///     let mut now = COUNT.load(&guard);
///     let mut sum = Owned::new(0);
///     loop {
///         *sum = n + now.as_ref().unwrap_or(&0);
///         match COUNT.compare_exchange(now, sum, &guard) {
///             Ok(sum) => return *sum.as_ref().expect("just linked"),
///             Err(lost) => (sum, now) = (lost.new, lost.found),
///         }
///     }
/// }
///
/// assert_eq!((add(3), add(4)), (3, 7));
/// # COUNT.replace(None);
/// ```
#[derive(Debug)]
pub struct Lost<'g, T, B: Brand = Global> {
    /// What was to be linked.
    pub new: Owned<T>,
    /// What is linked in its place.
    pub found: Guarded<'g, T, B>,
}
