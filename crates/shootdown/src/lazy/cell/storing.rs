//! How a cell's value is replaced, and the former one given up.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::super::held::{given, is_lent, word};
use super::super::lease::Lease;
use super::super::object::{Header, Shell};
use super::super::references::{References, Sound};
use super::super::shared::Shared;
use super::{LazyCell, cell_name, header_in};

/// The caller's reference becomes a cell's, which holds this.
///
/// # Safety
///
/// It is the caller's.
pub(super) unsafe fn show(header: NonNull<Header>) -> u64 {
    // SAFETY: counted.
    let object = unsafe { header.as_ref() };
    let alone = object.references.show();
    // What is alone is taken apart without a look at it: see `settle`.
    word::<Sound>(cell_name(header), alone && object.is_pooled())
}

impl<T> LazyCell<T> {
    /// Replaces the value.
    ///
    /// # Panics
    ///
    /// If the value is of another domain. Then nothing has changed.
    pub fn store(&self, new: Shared<T>) {
        let new = self.adopt(new);
        let old = self.held.swap(new);
        self.settle(old, 0);
    }

    /// Replaces the value, and returns the former one.
    ///
    /// # Panics
    ///
    /// As [`store`](LazyCell::store).
    #[must_use]
    pub fn swap(&self, new: Shared<T>) -> Shared<T> {
        let new = self.adopt(new);
        let old = self.held.swap(new);
        self.settle(old, 1);
        // SAFETY: one reference was kept for it.
        unsafe { Shared::from_header(header_in(old)) }
    }

    /// Replaces the value if it is `current`, and returns that one.
    ///
    /// # Errors
    ///
    /// `new`, if the cell holds something else.
    ///
    /// # Panics
    ///
    /// As [`store`](LazyCell::store).
    pub fn compare_and_swap(
        &self,
        current: &impl Named<T>,
        new: Shared<T>,
    ) -> Result<Shared<T>, Shared<T>> {
        let expected = cell_name(current.object());
        let header = new.header();
        let new = self.adopt(new);
        // The current object is kept alive by who named it, so its address is not
        // another's.
        if let Some(old) = self.held.exchange(expected, new) {
            self.settle(old, 1);
            // SAFETY: one reference was kept for it.
            return Ok(unsafe { Shared::from_header(header_in(old)) });
        }
        // SAFETY: adopted by nobody: the cell's count becomes the caller's again.
        unsafe {
            header.as_ref().references.hide();
            Err(Shared::from_header(header))
        }
    }

    /// Replaces the value by what `update` makes of it, as often as it takes; returns the
    /// former one. A panic in `update` changes nothing.
    ///
    /// ```
    /// # use percid_shootdown::lazy::LazyCell;
    /// let hits = LazyCell::new(1);
    /// let old = hits.rcu(|hits| hits + 1);
    /// assert_eq!((*old, *hits.load()), (1, 2));
    /// ```
    ///
    /// What it makes is dropped at any time, so it borrows nothing:
    ///
    /// ```compile_fail
    /// # use percid_shootdown::lazy::LazyCell;
    /// fn rename<'a>(cell: &LazyCell<&'a str>, name: &'a str) {
    ///     cell.rcu(|_| name);
    /// }
    /// ```
    pub fn rcu(&self, mut update: impl FnMut(&T) -> T) -> Shared<T>
    where
        T: Send + Sync + 'static,
    {
        loop {
            let current = self.load();
            let new = Shared::in_home(self.home, update(&current));
            if let Ok(old) = self.compare_and_swap(&current, new) {
                return old;
            }
        }
    }

    /// The caller's reference becomes a cell's.
    fn adopt(&self, new: Shared<T>) -> u64 {
        // SAFETY: counted.
        let object = unsafe { new.header().as_ref() };
        assert!(
            core::ptr::eq(object.home(), self.home),
            "a value of another domain"
        );
        if self.home.looks() {
            object.references.stale.store(false, Ordering::Relaxed);
        }
        // SAFETY: this reference.
        unsafe { show(new.into_header()) }
    }

    /// What was in the cell is there no longer: counts in who has counted itself outside,
    /// and gives the cell's count back, all but `kept` references.
    pub(super) fn settle(&self, old: u64, kept: u64) {
        let header = header_in(old);
        if kept == 0 && !is_lent(old) {
            // Nobody else has ever had a reference. Nothing of it is read here: its cache line
            // may be another thread's, which costs as much as all the rest.
            // SAFETY: so it is this thread's alone; such a value, in a pool: see `show`.
            return unsafe { self.home.take_apart(header, Shell::<T>::remains(header)) };
        }
        // SAFETY: the cell's count is still there.
        let object = unsafe { header.as_ref() };
        if self.home.looks() {
            object.references.stale.store(true, Ordering::Relaxed);
        }
        // SAFETY: the cell's count, less what was counted outside of it; who gives the last
        // one is alone in seeing that.
        unsafe {
            if References::give_back(Header::references(header), given(old, kept)) {
                self.home.condemn(header);
            }
        }
    }
}

/// A reference that names the object it is to: what
/// [`compare_and_swap`](LazyCell::compare_and_swap) compares with.
///
/// ```
/// use percid_shootdown::lazy::{LazyCell, Shared};
///
/// let cell = LazyCell::new(1);
/// let lease = cell.load();
/// let old = cell.compare_and_swap(&lease, Shared::new(2)).expect("still there");
/// assert!(cell.compare_and_swap(&old, Shared::new(3)).is_err(), "2 is there by now");
/// ```
pub trait Named<T>: sealed::Named {}

impl<T> Named<T> for Lease<T> {}
impl<T> Named<T> for Shared<T> {}

mod sealed {
    use core::ptr::NonNull;

    use super::Header;

    pub trait Named {
        #[allow(private_interfaces, reason = "sealed")]
        fn object(&self) -> NonNull<Header>;
    }
}

impl<T> sealed::Named for Lease<T> {
    #[allow(private_interfaces, reason = "sealed")]
    fn object(&self) -> NonNull<Header> {
        self.header()
    }
}

impl<T> sealed::Named for Shared<T> {
    #[allow(private_interfaces, reason = "sealed")]
    fn object(&self) -> NonNull<Header> {
        self.header()
    }
}
