//! A reference that is put by itself.

use core::fmt;
use core::mem;

use super::reference::Ref;
use crate::scope::{Process, Scope};

/// A reference that is put when this is dropped.
///
/// ```
/// use percid::Ref;
///
/// static CONNECTION: Ref = Ref::new(|| println!("closed"));
///
/// if let Some(held) = CONNECTION.try_get_live() {
///     // ... the connection stays until `held` is dropped ...
///     drop(held);
/// }
/// CONNECTION.kill()?;
/// assert!(CONNECTION.try_get_live().is_none());
/// # Ok::<(), percid::RefError>(())
/// ```
///
/// Forgotten, it stays counted, as by [`keep`](Held::keep).
#[must_use = "a reference that is dropped at once holds nothing"]
pub struct Held<'a, F: Fn() = fn(), S: Scope = Process>(pub(super) &'a Ref<F, S>);

impl<F: Fn(), S: Scope> Held<'_, F, S> {
    /// Keeps it until somebody calls [`Ref::put`].
    pub fn keep(self) {
        mem::forget(self);
    }
}

impl<F: Fn(), S: Scope> Drop for Held<'_, F, S> {
    #[inline]
    fn drop(&mut self) {
        self.0.put();
    }
}

impl<F: Fn(), S: Scope> fmt::Debug for Held<'_, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(self.0).finish()
    }
}
