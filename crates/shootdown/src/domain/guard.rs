//! What a reader holds.

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

use percid::Scope;

use super::ReclaimDomain;
#[cfg(debug_assertions)]
use super::inside::Entered;
use crate::{Brand, counted};

/// Marks the address of a count; seats and counts are words, so their addresses have room.
const COUNTED: usize = 1;

/// How a guard knows its domain: by its type, if that is a brand, and else by an address.
pub(crate) trait Belonging {
    type Kept: Copy + Send + Sync + Unpin;

    fn kept<S: Scope>(domain: &ReclaimDomain<S>) -> Self::Kept;

    fn domain(kept: Self::Kept) -> usize;
}

impl Belonging for () {
    type Kept = usize;

    #[inline(always)]
    fn kept<S: Scope>(domain: &ReclaimDomain<S>) -> usize {
        core::ptr::from_ref(domain).addr()
    }

    #[inline(always)]
    fn domain(kept: usize) -> usize {
        kept
    }
}

impl<B: Brand> Belonging for B {
    type Kept = ();

    #[inline(always)]
    fn kept<S: Scope>(_: &ReclaimDomain<S>) {}

    #[inline(always)]
    fn domain((): ()) -> usize {
        core::ptr::from_ref(B::domain()).addr()
    }
}

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
/// Leaving is one plain store. A guard owns nothing; it is eight bytes if its domain has a
/// [brand](crate::Brand), and sixteen if not. In debug builds eight more say who entered it.
///
/// # Panics, threads that end, and guards that are forgotten
///
/// A panic drops the guard as it unwinds. A guard that is never dropped (`mem::forget`, a
/// task that is never polled again, a thread that ended with it in a leaked box) holds up
/// its domain's reclamation for ever: nothing that is retired there is freed any more.
/// [`DomainStats::holding`](super::DomainStats::holding) counts those that hold it up now.
#[must_use = "a section ends when its guard is dropped"]
#[allow(private_bounds, reason = "a brand, or none")]
pub struct Guard<'d, B: Belonging = ()> {
    /// Address of the seat, or of the count with [`COUNTED`] added.
    place: usize,
    kept: B::Kept,
    #[cfg(debug_assertions)]
    entered: Entered,
    life: PhantomData<&'d AtomicU64>,
    brand: PhantomData<fn() -> B>,
}

impl<'d> Guard<'d> {
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
        Guard {
            place,
            kept: <()>::kept(domain),
            #[cfg(debug_assertions)]
            entered: Entered::now(&domain.number),
            life: PhantomData,
            brand: PhantomData,
        }
    }

    /// The same section, as one of a brand's domain.
    ///
    /// # Safety
    ///
    /// It is of the domain of that brand.
    #[inline(always)]
    pub(crate) unsafe fn branded<B: Brand>(self) -> Guard<'d, B> {
        let this = core::mem::ManuallyDrop::new(self);
        Guard {
            place: this.place,
            kept: (),
            #[cfg(debug_assertions)]
            // SAFETY: moved out of what is not dropped.
            entered: unsafe { core::ptr::read(&raw const this.entered) },
            life: PhantomData,
            brand: PhantomData,
        }
    }
}

#[allow(private_bounds, reason = "as the type's")]
impl<B: Belonging> Guard<'_, B> {
    /// The address of its domain, which stays there as long as the guard borrows it.
    #[inline(always)]
    pub(super) fn domain(&self) -> usize {
        B::domain(self.kept)
    }
}

impl<B: Belonging> Drop for Guard<'_, B> {
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

impl<B: Belonging> fmt::Debug for Guard<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.place & COUNTED {
            0 => "seated",
            _ => "counted",
        };
        f.debug_tuple("Guard").field(&how).finish()
    }
}
