//! What was retired and waits for its destructor.

use core::mem::ManuallyDrop;
use core::sync::atomic::AtomicU64;

use super::stripe::Retire;

/// An object that nobody can reach any more but who reached it before.
pub(crate) struct Retired {
    pub(crate) object: *mut u8,
    pub(crate) destroy: unsafe fn(*mut u8),
}

// SAFETY: whoever retires an object says that any thread may destroy it.
unsafe impl Send for Retired {}

impl Retired {
    /// What puts it in a bag.
    #[inline(always)]
    pub(crate) fn by<'a>(&self, chosen: &'a AtomicU64, capacity: u32) -> Retire<'a> {
        Retire {
            chosen,
            capacity,
            object: self.object.expose_provenance() as u64,
            destroy: (self.destroy as *const ()).expose_provenance() as u64,
        }
    }

    /// # Safety
    ///
    /// Nobody can reach the object; once.
    unsafe fn destroy(self) {
        // SAFETY: the caller's contract, and that of `retire_with`.
        unsafe { (self.destroy)(self.object) }
    }
}

/// Objects that a grace period has passed for. Dropping it destroys them, in the order in
/// which they were retired on each stripe.
///
/// A destructor that panics does not keep the others from being destroyed: the rest is
/// destroyed while the panic unwinds. A second panic then ends the process, as always.
#[must_use = "dropping it runs destructors"]
pub(crate) struct Batch {
    objects: ManuallyDrop<Vec<Retired>>,
    next: usize,
}

impl Batch {
    /// # Safety
    ///
    /// Nobody can reach any of them.
    pub(crate) unsafe fn new(objects: Vec<Retired>) -> Batch {
        Batch {
            objects: ManuallyDrop::new(objects),
            next: 0,
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        /// Goes on after a panic.
        struct Rest<'a>(&'a mut Batch);

        impl Rest<'_> {
            fn destroy(&mut self) {
                let Batch { objects, next } = &mut *self.0;
                while let Some(one) = objects.get(*next) {
                    *next += 1;
                    let one = Retired { ..*one };
                    // SAFETY: `new`'s contract; `next` has passed it.
                    unsafe { one.destroy() };
                }
            }
        }

        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                self.destroy();
                // SAFETY: dropped here only. `Retired` has no destructor of its own.
                unsafe { ManuallyDrop::drop(&mut self.0.objects) };
            }
        }

        Rest(self).destroy();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static DESTROYED: AtomicU32 = AtomicU32::new(0);

    unsafe fn count(object: *mut u8) {
        DESTROYED.fetch_add(1, Ordering::Relaxed);
        assert!(object.addr() != 2, "a destructor that panics");
    }

    #[test]
    fn a_panic_does_not_keep_the_rest() {
        let objects = (1..=4)
            .map(|address| Retired {
                object: std::ptr::without_provenance_mut(address),
                destroy: count,
            })
            .collect();
        // SAFETY: addresses that nobody follows.
        let batch = unsafe { Batch::new(objects) };
        assert!(catch_unwind(AssertUnwindSafe(|| drop(batch))).is_err());
        assert_eq!(DESTROYED.load(Ordering::Relaxed), 4);
    }
}
