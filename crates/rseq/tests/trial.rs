//! Trials of the kernel: sound ones pass, whatever else goes on; one that aborts nothing
//! is found out; and what is refused is said to be unverified.
#![cfg(target_os = "linux")]

#[path = "support/child.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod child;
#[path = "support/seccomp.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod seccomp;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use child::in_child;
use percid_rseq::testing::trial_without_aborts;
use percid_rseq::trial::{self, Disturbance, Verdict};
use percid_rseq::{enter_thread, registration};
use seccomp::{Fate, catch};

/// Whether threads of this host can run sections, by whomever they are registered.
fn sections() -> bool {
    match registration().map(|_| enter_thread()) {
        Ok(Ok(())) => true,
        why => {
            println!("no sections here: {why:?}");
            false
        }
    }
}

#[test]
fn this_kernel_restarts_sections() {
    let begun = Instant::now();
    let first = trial::run(&Disturbance::ALL, 1);
    println!("first: {:?}, {first:?}", begun.elapsed());
    let trial = trial::run(&Disturbance::ALL, 50);
    println!("fifty: {:?}", begun.elapsed());
    for one in Disturbance::ALL {
        println!("{one}: {:?} {:?}", trial.verdict(one), trial.tally(one));
    }
    assert_eq!((first.broken(), trial.broken()), (None, None));
    if !sections() {
        assert_eq!(trial.verdict(Disturbance::Fence), Verdict::Unverified);
    }
}

/// The negative control: a trial that could not find a broken kernel would prove nothing.
#[test]
fn a_kernel_that_aborts_nothing_is_found_out() {
    if !sections() {
        return;
    }
    for one in Disturbance::ALL {
        // A busy machine may not get round to it in time.
        let found = (0..100).find(|_| trial_without_aborts(&[one], 3).broken() == Some(one));
        let verdict = trial::run(&[one], 10).verdict(one);
        println!("{one}: found at attempt {found:?}, armed {verdict:?}");
        assert!(found.is_some() || verdict == Verdict::Unverified, "{one}");
        assert_ne!(verdict, Verdict::Commits, "{one}");
    }
}

#[test]
fn only_what_is_asked_for_is_tried() {
    let trial = trial::run(&Disturbance::BY_FENCES, 2);
    for one in Disturbance::BY_THREADS {
        assert_eq!(trial.tally(one), Default::default(), "{one}");
    }
    let nothing = trial::run(&[], 5);
    assert_eq!(nothing, Default::default());
}

/// Several at a time, and children of fork in the middle of it.
#[test]
fn trials_do_not_disturb_each_other() {
    const TRIALS: u32 = 20;
    let done = AtomicBool::new(false);
    let mut wrong = 0;
    std::thread::scope(|scope| {
        let runners: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    (0..TRIALS)
                        .filter(|_| trial::run(&Disturbance::ALL, 1).broken().is_some())
                        .count()
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the child tries and ends; a trial allocates nothing.
                match unsafe { libc::fork() } {
                    0 => {
                        let broken = trial::run(&Disturbance::ALL, 1).broken();
                        // SAFETY: ends the child at once.
                        unsafe { libc::_exit(i32::from(broken.is_some())) }
                    }
                    child => {
                        let mut status = -1;
                        // SAFETY: a child of this process and a place for its status.
                        unsafe { libc::waitpid(child, &raw mut status, 0) };
                        wrong += i32::from(status != 0);
                    }
                }
            }
        });
        let broken: Vec<usize> = runners.into_iter().map(|one| one.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(broken, [0, 0, 0]);
    });
    assert_eq!(wrong, 0, "a child");
}

static IN_HANDLER: AtomicU32 = AtomicU32::new(0);

extern "C" fn try_here(_: i32) {
    let broken = trial::run(&Disturbance::ALL, 1).broken().is_some();
    IN_HANDLER.fetch_add(1 + 1000 * u32::from(broken), Ordering::Relaxed);
}

#[test]
fn in_a_signal_handler() {
    // SAFETY: the handler tries, which may be done in one.
    unsafe {
        libc::signal(libc::SIGUSR1, try_here as *const () as usize);
        for _ in 0..10 {
            libc::raise(libc::SIGUSR1);
        }
    }
    assert_eq!(IN_HANDLER.load(Ordering::Relaxed), 10);
}

/// What was there is there again: the mask, the error number, the dispositions.
#[test]
fn nothing_is_left_behind() {
    if !in_child("nothing_is_left_behind", |_| ()) {
        return;
    }
    let state = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc");
        let kept = ["SigBlk", "SigIgn", "SigCgt", "Threads"];
        let lines = status.lines();
        let kept = lines.filter(|line| kept.iter().any(|name| line.starts_with(name)));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    let mappings = || {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
        maps.lines().count()
    };
    let (before, mapped) = (state(), mappings());
    for _ in 0..10 {
        // SAFETY: the thread's own error number.
        let errno = unsafe { &mut *libc::__errno_location() };
        *errno = 1234;
        let _ = trial::run(&Disturbance::ALL, 1);
        assert_eq!(*errno, 1234);
    }
    // A thread that has ended may be counted for a little longer.
    for _ in 0..1000 {
        if state() == before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(state(), before);
    assert!(mappings() < mapped + 5, "{} and {mapped}", mappings());
}

/// A signal that has a handler keeps it.
#[test]
fn signals_with_handlers_are_not_borrowed() {
    if !in_child("signals_with_handlers_are_not_borrowed", |_| ()) {
        return;
    }
    extern "C" fn never(_: i32) {
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(7) }
    }
    let handler = never as *const () as usize;
    // SAFETY: a handler that may be one.
    unsafe { libc::signal(libc::SIGURG, handler) };
    let trial = trial::run(&Disturbance::ALL, 3);
    assert_eq!(trial.broken(), None);
    // SAFETY: as above.
    unsafe {
        libc::signal(libc::SIGWINCH, handler);
        let trial = trial::run(&[Disturbance::Signal], 3);
        assert_eq!(trial.verdict(Disturbance::Signal), Verdict::Unverified);
        assert_eq!(libc::signal(libc::SIGURG, libc::SIG_DFL), handler);
        assert_eq!(libc::signal(libc::SIGWINCH, libc::SIG_DFL), handler);
    }
}

/// Refused here, what depends on it is unverified, and the rest is tried.
#[test]
fn what_is_refused_is_unverified() {
    if !in_child("what_is_refused_is_unverified", |_| ()) || !sections() {
        return;
    }
    let after = |call: libc::c_long| {
        std::thread::spawn(move || {
            catch(&[call], Fate::Errno(libc::EPERM)).expect("a filter");
            trial::run(&Disturbance::ALL, 2)
        })
        .join()
        .unwrap()
    };
    let unverified = |trial: trial::Trial, which: &[Disturbance]| {
        assert_eq!(trial.broken(), None);
        for one in which {
            assert_eq!(trial.verdict(*one), Verdict::Unverified, "{one}");
        }
    };
    unverified(
        after(libc::SYS_sched_setaffinity),
        &[Disturbance::Preemption],
    );
    unverified(after(libc::SYS_membarrier), &Disturbance::BY_FENCES);
    unverified(after(libc::SYS_tgkill), &[Disturbance::Signal]);
    unverified(after(libc::SYS_rseq), &Disturbance::ALL);
    unverified(after(libc::SYS_clone), &Disturbance::ALL);
    unverified(after(libc::SYS_mmap), &Disturbance::ALL);
}
