//! The thread as the source of an id: for threads that cannot run sections.
//!
//! A thread takes the lowest free of [`THREAD_STRIPES`] ids at its first use and
//! returns it when it ends. Its stripe is still changed by atomic
//! read-modify-writes only, because a signal handler may interrupt it and because
//! threads share stripes when there are more of them than ids. So ownership is a
//! matter of speed (nobody else writes the line), never of correctness, and that
//! is what lets this stay simple where it must:
//!
//! - with every id taken, or where it can keep nothing, a thread shares stripe 0;
//! - where no thread-exit hook can be set, it shares stripe 0;
//! - a thread that has left ([`prepare_unload`]) takes an id anew when it comes back;
//! - in the child of a fork the ids of threads that are gone are free again, and
//!   the surviving thread may come to share its id with a new one.

use core::sync::atomic::{AtomicU32, Ordering};

use percid_rseq::generation;

use crate::IdSet;
use crate::local;

/// Stripes for threads that cannot run sections.
pub const THREAD_STRIPES: u32 = IdSet::CAPACITY;

/// The stripe of all threads without one of their own.
const SHARED: u32 = 0;

/// What a thread without an id keeps ([`entry`]): its low bits are [`SHARED`] plus one, and
/// no id is that high.
const NO_ID: u32 = SHARED + THREAD_STRIPES + 1;

static IDS: IdSet = IdSet::new();

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
    // Ordering: Relaxed, here and below: only this thread and its handlers look.
    match entry(|entry| entry.load(Ordering::Relaxed)) {
        Some(0) => thread_stripe_slow(),
        Some(entry) => of_entry(entry),
        None => SHARED,
    }
}

/// Looks at what this thread keeps, if it can keep anything: an id plus one, or [`NO_ID`];
/// 0: none asked for yet.
#[inline]
fn entry<T>(look: impl FnOnce(&AtomicU32) -> T) -> Option<T> {
    local::with(|local| look(&local.stripe))
}

/// The stripe that an entry stands for.
const fn of_entry(entry: u32) -> u32 {
    (entry - 1) % THREAD_STRIPES
}

const _: () = assert!(of_entry(NO_ID) == SHARED && THREAD_STRIPES.is_power_of_two());

#[cold]
fn thread_stripe_slow() -> u32 {
    forget_the_dead();
    let mine = IDS.acquire();
    let new = mine.map_or(NO_ID, |id| id + 1);
    let kept = entry(|entry| entry.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed));
    match (kept.unwrap_or(Ok(0)), mine) {
        // A handler that interrupted this function has taken one meanwhile.
        (Err(taken), Some(id)) => {
            IDS.release(id);
            of_entry(taken)
        }
        (Ok(_), Some(id)) if exit::hook(id).is_err() => {
            entry(|entry| entry.store(NO_ID, Ordering::Relaxed));
            IDS.release(id);
            SHARED
        }
        (Err(taken), None) => of_entry(taken),
        (Ok(_), _) => of_entry(new),
    }
}

/// Readies the calling thread for the unloading of the library that this copy of the
/// crate is part of: gives its stripe back, and calls
/// [`percid_rseq::prepare_unload`], which says when a thread has to do this.
///
/// ```
/// let _stripe = percid_cid::thread_stripe();
/// percid_cid::prepare_unload();
/// ```
///
/// # Fork and signals
///
/// May be called from a signal handler.
pub fn prepare_unload() {
    if entry(|entry| entry.load(Ordering::Relaxed)) != Some(0) {
        give_back();
    }
    percid_rseq::prepare_unload();
}

#[cold]
fn give_back() {
    // Whoever swaps it out releases it. A handler between the two lines may have
    // taken another id, which then returns only with the process: a stripe less.
    let had = entry(|entry| entry.swap(0, Ordering::Relaxed)).unwrap_or(0);
    exit::unhook();
    if (1..NO_ID).contains(&had) {
        IDS.release(had - 1);
    }
}

/// In a child of `fork`, frees the ids of threads that only the parent has.
fn forget_the_dead() {
    static OWNER: AtomicU32 = AtomicU32::new(0);
    let process = generation();
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
    entry(|entry| entry.store(0, Ordering::Relaxed));
    IDS.release(id);
}

#[cfg(unix)]
mod exit {
    use core::ffi::c_void;
    use core::num::NonZeroUsize;

    use percid_rseq::ExitKey;

    static KEY: ExitKey = ExitKey::new(at_thread_exit);

    pub(super) fn hook(id: u32) -> Result<(), ()> {
        KEY.set(NonZeroUsize::MIN.saturating_add(id as usize))
            .map_err(drop)
    }

    pub(super) fn unhook() {
        KEY.clear();
    }

    unsafe extern "C" fn at_thread_exit(value: *mut c_void) {
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

    std::thread_local! {
        static HOOK: Hook = const { Hook(Cell::new(None)) };
    }

    pub(super) fn hook(id: u32) -> Result<(), ()> {
        HOOK.try_with(|hook| hook.0.set(Some(id))).map_err(drop)
    }

    pub(super) fn unhook() {
        let _ = HOOK.try_with(|hook| hook.0.set(None));
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
    fn a_thread_that_leaves_gives_its_id_back() {
        let _alone = ALONE.lock();
        std::thread::spawn(|| {
            let mine = thread_stripe();
            prepare_unload();
            let other = std::thread::spawn(thread_stripe).join().unwrap();
            assert_eq!(other, mine, "the lowest free id");
            assert_eq!(thread_stripe(), mine);
            prepare_unload();
            prepare_unload();
        })
        .join()
        .unwrap();
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
