//! Who changes gates and takes magazines: one thread at a time, and nobody waits.
//!
//! The word holds the holder's name. So a child of `fork` knows a holder that only its
//! parent has: it takes the word over, and what that holder was doing is repaired by who
//! comes next. A holder that a handler has interrupted which then forked goes on in the child,
//! too, and keeps the word.

use core::sync::atomic::{AtomicU64, Ordering};

use percid_rseq::{holder, is_gone};

#[derive(Debug)]
pub(crate) struct Control(AtomicU64);

/// The right to change gates.
pub(crate) struct Holding<'a> {
    control: &'a Control,
    me: u64,
}

impl Control {
    pub(crate) const fn new() -> Control {
        Control(AtomicU64::new(0))
    }

    /// `None`: somebody else is at it, perhaps the very code that a handler interrupted.
    // Ordering: Acquire pairs with the Release of the last holder: its stores to gates and
    // lengths are seen.
    pub(crate) fn try_hold(&self) -> Option<Holding<'_>> {
        let (control, me) = (self, holder());
        let held = self.0.load(Ordering::Relaxed);
        let is_held = (held == 0 || is_gone(held))
            && self
                .0
                .compare_exchange(held, me, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        // Made only if it is: dropping one gives control back.
        is_held.then(|| Holding { control, me })
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        // The name that it was taken by: in a child the thread has another one by now.
        debug_assert_eq!(self.control.0.load(Ordering::Relaxed), self.me);
        // Ordering: Release, as `try_hold` says.
        self.control.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a child of this process finds: 0 if all was as it should.
    #[cfg(unix)]
    fn in_child(work: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child looks at words, and ends.
        unsafe {
            let child = libc::fork();
            assert!(child >= 0, "no child");
            if child == 0 {
                // A panic would end the child's last thread, and with that the child well.
                let work = std::panic::AssertUnwindSafe(work);
                let well = std::panic::catch_unwind(work).unwrap_or(false);
                libc::_exit(i32::from(!well));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }

    #[test]
    #[cfg(unix)]
    fn who_forks_goes_on_in_the_child_and_nobody_else_does() {
        static CONTROL: Control = Control::new();
        let mut held = Some(CONTROL.try_hold().unwrap());
        // As in a handler that has interrupted this thread.
        let goes_on = || {
            let kept = CONTROL.try_hold().is_none();
            // A child's child, too.
            let again = in_child(|| CONTROL.try_hold().is_none());
            held = None;
            kept && again && CONTROL.try_hold().is_some()
        };
        assert!(in_child(goes_on));
        assert!(CONTROL.try_hold().is_none(), "the parent's is the parent's");
        let taken_over = || in_child(|| CONTROL.try_hold().is_some());
        assert!(std::thread::spawn(taken_over).join().unwrap());
    }

    #[test]
    fn one_at_a_time_unless_it_is_of_another_process() {
        let control = Control::new();
        let held = control.try_hold().unwrap();
        // Asking in vain leaves it with its holder.
        for _ in 0..3 {
            assert!(control.try_hold().is_none());
        }
        drop(held);
        // Of another process, and of another thread.
        control.0.store(holder() ^ (1 << 40 | 1), Ordering::Relaxed);
        assert_eq!(control.try_hold().is_some(), cfg!(unix));
    }
}
