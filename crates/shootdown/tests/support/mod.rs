//! Objects that say when they are destroyed.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use percid::Scope;
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
pub(crate) fn retire<S: Scope>(domain: &ReclaimDomain<S>, destroyed: &Destroyed, count: u64) {
    for _ in 0..count {
        // SAFETY: never linked; once.
        unsafe { domain.retire_with(Tracked::make(destroyed), Tracked::destroy) };
    }
}

/// Readers and writers on a pointer that changes all the time; every reader looks whether
/// what it found is alive. `join` is what each thread does first.
pub(crate) fn storm<S: Scope, J>(domain: &ReclaimDomain<S>, join: impl Fn() -> J + Sync) {
    const WRITERS: usize = 2;
    const SWAPS: u64 = 3_000;
    let destroyed = Destroyed::new();
    let current = AtomicPtr::new(Tracked::make(&destroyed));
    let writing = AtomicU64::new(WRITERS as u64);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let _joined = join();
                for turn in 0..SWAPS {
                    let inside = (turn % 3 == 0).then(|| domain.enter());
                    let old = current.swap(Tracked::make(&destroyed), Ordering::AcqRel);
                    // SAFETY: unlinked by this swap.
                    unsafe { domain.retire_with(old, Tracked::destroy) };
                    drop(inside);
                }
                writing.fetch_sub(1, Ordering::Release);
            });
        }
        for reader in 0..4 {
            let (current, writing, join) = (&current, &writing, &join);
            scope.spawn(move || {
                let _joined = join();
                while writing.load(Ordering::Acquire) > 0 {
                    let guard = match reader {
                        0 => domain.enter_counted(),
                        _ => domain.enter(),
                    };
                    for _ in 0..3 {
                        // SAFETY: found under the guard.
                        unsafe { Tracked::assert_alive(current.load(Ordering::Acquire)) };
                    }
                    drop(guard);
                }
            });
        }
    });
    domain.barrier();
    assert_eq!(destroyed.count(), WRITERS as u64 * SWAPS);
    // SAFETY: the last one, which nobody reads any more.
    unsafe { Tracked::destroy(current.into_inner()) };
}
