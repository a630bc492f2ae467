//! How objects go, and who waits for that.

use core::cell::Cell;
use core::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::Duration;

use percid::Scope;
use percid_rseq::Refusal;

#[cfg(debug_assertions)]
use super::inside;
use super::retired::Retired;
use super::stripe::BEHIND;
use super::{ReclaimDomain, grace};
use crate::sync::spin_once;

/// Turns of a wait, about a second, after which a thread is asked whether it waits for
/// itself.
#[cfg(debug_assertions)]
const IN_VAIN: u32 = 1800;

thread_local! {
    /// Whether this thread runs destructors: then one that retires does not run others.
    static DESTROYING: Cell<bool> = const { Cell::new(false) };
}

impl<S: Scope> ReclaimDomain<S> {
    /// Has `destroy` called with `object` once no reader can reach it any more: never in
    /// this call if the caller is inside a guard, and without waiting for readers.
    ///
    /// # Panics
    ///
    /// If a destructor of an earlier batch panics.
    ///
    /// # Safety
    ///
    /// - The object is unlinked: who enters after this call cannot find it.
    /// - It is retired once, and in the domain whose guards protect its readers.
    /// - `destroy` may be called with it on any thread, at any later time.
    pub unsafe fn retire_with(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        // Ordering: pairs with the choice of a phase: whoever is in the new one sees what the
        // caller unlinked, or the section below sees the new one.
        fence(Ordering::SeqCst);
        // SAFETY: the caller's contract.
        unsafe { self.retire(object, destroy) };
    }

    /// As [`retire_with`](Self::retire_with), for what the caller has just unlinked by a
    /// read-modify-write.
    ///
    /// # Safety
    ///
    /// As [`retire_with`](Self::retire_with), and so it was unlinked.
    #[inline]
    pub(crate) unsafe fn retire_exchanged(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        // Ordering: as above. On x86 the read-modify-write is that fence, and the section is
        // instructions that the compiler keeps behind it.
        #[cfg(not(target_arch = "x86_64"))]
        fence(Ordering::SeqCst);
        // SAFETY: the caller's contract.
        unsafe { self.retire(object, destroy) };
    }

    /// # Safety
    ///
    /// As [`retire_with`](Self::retire_with), behind a full fence.
    #[inline(always)]
    unsafe fn retire(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        let one = Retired { object, destroy };
        let capacity = self.pace.capacity();
        // SAFETY: bags change by this section, and by who has fenced it out.
        let retired = unsafe {
            match S::HAS_PARTS {
                true => self.part.run(&one.by(&BEHIND, capacity)),
                false => self.room.run_copied(one.by(&self.chosen.0, capacity)),
            }
        };
        if let Err(refusal) = retired {
            self.retire_slow(one, refusal);
        }
    }

    #[cold]
    #[inline(never)]
    fn retire_slow(&self, one: Retired, refusal: Refusal) {
        // The bag is full as often as a batch is; anything else is to be tried again.
        if refusal != Refusal::Full && self.retire_again(&one).is_ok() {
            return;
        }
        self.late.lock().push(one);
        if DESTROYING.get() {
            return;
        }
        self.pace.note();
        self.destroy(self.advance(false));
    }

    fn retire_again(&self, one: &Retired) -> Result<(), Refusal> {
        let capacity = self.pace.capacity();
        // SAFETY: as in `retire`.
        unsafe {
            match self.part.leads() {
                true => self.part.run_slow(&self.room, &one.by(&BEHIND, capacity)),
                false if self.is_open() => self.room.run(&one.by(&self.chosen.0, capacity)),
                false => Err(Refusal::Unsupported),
            }
        }
    }

    /// Runs destructors.
    fn destroy(&self, over: grace::Over<'_, S>) {
        /// Even if one panics.
        struct Done(bool);

        impl Drop for Done {
            fn drop(&mut self) {
                DESTROYING.set(self.0);
            }
        }

        let _done = Done(DESTROYING.replace(true));
        drop(over);
    }

    /// Retires an object and waits until it is destroyed: for who needs its memory, or what
    /// its destructor does, at once.
    ///
    /// # Panics
    ///
    /// If its destructor panics, or as [`synchronize`](Self::synchronize): the object leaks
    /// then. Called inside a guard of the same domain it waits for itself, for ever.
    ///
    /// # Safety
    ///
    /// As [`retire_with`](Self::retire_with).
    pub unsafe fn retire_now(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        self.synchronize();
        // SAFETY: all who could have found it have left.
        unsafe { destroy(object) };
    }

    /// Destroys what can be destroyed, without waiting for readers, and begins a grace
    /// period for the rest.
    ///
    /// # Panics
    ///
    /// If a destructor panics.
    pub fn flush(&self) {
        if !DESTROYING.get() {
            self.destroy(self.advance(false));
        }
    }

    /// Waits until every guard that exists now has been dropped.
    ///
    /// Whatever the caller unlinked before is its alone then. Called inside a guard of the
    /// same domain it waits for itself, for ever.
    ///
    /// # Panics
    ///
    /// If a destructor panics that runs meanwhile. In debug builds, after about a second, if
    /// a guard still exists that the calling thread has entered, wherever it is by now.
    pub fn synchronize(&self) {
        let number = self.next_number();
        self.wait(number, || self.has_ended(number));
    }

    /// Waits until everything that was retired before has been destroyed. Not to be called
    /// inside a guard of the domain, nor in a destructor: it would wait for itself, for ever.
    ///
    /// # Panics
    ///
    /// As [`synchronize`](Self::synchronize).
    pub fn barrier(&self) {
        let number = self.next_number();
        self.wait(number, || self.has_destroyed(number));
    }

    /// Brings grace periods forward, to the one of that number, until it is so.
    fn wait(&self, number: u64, is_so: impl Fn() -> bool) {
        let mut turn = 0;
        while !is_so() {
            #[cfg(debug_assertions)]
            assert!(
                turn != IN_VAIN || !inside::is_inside(&self.number),
                "a thread waits for readers inside its own guard of the same domain: it would \
                 wait for itself, for ever"
            );
            self.destroy(self.advance(!self.has_ended(number)));
            // Readers may be asleep: ask less and less often.
            match turn {
                0..256 => spin_once(turn),
                _ => thread::sleep(Duration::from_micros(u64::from(turn.min(1256) - 255))),
            }
            turn = turn.saturating_add(1);
        }
    }
}
