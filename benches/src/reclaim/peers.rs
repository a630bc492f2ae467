//! The peers, each as its documentation recommends.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use crossbeam_epoch as epoch;
use haphazard::HazardPointer;
use seize::{Collector, Guard as _};

use super::Reclaiming;
use crate::Error;

/// crossbeam-epoch.
pub(crate) struct Epoch<T>(epoch::Atomic<T>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Epoch<T> {
    const NAME: &'static str = "crossbeam_epoch";

    type Reader<'a> = &'a epoch::Atomic<T>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Epoch(epoch::Atomic::new(first)))
    }

    fn reader(&self) -> &epoch::Atomic<T> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        let guard = epoch::pin();
        // SAFETY: never null; destroyed after the guard.
        read(unsafe { reader.load(Ordering::Acquire, &guard).deref() })
    }

    fn replace(&self, new: T) {
        let guard = epoch::pin();
        let old = self
            .0
            .swap(epoch::Owned::new(new), Ordering::AcqRel, &guard);
        // SAFETY: unlinked by the swap.
        unsafe { guard.defer_destroy(old) };
    }
}

/// seize.
pub(crate) struct Seize<T> {
    collector: Collector,
    object: AtomicPtr<T>,
}

impl<T: Send + Sync + 'static> Reclaiming<T> for Seize<T> {
    const NAME: &'static str = "seize";

    type Reader<'a> = &'a Seize<T>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Seize {
            collector: Collector::new(),
            object: AtomicPtr::new(Box::into_raw(Box::new(first))),
        })
    }

    fn reader(&self) -> &Seize<T> {
        self
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        let guard = reader.collector.enter();
        // SAFETY: never null; protected by the guard.
        read(unsafe { &*guard.protect(&reader.object, Ordering::Acquire) })
    }

    fn replace(&self, new: T) {
        let new = Box::into_raw(Box::new(new));
        let guard = self.collector.enter();
        let old = guard.swap(&self.object, new, Ordering::AcqRel);
        // SAFETY: unlinked by the swap; a box.
        unsafe { guard.defer_retire(old, seize::reclaim::boxed) };
    }
}

impl<T> Drop for Seize<T> {
    fn drop(&mut self) {
        // SAFETY: nobody reads any more; the last box.
        drop(unsafe { Box::from_raw(*self.object.get_mut()) });
    }
}

/// haphazard: each thread keeps its hazard pointer.
pub(crate) struct Haphazard<T>(haphazard::AtomicPtr<T>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Haphazard<T> {
    const NAME: &'static str = "haphazard";

    type Reader<'a> = (&'a haphazard::AtomicPtr<T>, HazardPointer<'static>);

    fn new(first: T) -> Result<Self, Error> {
        Ok(Haphazard(haphazard::AtomicPtr::from(Box::new(first))))
    }

    fn reader(&self) -> Self::Reader<'_> {
        (&self.0, HazardPointer::new())
    }

    #[inline(always)]
    fn read<R>((object, hazard): &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        let result = read(object.safe_load(hazard).expect("there always is one"));
        hazard.reset_protection();
        result
    }

    fn replace(&self, new: T) {
        if let Some(old) = self.0.swap(Box::new(new)) {
            // SAFETY: unlinked by the swap.
            unsafe { old.retire() };
        }
    }
}

impl<T> Drop for Haphazard<T> {
    fn drop(&mut self) {
        // SAFETY: nobody reads any more; the last box.
        drop(unsafe { Box::from_raw(self.0.load_ptr()) });
    }
}

/// sdd.
pub(crate) struct Sdd<T>(sdd::AtomicOwned<T>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Sdd<T> {
    const NAME: &'static str = "sdd";

    type Reader<'a> = &'a sdd::AtomicOwned<T>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Sdd(sdd::AtomicOwned::new(first)))
    }

    fn reader(&self) -> &sdd::AtomicOwned<T> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        let guard = sdd::Guard::new();
        let found = reader.load(Ordering::Acquire, &guard);
        read(found.as_ref().expect("there always is one"))
    }

    fn replace(&self, new: T) {
        let new = (Some(sdd::Owned::new(new)), sdd::Tag::None);
        // Dropping what it owned retires it.
        drop(self.0.swap(new, Ordering::AcqRel));
    }
}

/// kovan.
pub(crate) struct Kovan<T: Send + Sync + 'static>(kovan::Atom<T>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Kovan<T> {
    const NAME: &'static str = "kovan";

    type Reader<'a> = &'a kovan::Atom<T>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Kovan(kovan::Atom::new(first)))
    }

    fn reader(&self) -> &kovan::Atom<T> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        reader.peek(read)
    }

    fn replace(&self, new: T) {
        self.0.store(new);
    }
}

/// arc-swap.
pub(crate) struct ArcSwapped<T>(ArcSwap<T>);

impl<T: Send + Sync + 'static> Reclaiming<T> for ArcSwapped<T> {
    const NAME: &'static str = "arc_swap";

    type Reader<'a> = &'a ArcSwap<T>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(ArcSwapped(ArcSwap::from_pointee(first)))
    }

    fn reader(&self) -> &ArcSwap<T> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        read(&reader.load())
    }

    fn replace(&self, new: T) {
        self.0.store(Arc::new(new));
    }
}

/// An `Arc` behind a lock.
pub(crate) struct Locked<T>(RwLock<Arc<T>>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Locked<T> {
    const NAME: &'static str = "rwlock_arc";

    type Reader<'a> = &'a RwLock<Arc<T>>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Locked(RwLock::new(Arc::new(first))))
    }

    fn reader(&self) -> &RwLock<Arc<T>> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        let one = Arc::clone(&reader.read().unwrap_or_else(PoisonError::into_inner));
        read(&one)
    }

    fn replace(&self, new: T) {
        let new = Arc::new(new);
        let mut object = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *object, new);
        drop(object);
        drop(old);
    }
}

/// An `Arc` that all threads have already.
pub(crate) struct Arcs<T>(Arc<T>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Arcs<T> {
    const NAME: &'static str = "arc";

    type Reader<'a> = &'a Arc<T>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Arcs(Arc::new(first)))
    }

    fn reader(&self) -> &Arc<T> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        let one = Arc::clone(reader);
        debug_assert!(ptr::eq(&*one, &***reader));
        read(&one)
    }

    /// It cannot be.
    fn replace(&self, _: T) {}
}
