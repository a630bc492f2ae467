//! Objects that say when they are destroyed.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use percid_shootdown::ReclaimDomain;

/// Counts what was destroyed.
#[derive(Clone, Default)]
pub(crate) struct Destroyed(Arc<AtomicU64>);

impl Destroyed {
    pub(crate) fn new() -> Destroyed {
        Destroyed::default()
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// An object that is not to be read after its end.
pub(crate) struct Tracked {
    alive: AtomicU64,
    destroyed: Destroyed,
}

const ALIVE: u64 = 0x6c69_7665;

impl Tracked {
    pub(crate) fn make(destroyed: &Destroyed) -> *mut u8 {
        Box::into_raw(Box::new(Tracked {
            alive: AtomicU64::new(ALIVE),
            destroyed: destroyed.clone(),
        }))
        .cast()
    }

    /// # Safety
    ///
    /// What `make` returned, not destroyed.
    pub(crate) unsafe fn assert_alive(object: *mut u8) {
        // SAFETY: the caller's contract.
        let alive = unsafe { (*object.cast::<Tracked>()).alive.load(Ordering::Relaxed) };
        assert_eq!(alive, ALIVE);
    }

    /// # Safety
    ///
    /// What `make` returned, once.
    pub(crate) unsafe fn destroy(object: *mut u8) {
        // SAFETY: the caller's contract.
        let one = unsafe { Box::from_raw(object.cast::<Tracked>()) };
        one.alive.store(0, Ordering::Relaxed);
        one.destroyed.0.fetch_add(1, Ordering::Release);
    }
}

/// The same for owners: notes its drop.
pub(crate) struct Noted(pub(crate) Destroyed);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Release);
    }
}

/// Retires so many objects that nobody has ever found.
pub(crate) fn retire(domain: &ReclaimDomain, destroyed: &Destroyed, count: u64) {
    for _ in 0..count {
        // SAFETY: never linked; once.
        unsafe { domain.retire_with(Tracked::make(destroyed), Tracked::destroy) };
    }
}
