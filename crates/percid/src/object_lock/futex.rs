//! A word that threads sleep on, by its low half.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Looks at a word before its thread sleeps on it.
#[cfg(not(loom))]
pub(super) const SPINS: u32 = 100;
/// Models sleep at once.
#[cfg(loom)]
pub(super) const SPINS: u32 = 0;

/// A word. What is slept on is its low half.
pub(super) struct Futex {
    pub(super) word: AtomicU64,
    #[cfg(loom)]
    model: model::Model,
}

impl Futex {
    #[cfg(not(loom))]
    pub(super) const fn new(value: u64) -> Futex {
        Futex {
            word: AtomicU64::new(value),
        }
    }

    #[cfg(loom)]
    pub(super) fn new(value: u64) -> Futex {
        Futex {
            word: AtomicU64::new(value),
            model: model::Model::default(),
        }
    }

    /// Waits for the word to have one of the values that `enough` accepts, for a moment.
    // Ordering: Acquire: who goes on has what came before the value.
    pub(super) fn spin(&self, enough: impl Fn(u64) -> bool) -> bool {
        (0..SPINS).any(|_| {
            let found = enough(self.word.load(Ordering::Acquire));
            if !found {
                core::hint::spin_loop();
            }
            found
        })
    }

    /// Sleeps if the word is `value` with the bits of `says`, having set those first if it
    /// was `value` without them. Returns when it was woken, has changed, or for no reason.
    pub(super) fn sleep_saying(&self, value: u64, says: u64) {
        if value & says == 0 {
            // Ordering: Relaxed. It says only that somebody sleeps.
            let said = self.word.compare_exchange(
                value,
                value | says,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if said.is_err() {
                return;
            }
        }
        self.wait(value | says);
    }
}

#[cfg(all(target_os = "linux", not(loom)))]
impl Futex {
    fn half(&self) -> *mut u32 {
        let halves = self.word.as_ptr().cast::<u32>();
        halves.wrapping_add(usize::from(cfg!(target_endian = "big")))
    }

    /// Sleeps if the low half is that of `value`. The kernel compares and falls asleep
    /// in one step, seen from `wake_all`.
    fn wait(&self, value: u64) {
        let _errno = percid_rseq::Preserved::new();
        let no_timeout = core::ptr::null::<libc::timespec>();
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: half a word, which outlives the call. Whatever it returns, the caller
        // looks again.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.half(),
                operation,
                value as u32,
                no_timeout,
            )
        };
    }

    /// Wakes all who sleep.
    #[cold]
    pub(super) fn wake_all(&self) {
        let _errno = percid_rseq::Preserved::new();
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: an address, at which nothing is read.
        unsafe { libc::syscall(libc::SYS_futex, self.half(), operation, i32::MAX) };
    }
}

/// Elsewhere nobody sleeps for long, and nobody has to be woken.
#[cfg(all(not(target_os = "linux"), not(loom)))]
impl Futex {
    fn wait(&self, value: u64) {
        if self.word.load(Ordering::Relaxed) == value {
            crate::sync::rest();
        }
    }

    #[cold]
    pub(super) fn wake_all(&self) {}
}

#[cfg(loom)]
mod model {
    use loom::sync::{Condvar, Mutex};

    use super::{Futex, Ordering};

    /// The kernel's queue for one address.
    pub(super) struct Model {
        queue: Mutex<()>,
        woken: Condvar,
    }

    impl Default for Model {
        fn default() -> Model {
            Model {
                queue: Mutex::new(()),
                woken: Condvar::new(),
            }
        }
    }

    impl Futex {
        pub(super) fn wait(&self, value: u64) {
            let queue = self.model.queue.lock().unwrap();
            if self.word.load(Ordering::SeqCst) as u32 == value as u32 {
                drop(self.model.woken.wait(queue).unwrap());
            }
        }

        pub(in super::super) fn wake_all(&self) {
            let _queue = self.model.queue.lock().unwrap();
            self.model.woken.notify_all();
        }
    }
}
