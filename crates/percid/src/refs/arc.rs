//! References to an object that are counted by cid.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use super::block::{Header, core_of, release};
use super::weak::PercidWeak;
use crate::scope::{Process, Scope};

/// A reference to an object, counted by cid.
///
/// Cloned and dropped without an atomic read-modify-write, on any number of threads.
///
/// ```
/// use percid::{Owner, PercidArc};
///
/// let owner = Owner::new(String::from("shared"));
/// let one: PercidArc<String> = owner.share();
/// let other = one.clone();
/// let weak = one.downgrade();
/// drop(owner);
/// assert_eq!(*other, "shared");
/// drop((one, other));
/// assert!(weak.upgrade().is_none());
/// ```
///
/// # Cost
///
/// A clone or a drop is one section and one test for [`immortal`](PercidArc::immortal)
/// objects; once the owner has gone, one read-modify-write. Two words in place. A
/// dereference is one load.
///
/// # Slips that do not compile
///
/// Wherever references may be refused they come in an `Option`, which must be opened:
/// a test that was turned round has nothing to go on with.
///
/// ```compile_fail,E0308
/// let owner = percid::Owner::new(7);
/// let weak = owner.downgrade();
/// if !weak.upgrade() {
///     println!("{}", 7);
/// }
/// ```
///
/// ```
/// # let owner = percid::Owner::new(7);
/// # let weak = owner.downgrade();
/// if let Some(seven) = weak.upgrade() {
///     println!("{}", *seven);
/// }
/// ```
///
/// What is not taken is not held, and is said so.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// let owner = percid::Owner::new(7);
/// owner.downgrade().upgrade();
/// ```
///
/// ```
/// # #![deny(unused_must_use)]
/// # let owner = percid::Owner::new(7);
/// let _held = owner.downgrade().upgrade();
/// ```
///
/// There is no other way to begin than an owner, so none is left behind uninitialised or
/// with a count of its own; and no way to kill than its drop, which nobody has to call.
/// After it the name is gone.
///
/// ```compile_fail,E0382
/// let owner = percid::Owner::new(7);
/// drop(owner);
/// let late = owner.share();
/// ```
///
/// ```
/// # let owner = percid::Owner::new(7);
/// let early = owner.share();
/// drop(owner);
/// # assert_eq!(*early, 7);
/// ```
pub struct PercidArc<T: ?Sized, S: Scope = Process> {
    pub(super) value: NonNull<T>,
    /// None: an immortal object, which nobody counts.
    header: Option<NonNull<Header<S>>>,
    owns: PhantomData<T>,
}

// SAFETY: a reference gives `&T` to whatever thread has it, and the last one to go drops
// the object there: it takes what `Arc` takes. What it counts by is atomic.
unsafe impl<T: ?Sized + Send + Sync, S: Scope> Send for PercidArc<T, S> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync, S: Scope> Sync for PercidArc<T, S> {}

impl<T: ?Sized> PercidArc<T> {
    /// A reference to a static object, which is never counted and never goes.
    ///
    /// ```
    /// use percid::{Owner, PercidArc};
    ///
    /// static DEFAULT: [u8; 2] = [4, 2];
    ///
    /// fn policy(own: Option<&Owner<[u8; 2]>>) -> PercidArc<[u8; 2]> {
    ///     own.map_or(PercidArc::immortal(&DEFAULT), Owner::share)
    /// }
    /// assert_eq!(*policy(None), [4, 2]);
    /// assert_eq!(*policy(Some(&Owner::new([1, 1]))), [1, 1]);
    /// ```
    #[must_use]
    pub const fn immortal(value: &'static T) -> PercidArc<T> {
        // SAFETY: a reference is not null.
        let value = unsafe { NonNull::new_unchecked(ptr::from_ref(value).cast_mut()) };
        PercidArc::of(value, None)
    }
}

impl<T: ?Sized, S: Scope> PercidArc<T, S> {
    /// For who has got a reference, to an object behind such a header.
    #[inline(always)]
    pub(super) const fn of(
        value: NonNull<T>,
        header: Option<NonNull<Header<S>>>,
    ) -> PercidArc<T, S> {
        PercidArc {
            value,
            header,
            owns: PhantomData,
        }
    }

    /// Whether the object is never counted and never goes.
    #[must_use]
    pub const fn is_immortal(&self) -> bool {
        self.header.is_none()
    }

    /// Whether the object's owner is still there.
    #[must_use]
    pub fn is_live(&self) -> bool {
        // SAFETY: this reference keeps the block.
        self.header
            .is_none_or(|header| !unsafe { core_of(header) }.is_dying())
    }

    /// A reference that does not keep the object.
    #[must_use = "a reference that is dropped at once leads nowhere"]
    pub fn downgrade(&self) -> PercidWeak<T, S> {
        // SAFETY: this reference keeps the block.
        unsafe { PercidWeak::to(self.value, self.header) }
    }

    /// Whether both refer to the same object.
    #[must_use]
    pub fn ptr_eq(&self, other: &PercidArc<T, S>) -> bool {
        ptr::addr_eq(self.value.as_ptr(), other.value.as_ptr())
    }
}

impl<T: ?Sized, S: Scope> Clone for PercidArc<T, S> {
    #[inline]
    fn clone(&self) -> PercidArc<T, S> {
        if let Some(header) = self.header {
            // SAFETY: this reference keeps the block.
            unsafe { core_of(header) }.get();
        }
        PercidArc::of(self.value, self.header)
    }
}

impl<T: ?Sized, S: Scope> Drop for PercidArc<T, S> {
    #[inline]
    fn drop(&mut self) {
        if let Some(header) = self.header {
            // SAFETY: this reference keeps the block until it is put; and if it was the
            // last one, nobody else gets another.
            unsafe {
                if core_of(header).put() {
                    release(header);
                }
            }
        }
    }
}
