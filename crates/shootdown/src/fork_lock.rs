//! A lock for what slow paths share, which a child of `fork` does not find held for ever.
//!
//! The lock's word says which process's generation took it. In a child the generation is
//! another one, so what a thread of the parent held is taken over: with whatever that
//! thread had half done, which is therefore leaked and made anew, and said to the caller.
//!
//! A thread that forks holds none itself: nothing is called under a lock that is not this
//! crate's. A signal handler that forks might interrupt one that does; so in such a child
//! nothing of this crate may be used, which the crate's documentation says.

use core::cell::UnsafeCell;
use core::mem;
use core::ops::{Deref, DerefMut};

use percid_rseq::generation;

use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::spin_once;

/// Nobody holds it; a generation is never this.
const FREE: u32 = 0;

/// A value that one thread at a time works on, for a moment.
pub(crate) struct ForkLock<T> {
    holder: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time has the value: whoever moved `holder` from FREE, or from a
// generation whose threads this process does not have.
unsafe impl<T: Send> Sync for ForkLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for ForkLock<T> {}

impl<T: Default> ForkLock<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> ForkLock<T> {
        ForkLock {
            holder: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new(value: T) -> ForkLock<T> {
        ForkLock {
            holder: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// The lock, if nobody of this process has it.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_, T>> {
        let mine = generation();
        let mut seen = FREE;
        loop {
            // Ordering: Acquire pairs with the Release of `Locked::drop`.
            match self
                .holder
                .compare_exchange(seen, mine, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(held) if held == mine => return None,
                // Free by now, or of a thread that only an ancestor has.
                Err(other) => seen = other,
            }
        }
        let inherited = seen != FREE;
        if inherited {
            // SAFETY: the lock is this thread's. What is there may be half changed, so it is
            // neither read nor dropped.
            unsafe { self.value.get().write(T::default()) };
        }
        Some(Locked {
            lock: self,
            inherited,
        })
    }

    /// The lock. Waits for whoever has it, which is never for longer than a few steps of
    /// its own: nothing is called under it that is not this crate's.
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        let mut turn = 0;
        loop {
            if let Some(locked) = self.try_lock() {
                return locked;
            }
            spin_once(turn);
            turn = turn.wrapping_add(1);
        }
    }

    /// Leaves it as a child finds a lock that a thread of its parent held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn hold_as_an_ancestor(&self) {
        mem::forget(self.lock());
        self.holder.store(generation() + 7, Ordering::Relaxed);
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// A lock that is held.
pub(crate) struct Locked<'a, T> {
    lock: &'a ForkLock<T>,
    inherited: bool,
}

impl<T> Locked<'_, T> {
    /// Whether it was taken over from a thread that this process does not have: the value
    /// is a new one then. Says so once.
    pub(crate) fn was_inherited(&mut self) -> bool {
        mem::take(&mut self.inherited)
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        // Ordering: Release pairs with the Acquire of `try_lock`.
        self.lock.holder.store(FREE, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let lock = ForkLock::new(vec![1]);
        let mut held = lock.lock();
        assert!(lock.try_lock().is_none());
        held.push(2);
        drop(held);
        assert_eq!(*lock.lock(), [1, 2]);
    }

    #[test]
    fn what_an_ancestor_held_is_made_anew() {
        let lock = ForkLock::new(vec![1]);
        lock.hold_as_an_ancestor();
        let mut held = lock.try_lock().expect("nobody of this process has it");
        assert!(held.was_inherited());
        assert!(!held.was_inherited(), "said once");
        assert!(held.is_empty());
    }
}
