//! Whose turn it is to try the kernel: one thread's at a time. A trial starts two threads,
//! with stacks; of a thousand threads that begin at once each would.
//!
//! Others wait for what it finds, but not for ever: the one whose turn it is may be the one
//! that the caller's handler has interrupted. So two may try after all, and the first answer
//! stands. The turn of a thread that only the parent of a `fork` has is over.

use core::sync::atomic::{AtomicU64, Ordering};

use percid_rseq::generation;

/// Looks at most before a thread tries by itself, with naps of a tenth of a millisecond.
const LOOKS: u32 = 500;

/// The thread whose turn it is, by the number of its process among forks and the kernel's
/// number; 0: nobody's.
#[derive(Debug)]
pub(super) struct Turn(AtomicU64);

/// Ends the turn when it is dropped, if it was one.
pub(super) struct Taken<'a> {
    turn: &'a Turn,
    thread: u64,
}

impl Turn {
    pub(super) const fn new() -> Turn {
        Turn(AtomicU64::new(0))
    }

    /// Waits until it is this thread's turn, or no use to wait any more; `None` if the
    /// answer `is_known` meanwhile.
    pub(super) fn take(&self, is_known: impl Fn() -> bool) -> Option<Taken<'_>> {
        let (turn, thread) = (self, thread());
        for _ in 0..LOOKS {
            // Ordering: Relaxed, here and below. The answers are numbers by themselves.
            let now = self.0.load(Ordering::Relaxed);
            let over = now >> 32 != thread >> 32;
            let taken = self.0.compare_exchange(
                if over { now } else { 0 },
                thread,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            // Who had the turn may have found the answer since it was looked for.
            if is_known() {
                drop(taken.map(|_| Taken { turn, thread }));
                return None;
            }
            match taken {
                Err(other) if other != thread => rest(),
                _ => break,
            }
        }
        Some(Taken { turn, thread })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let _ = self
            .turn
            .0
            .compare_exchange(self.thread, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
fn thread() -> u64 {
    // SAFETY: no preconditions. Async-signal-safe.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    u64::from(generation()) << 32 | u64::from(thread as u32)
}

#[cfg(target_os = "linux")]
fn rest() {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 100_000,
    };
    // SAFETY: a time, and no place for what is left of it.
    unsafe { libc::nanosleep(&raw const time, core::ptr::null_mut()) };
}

/// Elsewhere a trial starts nothing: each thread may have the answer at once.
#[cfg(not(target_os = "linux"))]
fn thread() -> u64 {
    u64::from(generation()) << 32 | 1
}

#[cfg(not(target_os = "linux"))]
fn rest() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn one_at_a_time_and_the_next_after_it() {
        let turn = Turn::new();
        let taken = turn.take(|| false).expect("nobody has the answer");
        assert_eq!(turn.0.load(Ordering::Relaxed), thread());
        drop(taken);
        assert_eq!(turn.0.load(Ordering::Relaxed), 0);
        assert!(turn.take(|| true).is_none());
        assert_eq!(turn.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn others_wait_for_the_answer() {
        let (turn, looks) = (Turn(AtomicU64::new(another())), Cell::new(0));
        let taken = turn.take(|| looks.replace(looks.get() + 1) == 5);
        assert!(taken.is_none());
        assert_eq!(looks.get(), 6);
        assert_eq!(turn.0.load(Ordering::Relaxed), another());
    }

    #[test]
    fn nobody_waits_for_ever_nor_for_itself() {
        let (turn, looks) = (Turn(AtomicU64::new(another())), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            false
        };
        drop(turn.take(look).expect("waited in vain"));
        assert_eq!(looks.get(), LOOKS);
        assert_eq!(turn.0.load(Ordering::Relaxed), another(), "another one's");
        // As in a handler that has interrupted the trial.
        let turn = Turn(AtomicU64::new(thread()));
        looks.set(0);
        assert!(turn.take(look).is_some());
        assert_eq!(looks.get(), 1);
    }

    #[test]
    fn a_childs_threads_do_not_wait_for_a_parents() {
        let (turn, looks) = (Turn(AtomicU64::new(another() - (1 << 32))), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            false
        };
        let taken = turn.take(look).expect("nobody has the answer");
        assert_eq!(looks.get(), 1);
        assert_eq!(turn.0.load(Ordering::Relaxed), thread());
        drop(taken);
        assert_eq!(turn.0.load(Ordering::Relaxed), 0);
    }

    /// A thread of this process that does not end its turn.
    fn another() -> u64 {
        thread() | u64::from(u32::MAX)
    }
}
