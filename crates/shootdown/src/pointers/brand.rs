//! A type that names one domain, so that the compiler tells guards apart.

use crate::{Guard, ReclaimDomain};

/// A type that stands for one domain: only a guard of that domain opens its pointers.
///
/// Declared with [`brand!`](crate::brand); a guard of another brand does not compile:
///
/// ```compile_fail,E0308
/// use percid_shootdown::{Atomic, Brand, Global, brand};
///
/// brand! {
///     /// The domain of routes.
///     struct Routes;
/// }
///
/// let table: Atomic<String, Routes> = Atomic::new("a".to_owned());
/// let guard = Global::enter();
/// let route = table.load(&guard); // a guard of `Global` does not hold routes
/// ```
///
/// # Safety
///
/// `domain` returns the same domain always, and no other brand's.
pub unsafe trait Brand: Sized + 'static {
    /// The domain.
    fn domain() -> &'static ReclaimDomain;

    /// Begins a section of the domain.
    #[inline]
    fn enter() -> Guard<'static, Self> {
        // SAFETY: a guard of the brand's own domain.
        unsafe { Self::domain().enter().branded() }
    }
}

/// Declares a brand and its domain.
///
/// ```
/// use percid_shootdown::{Atomic, Brand, brand};
///
/// brand! {
///     /// The domain of routes.
///     pub(crate) struct Routes;
/// }
///
/// static TABLE: Atomic<String, Routes> = Atomic::null();
///
/// TABLE.replace(Some("10.0.0.0/8 via a".to_owned()));
/// let guard = Routes::enter();
/// assert_eq!(TABLE.load(&guard).as_ref().map(String::len), Some(16));
/// ```
#[macro_export]
macro_rules! brand {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident;) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        // SAFETY: a static of this very function.
        unsafe impl $crate::Brand for $name {
            #[inline]
            fn domain() -> &'static $crate::ReclaimDomain {
                static DOMAIN: $crate::ReclaimDomain = $crate::ReclaimDomain::new();
                &DOMAIN
            }
        }
    };
}

brand! {
    /// The domain of whoever has no other. A stalled reader anywhere in the program holds up
    /// all that is retired here: structures of weight have a [`brand!`](crate::brand) of
    /// their own.
    pub struct Global;
}
