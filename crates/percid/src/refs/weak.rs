//! References that do not keep their object.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::arc::PercidArc;
use super::block::{Header, add_weak, core_of, give_back_weak};
use super::core::Core;
use crate::scope::{Process, Scope};

/// A reference that does not keep its object.
///
/// ```
/// use percid::Owner;
///
/// let owner = Owner::new("limits".to_owned());
/// let in_use = owner.share();
/// let weak = in_use.downgrade();
/// assert_eq!(weak.upgrade().as_deref().map(String::as_str), Some("limits"));
///
/// drop(owner);
/// // Somebody has it still, so it is there; but nobody new is to come to it.
/// assert!(weak.upgrade().is_some());
/// assert!(weak.upgrade_live().is_none());
/// drop(in_use);
/// assert!(weak.upgrade().is_none());
/// ```
///
/// # Cost
///
/// [`upgrade`](PercidWeak::upgrade) and [`upgrade_live`](PercidWeak::upgrade_live) are
/// sections while the owner is there. The weak references themselves are counted by
/// atomics: clone them rarely.
pub struct PercidWeak<T: ?Sized, S: Scope = Process> {
    value: NonNull<T>,
    header: Option<NonNull<Header<S>>>,
    owns: PhantomData<T>,
}

// SAFETY: an upgrade gives a reference to whatever thread has this: it takes what
// `PercidArc` takes. What it counts by is atomic.
unsafe impl<T: ?Sized + Send + Sync, S: Scope> Send for PercidWeak<T, S> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync, S: Scope> Sync for PercidWeak<T, S> {}

impl<T: ?Sized, S: Scope> PercidWeak<T, S> {
    /// One weak reference more.
    ///
    /// # Safety
    ///
    /// The block, if there is one, is allocated.
    pub(super) unsafe fn to(
        value: NonNull<T>,
        header: Option<NonNull<Header<S>>>,
    ) -> PercidWeak<T, S> {
        if let Some(header) = header {
            // SAFETY: the caller's contract.
            unsafe { add_weak(header) };
        }
        PercidWeak {
            value,
            header,
            owns: PhantomData,
        }
    }

    /// A reference to the object, unless the last one has gone.
    #[inline]
    #[must_use = "without the reference that is returned nothing is held"]
    pub fn upgrade(&self) -> Option<PercidArc<T, S>> {
        self.upgrade_if(Core::try_get)
    }

    /// A reference to the object, unless its owner has gone.
    ///
    /// So nobody new comes to an object that is about to go. Once the owner's drop has
    /// returned this is always `None`.
    #[inline]
    #[must_use = "without the reference that is returned nothing is held"]
    pub fn upgrade_live(&self) -> Option<PercidArc<T, S>> {
        self.upgrade_if(Core::try_get_live)
    }

    #[inline(always)]
    fn upgrade_if(&self, get: impl FnOnce(&Core<S::Gate>) -> bool) -> Option<PercidArc<T, S>> {
        // SAFETY: this weak reference keeps the block, if not the object.
        let got = self
            .header
            .is_none_or(|header| get(unsafe { core_of(header) }));
        // Made only if it was got: its drop puts.
        got.then(|| PercidArc::of(self.value, self.header))
    }
}

impl<T: ?Sized, S: Scope> Clone for PercidWeak<T, S> {
    fn clone(&self) -> PercidWeak<T, S> {
        // SAFETY: this weak reference keeps the block.
        unsafe { PercidWeak::to(self.value, self.header) }
    }
}

impl<T: ?Sized, S: Scope> Drop for PercidWeak<T, S> {
    fn drop(&mut self) {
        if let Some(header) = self.header {
            // SAFETY: this weak reference keeps the block until here.
            unsafe { give_back_weak(header) };
        }
    }
}

impl<T: ?Sized, S: Scope> fmt::Debug for PercidWeak<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(PercidWeak)")
    }
}
