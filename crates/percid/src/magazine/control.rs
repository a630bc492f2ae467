//! Who changes gates and takes magazines: one thread at a time, and nobody waits.
//!
//! The word holds the holder's process. So a child of `fork` knows a holder that only its
//! parent has: it takes the word over, and what that holder was doing is repaired by who
//! comes next.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::sync::process_id;

#[derive(Debug)]
pub(crate) struct Control(AtomicU32);

/// The right to change gates.
pub(crate) struct Holding<'a>(&'a Control);

impl Control {
    pub(crate) const fn new() -> Control {
        Control(AtomicU32::new(0))
    }

    /// `None`: somebody else is at it, perhaps the very code that a handler interrupted.
    // Ordering: Acquire pairs with the Release of the last holder: its stores to gates and
    // lengths are seen.
    pub(crate) fn try_hold(&self) -> Option<Holding<'_>> {
        let me = process_id();
        let held = self.0.load(Ordering::Relaxed);
        let is_held = held != me
            && self
                .0
                .compare_exchange(held, me, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        // Made only if it is: dropping one gives control back.
        is_held.then(|| Holding(self))
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        // Ordering: Release, as `try_hold` says.
        self.0.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_unless_it_is_of_another_process() {
        let control = Control::new();
        let held = control.try_hold().unwrap();
        // Asking in vain leaves it with its holder.
        for _ in 0..3 {
            assert!(control.try_hold().is_none());
        }
        drop(held);
        control.0.store(process_id() ^ 1, Ordering::Relaxed);
        assert!(control.try_hold().is_some());
    }
}
