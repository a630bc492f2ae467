//! What a reader holds.

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

use percid::Scope;

use super::ReclaimDomain;
#[cfg(debug_assertions)]
use super::inside::Entered;
use crate::counted;

/// Marks the address of a count; seats and counts are words, so their addresses have room.
const COUNTED: usize = 1;

/// A reader's section of a domain: what it reaches stays until this is dropped.
///
/// ```
/// use percid_shootdown::ReclaimDomain;
///
/// static ROUTES: ReclaimDomain = ReclaimDomain::new();
///
/// let guard = ROUTES.enter();
/// // ... follow pointers that others may unlink and retire ...
/// drop(guard);
/// ```
///
/// It may be sent to another thread, kept across an `.await`, and dropped wherever the task
/// is by then. Guards nest: each is a section of its own.
///
/// # Cost
///
/// Leaving is one plain store. A guard is eight bytes and owns nothing; in debug builds
/// sixteen, for it knows there who entered it.
///
/// # Panics, threads that end, and guards that are forgotten
///
/// A panic drops the guard as it unwinds. A guard that is never dropped (`mem::forget`, a
/// task that is never polled again, a thread that ended with it in a leaked box) holds up
/// its domain's reclamation for ever: nothing that is retired there is freed any more.
/// [`DomainStats::holding`](super::DomainStats::holding) counts those that hold it up now.
#[must_use = "a section ends when its guard is dropped"]
pub struct Guard<'d, B = ()> {
    /// Address of the seat, or of the count with [`COUNTED`] added.
    place: usize,
    #[cfg(debug_assertions)]
    entered: Entered,
    life: PhantomData<&'d AtomicU64>,
    brand: PhantomData<fn() -> B>,
}

impl<'d, B> Guard<'d, B> {
    /// # Safety
    ///
    /// A seat of the domain that was claimed for this guard.
    #[inline(always)]
    pub(super) unsafe fn seated<S: Scope>(domain: &'d ReclaimDomain<S>, seat: *mut u64) -> Self {
        // SAFETY: a seat is a word. Told, the compiler looks for no count when it is left.
        unsafe { core::hint::assert_unchecked(seat.addr() & COUNTED == 0) };
        Guard::at(domain, seat.expose_provenance())
    }

    /// A count of the domain that was raised for this guard.
    pub(super) fn counted<S: Scope>(domain: &'d ReclaimDomain<S>, count: &'d AtomicU64) -> Self {
        Guard::at(domain, count.as_ptr().expose_provenance() | COUNTED)
    }

    #[inline(always)]
    fn at<S: Scope>(domain: &'d ReclaimDomain<S>, place: usize) -> Self {
        #[cfg(not(debug_assertions))]
        let _ = domain;
        Guard {
            place,
            #[cfg(debug_assertions)]
            entered: Entered::now(core::ptr::from_ref(domain).addr()),
            life: PhantomData,
            brand: PhantomData,
        }
    }

    /// The seat or the count.
    pub(super) fn word(&self) -> *const AtomicU64 {
        core::ptr::with_exposed_provenance(self.place & !COUNTED)
    }

    /// The same section, as one of a brand's domain.
    ///
    /// # Safety
    ///
    /// It is of the domain of that brand.
    #[inline(always)]
    pub(crate) unsafe fn branded<C>(self) -> Guard<'d, C> {
        let this = core::mem::ManuallyDrop::new(self);
        Guard {
            place: this.place,
            #[cfg(debug_assertions)]
            // SAFETY: moved out of what is not dropped.
            entered: unsafe { core::ptr::read(&raw const this.entered) },
            life: PhantomData,
            brand: PhantomData,
        }
    }
}

impl<B> Drop for Guard<'_, B> {
    // Ordering: Release, in both: what was read under the guard has been read. Pairs with
    // the Acquire of whoever looks whether the seats and counts are left.
    #[inline(always)]
    fn drop(&mut self) {
        if self.place & COUNTED == 0 {
            let seat = core::ptr::with_exposed_provenance_mut(self.place);
            // SAFETY: the seat stays for the guard's life, and is this guard's.
            unsafe { AtomicU64::from_ptr(seat) }.store(0, Ordering::Release);
        } else {
            leave_counted(self.place - COUNTED);
        }
    }
}

#[cold]
#[inline(never)]
fn leave_counted(count: usize) {
    let count = core::ptr::with_exposed_provenance_mut(count);
    // SAFETY: the count stays for the guard's life.
    counted::lower(unsafe { AtomicU64::from_ptr(count) });
}

impl<B> fmt::Debug for Guard<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.place & COUNTED {
            0 => "seated",
            _ => "counted",
        };
        f.debug_tuple("Guard").field(&how).finish()
    }
}
