//! The thread as the source of an id: for threads that cannot run sections.
//!
//! A thread takes the lowest free of [`THREAD_STRIPES`] ids at its first use and
//! returns it when it ends. Its stripe is still changed by atomic
//! read-modify-writes only, because a signal handler may interrupt it and because
//! threads share stripes when there are more of them than ids. So ownership is a
//! matter of speed (nobody else writes the line), never of correctness, and that
//! is what lets this stay simple where it must:
//!
//! - with every id taken, a thread shares stripe 0;
//! - where no thread-exit hook can be set, it shares stripe 0;
//! - in the child of a fork the ids of threads that are gone are free again, and
//!   the surviving thread may come to share its id with a new one.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::IdSet;

/// Stripes for threads that cannot run sections.
pub const THREAD_STRIPES: u32 = IdSet::CAPACITY;

/// The stripe of all threads without one of their own.
const SHARED: u32 = 0;

static IDS: IdSet = IdSet::new();

thread_local! {
    /// This thread's stripe plus one; 0: none taken yet. Atomic against signal
    /// handlers of the same thread; no destructor, so that it can be used in them
    /// and in other destructors.
    static STRIPE: AtomicU32 = const { AtomicU32::new(0) };
}

/// The stripe of the calling thread, below [`THREAD_STRIPES`]. Change it by
/// atomic read-modify-writes only: other threads may share it.
///
/// ```
/// let mine = percid_cid::thread_stripe();
/// assert!(mine < percid_cid::THREAD_STRIPES);
/// assert_eq!(percid_cid::thread_stripe(), mine);
/// ```
///
/// # Fork and signals
///
/// May be called from a signal handler, and works in destructors of
/// thread-locals and after.
#[inline]
#[must_use]
pub fn thread_stripe() -> u32 {
    // A thread-local without a destructor is accessible to the end.
    // Ordering: Relaxed, here and below: only this thread and its handlers look.
    match STRIPE.with(|stripe| stripe.load(Ordering::Relaxed)) {
        0 => thread_stripe_slow(),
        stripe => stripe - 1,
    }
}

#[cold]
fn thread_stripe_slow() -> u32 {
    forget_the_dead();
    let mine = IDS.acquire();
    let stripe = mine.unwrap_or(SHARED);
    let kept = STRIPE
        .with(|slot| slot.compare_exchange(0, stripe + 1, Ordering::Relaxed, Ordering::Relaxed));
    match (kept, mine) {
        // A handler that interrupted this function has taken one meanwhile.
        (Err(taken), Some(id)) => {
            IDS.release(id);
            taken - 1
        }
        (Ok(_), Some(id)) if exit::hook(id).is_err() => {
            leave(id);
            STRIPE.with(|slot| slot.store(SHARED + 1, Ordering::Relaxed));
            SHARED
        }
        (Err(taken), None) => taken - 1,
        (Ok(_), _) => stripe,
    }
}

/// In a child of `fork`, frees the ids of threads that only the parent has.
fn forget_the_dead() {
    static OWNER: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id();
    // Ordering: Relaxed. Ids confer no right that would need ordering.
    let owner = OWNER.load(Ordering::Relaxed);
    if owner == process {
        return;
    }
    let swapped = OWNER.compare_exchange(owner, process, Ordering::Relaxed, Ordering::Relaxed);
    if owner != 0 && swapped.is_ok() {
        IDS.clear();
    }
}

/// Gives a thread's id back; called once, when the thread ends.
fn leave(id: u32) {
    STRIPE.with(|slot| slot.store(0, Ordering::Relaxed));
    IDS.release(id);
}

/// A POSIX key: unlike a destructor of `thread_local!` it can be set in a signal
/// handler, since libc keeps the first few values in the thread itself.
#[cfg(unix)]
mod exit {
    use core::ptr;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// The key plus one; 0: not made yet.
    static KEY: AtomicU64 = AtomicU64::new(0);

    /// glibc keeps the first values in the thread and allocates for others, which a
    /// signal handler must not.
    const WITHOUT_ALLOCATION: u64 = 32;

    pub(super) fn hook(id: u32) -> Result<(), ()> {
        // The value must not be null, or the destructor does not run.
        let value = ptr::without_provenance(id as usize + 1);
        let key = key()?;
        if cfg!(target_env = "gnu") && key as u64 >= WITHOUT_ALLOCATION {
            return Err(());
        }
        // SAFETY: a key that this module made.
        match unsafe { libc::pthread_setspecific(key, value) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }

    fn key() -> Result<libc::pthread_key_t, ()> {
        // Ordering: Relaxed. The key is a number; libc orders what it stands for.
        let known = KEY.load(Ordering::Relaxed);
        if known != 0 {
            return Ok((known - 1) as libc::pthread_key_t);
        }
        let mut made = 0;
        // SAFETY: a valid place for the key and a destructor of the right type.
        if unsafe { libc::pthread_key_create(&raw mut made, Some(at_thread_exit)) } != 0 {
            return Err(());
        }
        let mine = made as u64 + 1;
        match KEY.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(made),
            Err(first) => {
                // SAFETY: nobody has seen the key that lost.
                unsafe { libc::pthread_key_delete(made) };
                Ok((first - 1) as libc::pthread_key_t)
            }
        }
    }

    extern "C" fn at_thread_exit(value: *mut libc::c_void) {
        super::leave((value.addr() - 1) as u32);
    }
}

#[cfg(not(unix))]
mod exit {
    use core::cell::Cell;

    struct Hook(Cell<Option<u32>>);

    impl Drop for Hook {
        fn drop(&mut self) {
            self.0.take().map(super::leave);
        }
    }

    thread_local! {
        static HOOK: Hook = const { Hook(Cell::new(None)) };
    }

    pub(super) fn hook(id: u32) -> Result<(), ()> {
        HOOK.try_with(|hook| hook.0.set(Some(id))).map_err(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Barrier, Mutex};

    use super::*;

    /// The ids are the process's: one test at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn living_threads_differ_and_ids_return() {
        const THREADS: usize = 16;
        let _alone = ALONE.lock();
        for _ in 0..20 {
            let barrier = Barrier::new(THREADS);
            let stripes: HashSet<u32> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|_| {
                        scope.spawn(|| {
                            let stripe = thread_stripe();
                            barrier.wait();
                            assert_eq!(thread_stripe(), stripe);
                            stripe
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert_eq!(stripes.len(), THREADS);
            // Twenty rounds of sixteen fit only because ids are returned.
            assert!(stripes.iter().all(|&stripe| stripe < THREAD_STRIPES));
        }
    }

    #[test]
    fn more_threads_than_ids_share() {
        const THREADS: usize = THREAD_STRIPES as usize + 20;
        let _alone = ALONE.lock();
        let barrier = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let stripe = thread_stripe();
                    assert!(stripe < THREAD_STRIPES);
                    barrier.wait();
                });
            }
        });
    }
}
