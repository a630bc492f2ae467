//! Owners and references read as the object that they lead to.

use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use super::arc::PercidArc;
use super::owner::Owner;
use crate::scope::Scope;

macro_rules! reads_as_its_object {
    ($($type:ident),*) => {$(
        impl<T: ?Sized, S: Scope> Deref for $type<T, S> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                // SAFETY: this reference, or the owner's own, keeps the object, which is
                // only ever shared.
                unsafe { self.value.as_ref() }
            }
        }

        impl<T: ?Sized, S: Scope> AsRef<T> for $type<T, S> {
            fn as_ref(&self) -> &T {
                self
            }
        }

        impl<T: ?Sized, S: Scope> Borrow<T> for $type<T, S> {
            fn borrow(&self) -> &T {
                self
            }
        }

        impl<T: ?Sized + fmt::Debug, S: Scope> fmt::Debug for $type<T, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display, S: Scope> fmt::Display for $type<T, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    )*};
}

reads_as_its_object!(Owner, PercidArc);
