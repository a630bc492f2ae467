//! A lease: a reference that need not be counted.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use std::sync::Arc;

use super::object::{Header, name_of, value_of};
use super::protocol::Slot;
use super::shared::{Shared, give_back};

/// What [`LazyCell::load`](super::LazyCell::load) returns: the value, for as long as this
/// lives.
///
/// It may be kept for hours, sent to another thread, held across an `.await`, and taken
/// again while it is held. It holds its own value, and holds nothing else up.
///
/// # Cost
///
/// Its drop is one section.
///
/// # Forgotten
///
/// A lease that is forgotten keeps its value for ever, and one of the slots of a cid.
///
/// # Fork and signals
///
/// May be taken and dropped in signal handlers; drop may run the value's destructor, so
/// see [`in_handler`](super::in_handler). A child of `fork` keeps the leases of its thread;
/// those of other threads are forgotten there.
pub struct Lease<T> {
    header: NonNull<Header>,
    /// 0: counted.
    slot: Slot,
    value: PhantomData<Arc<T>>,
}

// SAFETY: it may be used by any thread, and dropped there, too.
unsafe impl<T: Send + Sync> Send for Lease<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Lease<T> {}

impl<T> Lease<T> {
    /// # Safety
    ///
    /// The caller holds the slot, which holds the live object, of this type; it becomes
    /// this.
    #[inline]
    pub(super) unsafe fn of_slot(header: NonNull<Header>, slot: Slot) -> Lease<T> {
        Lease {
            header,
            slot,
            value: PhantomData,
        }
    }

    pub(super) fn counted(shared: Shared<T>) -> Lease<T> {
        Lease {
            header: shared.into_header(),
            slot: Slot(0),
            value: PhantomData,
        }
    }

    pub(super) fn header(&self) -> NonNull<Header> {
        self.header
    }

    /// Whether it is counted, for want of a slot.
    #[must_use]
    pub fn is_counted(this: &Self) -> bool {
        this.slot.0 == 0
    }

    /// A counted reference to the same value; none if the last one is gone, so that this
    /// lease is what keeps the value alive.
    #[must_use]
    pub fn upgrade(this: &Self) -> Option<Shared<T>> {
        // SAFETY: leased, so alive.
        let header = unsafe { this.header.as_ref() };
        // Ordering: Relaxed, as a clone: this lease has what it needs. From zero it never
        // grows: the shootdown has begun.
        header
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count > 0).then(|| count + 1)
            })
            .ok()?;
        // SAFETY: just counted.
        Some(unsafe { Shared::from_header(this.header) })
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: leased, so alive.
        unsafe { value_of::<T>(self.header).as_ref() }
    }
}

impl<T> Drop for Lease<T> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.0 == 0 {
            // SAFETY: counted, and this is the end of it.
            return unsafe { give_back(self.header) };
        }
        // SAFETY: leased, so alive until the slot is left; its domain with it, and longer:
        // `leave` uses the domain before its commit only.
        let header = unsafe { self.header.as_ref() };
        let domain = header.domain();
        // Ordering: Relaxed: a hint.
        let empties = header.stale.load(Ordering::Relaxed) != 0;
        // SAFETY: this lease's slot.
        if empties || unsafe { domain.slots.leave(self.slot) }.is_err() {
            // SAFETY: as above: it was not left. The object may be freed in there, and with
            // it the domain, which is kept alive meanwhile.
            unsafe { leave_slow(self.header, self.slot, empties) };
        }
    }
}

/// # Safety
///
/// The caller holds the slot, which holds the object.
#[cold]
#[inline(never)]
unsafe fn leave_slow(header: NonNull<Header>, slot: Slot, empties: bool) {
    // SAFETY: leased, so alive.
    let domain: *const super::inner::Inner = unsafe { header.as_ref() }.domain();
    // SAFETY: domains are made as Arcs, and the object's reference is there until the
    // object is freed.
    let domain = unsafe {
        Arc::increment_strong_count(domain);
        Arc::from_raw(domain)
    };
    // SAFETY: the caller's contract.
    unsafe { domain.leave_slow(slot, name_of(header), empties) };
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
