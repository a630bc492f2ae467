//! A lock and what it guards.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::lock::{BORROWED, ObjectLock, ReadGuard};
use super::space::{LockSpace, WriteSection};
use crate::sync::atomic::Ordering;

/// A value behind an [`ObjectLock`], which knows its space.
///
/// ```
/// use percid::{LockSpace, Locked};
///
/// let space = LockSpace::new();
/// let (left, right) = (Locked::new(&space, 0..8), Locked::new(&space, 8..8));
/// {
///     let writer = space.begin_write();
///     // Both at once; readers see neither before the end.
///     let (mut left, mut right) = (left.write(&writer), right.write(&writer));
///     (left.end, right.start) = (4, 4);
/// }
/// assert_eq!((left.read().end, right.read().start), (4, 4));
/// ```
///
/// A guard does not outlive what it guards, and a loan not its section.
///
/// ```compile_fail,E0505
/// # use percid::{LockSpace, Locked};
/// # let space = LockSpace::new();
/// # let value = Locked::new(&space, 1);
/// let writer = space.begin_write();
/// let mut lent = value.write(&writer);
/// writer.end_write();
/// *lent += 1;
/// ```
///
/// ```
/// # use percid::{LockSpace, Locked};
/// # let space = LockSpace::new();
/// # let value = Locked::new(&space, 1);
/// let writer = space.begin_write();
/// let mut lent = value.write(&writer);
/// *lent += 1;
/// # drop(lent);
/// writer.end_write();
/// ```
///
/// # Cost
///
/// As [`ObjectLock`]; a write lends the value by one read-modify-write more. 16 bytes
/// beside the value.
///
/// # Panics
///
/// `write` in a section of another space, or twice at the same time in one.
///
/// # Fallback
///
/// As [`LockSpace`].
///
/// # Fork and signals
///
/// As [`LockSpace`].
pub struct Locked<'s, T: ?Sized> {
    lock: ObjectLock,
    space: &'s LockSpace,
    value: UnsafeCell<T>,
}

// SAFETY: readers share `&T` and the writer has `&mut T`, on whatever thread: as `RwLock`.
unsafe impl<T: ?Sized + Send + Sync> Sync for Locked<'_, T> {}

impl<'s, T> Locked<'s, T> {
    /// A value in a space.
    #[must_use]
    pub const fn new(space: &'s LockSpace, value: T) -> Locked<'s, T> {
        Locked {
            lock: ObjectLock::new(),
            space,
            value: UnsafeCell::new(value),
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Locked<'_, T> {
    /// Reads the value; `None` if it is write-locked. Never waits.
    #[inline]
    #[must_use = "without the guard that is returned nothing is locked"]
    pub fn read_try(&self) -> Option<LockedRef<'_, T>> {
        let guard = self.lock.read_try(self.space)?;
        Some(LockedRef {
            value: &self.value,
            guard,
        })
    }

    /// Reads the value. Waits while it is write-locked.
    ///
    /// # Panics
    ///
    /// If there are 8191 readers.
    #[inline]
    pub fn read(&self) -> LockedRef<'_, T> {
        LockedRef {
            value: &self.value,
            guard: self.lock.read(self.space),
        }
    }

    /// Write-locks the value until the section ends, and lends it until the guard is
    /// dropped.
    ///
    /// # Panics
    ///
    /// If the section is not one of this value's space, or has lent the value already.
    pub fn write<'a>(&'a self, section: &'a WriteSection<'_>) -> LockedMut<'a, T> {
        assert!(
            section.is_of(self.space),
            "a write section of another lock space"
        );
        section.lock(&self.lock);
        // Ordering: Acquire and Release among the guards of one section, which its threads
        // take one after the other; readers do not look at the bit.
        let before = self.lock.futex.word.fetch_or(BORROWED, Ordering::Acquire);
        assert!(
            before & BORROWED == 0,
            "a value that its write section has lent already"
        );
        debug_assert_eq!(before >> 16, section.sequence());
        LockedMut {
            of: self,
            section: PhantomData,
        }
    }

    /// The value, which nobody else has.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Locked<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.read_try() {
            Some(value) => f.debug_tuple("Locked").field(&&*value).finish(),
            None => f.write_str("Locked(<written>)"),
        }
    }
}

/// A value that is read.
#[must_use = "the value is released when this is dropped"]
pub struct LockedRef<'a, T: ?Sized> {
    value: &'a UnsafeCell<T>,
    #[allow(dead_code, reason = "dropped with this")]
    guard: ReadGuard<'a>,
}

// SAFETY: it gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for LockedRef<'_, T> {}
// SAFETY: as above; and the lock is released by whoever drops it.
unsafe impl<T: ?Sized + Sync> Send for LockedRef<'_, T> {}

impl<T: ?Sized> Deref for LockedRef<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: while the guard lives no writer gets past this reader.
        unsafe { &*self.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockedRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A value that is written. It stays locked when this is dropped, until the section ends.
#[must_use = "the value is lent until this is dropped"]
pub struct LockedMut<'a, T: ?Sized> {
    of: &'a Locked<'a, T>,
    /// The section does not end before this.
    section: PhantomData<(&'a (), &'a mut T)>,
}

// SAFETY: it gives `&T`, like a `&mut T`.
unsafe impl<T: ?Sized + Sync> Sync for LockedMut<'_, T> {}
// SAFETY: it gives `&mut T`, like a `&mut T`.
unsafe impl<T: ?Sized + Send> Send for LockedMut<'_, T> {}

impl<T: ?Sized> Deref for LockedMut<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: as below.
        unsafe { &*self.of.value.get() }
    }
}

impl<T: ?Sized> DerefMut for LockedMut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock was drained of readers and stays marked while the section
        // lives, which this borrows; and the section lends the value to one at a time.
        unsafe { &mut *self.of.value.get() }
    }
}

impl<T: ?Sized> Drop for LockedMut<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Ordering: Release, as `write` says.
        self.of
            .lock
            .futex
            .word
            .fetch_and(!BORROWED, Ordering::Release);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockedMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
