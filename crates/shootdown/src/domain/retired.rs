//! What was retired and waits for its destructor.

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

/// How far ahead of its destruction an object is asked for.
const AHEAD: usize = 8;

/// Asks for an object's line, which the CPU has that wrote it last.
#[inline(always)]
fn prefetch(object: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which no address makes a fault.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(object.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = object;
}

/// Destroys objects, in the order in which they were retired on each stripe, and leaves
/// their vector empty.
///
/// A destructor that panics does not keep the others from being destroyed: the rest is
/// destroyed while the panic unwinds. A second panic then ends the process, as always.
///
/// # Safety
///
/// Nobody can reach any of them.
pub(crate) unsafe fn destroy_all(objects: &mut Vec<Retired>) {
    /// Goes on after a panic.
    struct Rest<'a> {
        objects: &'a mut Vec<Retired>,
        next: usize,
    }

    impl Rest<'_> {
        fn destroy(&mut self) {
            while let Some(one) = self.objects.get(self.next) {
                if let Some(soon) = self.objects.get(self.next + AHEAD) {
                    prefetch(soon.object);
                }
                self.next += 1;
                let one = Retired { ..*one };
                // SAFETY: the caller's contract; `next` has passed it.
                unsafe { one.destroy() };
            }
        }
    }

    impl Drop for Rest<'_> {
        fn drop(&mut self) {
            self.destroy();
            self.objects.clear();
        }
    }

    Rest { objects, next: 0 }.destroy();
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
        let mut objects = (1..=4)
            .map(|address| Retired {
                object: std::ptr::without_provenance_mut(address),
                destroy: count,
            })
            .collect();
        // SAFETY: addresses that nobody follows.
        let destroy = AssertUnwindSafe(|| unsafe { destroy_all(&mut objects) });
        assert!(catch_unwind(destroy).is_err());
        assert_eq!(DESTROYED.load(Ordering::Relaxed), 4);
        assert!(objects.is_empty());
    }
}
