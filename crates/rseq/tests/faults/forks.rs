//! A child of `fork` has its parent's area and what was committed, and counts on.

use std::sync::atomic::{AtomicBool, Ordering};

use percid_rseq::{enter_thread, registration, thread_ids};

use crate::child::{in_child, without_libcs_areas};
use crate::host::{Stripes, has_mm_cid, kernel_knows_an_area};

/// How a child ended; it says so by its exit code.
pub(crate) fn wait_for(child: libc::pid_t) -> Option<i32> {
    assert!(child > 0, "no child");
    let mut status = 0;
    // SAFETY: a child of this process and a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends a child without running this program's exit.
    unsafe { libc::_exit(code) }
}

/// Runs `work` in a child of the calling thread.
fn in_fork(work: impl FnOnce() -> bool) {
    // SAFETY: the children run sections, allocate, fork and end; libc is ready for
    // that in a child of a thread.
    match unsafe { libc::fork() } {
        // A panic would end the child's last thread, and with that the child well.
        0 => {
            let work = std::panic::AssertUnwindSafe(work);
            exit(i32::from(!std::panic::catch_unwind(work).unwrap_or(false)))
        }
        child => assert_eq!(wait_for(child), Some(0), "the child is wrong"),
    }
}

/// What a child must find, and do.
fn goes_on(stripes: &Stripes) -> bool {
    let before = stripes.sum();
    let registered = thread_ids().is_some() && kernel_knows_an_area();
    (0..1000).for_each(|_| stripes.count());
    registered && stripes.sum() == before + 1000 && enter_thread().is_ok()
}

fn children_go_on() {
    if !has_mm_cid() {
        return;
    }
    let stripes = Stripes::new();
    (0..10).for_each(|_| stripes.count());
    let found = registration();
    in_fork(|| stripes.sum() == 10 && goes_on(&stripes) && registration() == found);
    // A child of a child, and one of a thread that is not the main thread.
    in_fork(|| {
        in_fork(|| goes_on(&stripes));
        goes_on(&stripes)
    });
    // The child's own threads.
    in_fork(|| {
        let thread = std::thread::scope(|scope| {
            let one = || enter_thread().is_ok() && goes_on(&stripes);
            scope.spawn(one).join().unwrap()
        });
        thread && goes_on(&stripes)
    });
    // While others count: the child has every add that was committed, and no half.
    let counting = AtomicBool::new(true);
    let counted: u64 = std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| {
            scope.spawn(|| {
                enter_thread().unwrap();
                let mut times = 0;
                while counting.load(Ordering::Relaxed) {
                    stripes.count();
                    times += 1;
                }
                times
            })
        });
        for _ in 0..20 {
            let least = stripes.sum();
            in_fork(|| stripes.sum() >= least && goes_on(&stripes));
            stripes.count();
        }
        counting.store(false, Ordering::Relaxed);
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(stripes.sum(), 10 + 20 + counted);
}

#[test]
fn children_go_on_in_libcs_areas() {
    if in_child("forks::children_go_on_in_libcs_areas", |_| ()) {
        children_go_on();
    }
}

#[test]
fn children_go_on_in_areas_of_percid() {
    let name = "forks::children_go_on_in_areas_of_percid";
    if in_child(name, without_libcs_areas) {
        children_go_on();
    }
}

/// The process is doubled in a handler that has interrupted a section: it is aborted
/// in both.
#[cfg(percid_inject)]
mod inside_sections {
    use std::sync::atomic::{AtomicI32, Ordering};

    use percid_rseq::Refusal;
    use percid_rseq::inject::set_delay;

    use super::*;

    /// The child that the handler made; 0 in that child, -1 before.
    static CHILD: AtomicI32 = AtomicI32::new(-1);

    /// A section is about to begin: time for the signal.
    static BEGINS: AtomicBool = AtomicBool::new(false);

    /// It has not ended yet: the handler may fork.
    static OPEN: AtomicBool = AtomicBool::new(false);

    extern "C" fn fork_once(_: i32) {
        if OPEN.load(Ordering::Relaxed) && CHILD.load(Ordering::Relaxed) == -1 {
            // SAFETY: the interrupted code spins in a section and holds no lock.
            CHILD.store(unsafe { libc::fork() }, Ordering::Relaxed);
        }
    }

    /// Tries once, under a signal that is sent when the section begins. If it finds the
    /// section open there are two processes after this.
    fn try_under_a_signal(stripes: &Stripes) -> Result<(), Refusal> {
        // SAFETY: no preconditions.
        let target = unsafe { libc::pthread_self() };
        let signal = std::thread::spawn(move || {
            while !BEGINS.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            // SAFETY: the target waits for this thread.
            unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
        });
        CHILD.store(-1, Ordering::Relaxed);
        set_delay(3, 5_000_000);
        OPEN.store(true, Ordering::Relaxed);
        BEGINS.store(true, Ordering::Release);
        let outcome = stripes.try_once();
        OPEN.store(false, Ordering::Relaxed);
        set_delay(3, 0);
        if CHILD.load(Ordering::Relaxed) == 0 {
            // Only the parent has that thread.
            std::mem::forget(signal);
        } else {
            signal.join().unwrap();
        }
        BEGINS.store(false, Ordering::Relaxed);
        outcome
    }

    fn forks_inside() {
        const ROUNDS: u64 = 500;
        const ENOUGH: u64 = 10;
        /// How a child ends whose section was not aborted.
        const OUTSIDE: i32 = 2;
        if !has_mm_cid() {
            return;
        }
        // SAFETY: a handler that does what is allowed where it is used.
        unsafe { libc::signal(libc::SIGUSR1, fork_once as *const () as usize) };
        let stripes = Stripes::new();
        let mut inside = 0;
        for round in 0..ROUNDS {
            let outcome = try_under_a_signal(&stripes);
            let aborted = outcome == Err(Refusal::Aborted);
            assert!(aborted || outcome.is_ok(), "{outcome:?}");
            if aborted {
                assert_eq!(stripes.sum(), round, "an aborted section has stored");
                stripes.count();
            }
            let exact = stripes.sum() == round + 1;
            let child = CHILD.load(Ordering::Relaxed);
            if child == 0 {
                let well = exact && goes_on(&stripes);
                exit(match (well, aborted) {
                    (false, _) => 1,
                    (true, true) => 0,
                    (true, false) => OUTSIDE,
                });
            }
            assert!(exact);
            if child > 0 {
                match wait_for(child) {
                    Some(0) => inside += 1,
                    code => assert_eq!(code, Some(OUTSIDE), "the child is wrong"),
                }
            }
            if inside == ENOUGH {
                return;
            }
        }
        panic!("only {inside} forks landed in a section");
    }

    #[test]
    fn handlers_fork_in_libcs_areas() {
        if in_child(
            "forks::inside_sections::handlers_fork_in_libcs_areas",
            |_| (),
        ) {
            forks_inside();
        }
    }

    #[test]
    fn handlers_fork_in_areas_of_percid() {
        let name = "forks::inside_sections::handlers_fork_in_areas_of_percid";
        if in_child(name, without_libcs_areas) {
            forks_inside();
        }
    }
}
