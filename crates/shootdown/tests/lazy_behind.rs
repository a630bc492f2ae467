//! What handlers, and destructors that panic, leave behind with the last handle of a domain.
//! One test, for whoever comes next is to be one of it.

#[cfg(target_os = "linux")]
#[path = "support/child.rs"]
mod child;
#[path = "support/twice.rs"]
mod twice;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use percid_shootdown::lazy::{LazyCell, LazyDomain, Policy, Shared, in_handler};
use twice::{Twice, domain};

/// Runs a function where its destructor is.
struct Runs<F: Fn()>(F);

impl<F: Fn()> Drop for Runs<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn nothing_is_lost_with_the_last_handle() {
    destructors_use_the_process_domain_which_is_first_made_where_they_run();
    #[cfg(target_os = "linux")]
    homes_are_in_nobodys_hand_while_a_destructor_runs();
    quiescing_alone_is_batching();
    what_a_handler_gives_up_with_a_domain_is_dropped_by_who_comes_next();
    a_panic_with_the_last_handle_loses_nothing();
}

/// What comes by another domain, or makes one, after a handler has left nobody who could
/// come by its own.
const COMERS: [fn(); 4] = [
    || drop(LazyDomain::new(Policy::new())),
    || domain().flush(),
    || {
        let cell = LazyCell::new(1);
        drop(cell.load());
        cell.store(Shared::new(2));
    },
    || drop(LazyCell::new(1)),
];

/// A handler drops the last cell, or the last of what outlived it: whoever comes next drops
/// the values, by whatever domain.
fn what_a_handler_gives_up_with_a_domain_is_dropped_by_who_comes_next() {
    for policy in [
        Policy::new(),
        Policy::new().batch(8),
        Policy::new().quiesce(8).switch_away(true),
    ] {
        for (number, comes) in COMERS.into_iter().enumerate() {
            let drops = Arc::new(AtomicUsize::new(0));
            let domain = LazyDomain::new(policy.check(true));
            let loaded = domain.cell(Twice::new(1, &drops));
            drop(loaded.load());
            let replaced = domain.cell(Twice::new(2, &drops));
            drop(replaced.load());
            replaced.store(domain.share(Twice::new(3, &drops)));
            let alone = domain.cell(Twice::new(4, &drops));
            let kept = domain.cell(Twice::new(5, &drops));
            let (lease, counted) = (kept.load(), domain.share(Twice::new(6, &drops)));
            in_handler(|| drop((loaded, replaced, alone, kept, domain)));
            comes();
            assert_eq!(drops.load(Ordering::Relaxed), 4, "{policy:?} {number}");
            assert!(lease.is_whole() && counted.is_whole());
            in_handler(|| drop((lease, counted)));
            comes();
            assert_eq!(drops.load(Ordering::Relaxed), 6, "{policy:?} {number}");
        }
    }
}

/// What a destructor that panics leaves is not lost either.
fn a_panic_with_the_last_handle_loses_nothing() {
    struct Panics(#[allow(dead_code, reason = "dropped")] Twice);

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("so that others are left");
        }
    }

    let drops = Arc::new(AtomicUsize::new(0));
    let domain = domain();
    let given_up = (0..4).map(|one| domain.share(Panics(Twice::new(one, &drops))));
    let given_up: Vec<_> = given_up.collect();
    in_handler(|| drop(given_up));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(domain)));
    assert!(outcome.is_err());
    // One for each that comes, which hears it.
    for dropped in 2..5 {
        let comes = || drop(LazyDomain::new(Policy::new()));
        assert!(std::panic::catch_unwind(comes).is_err());
        assert_eq!(drops.load(Ordering::Relaxed), dropped);
    }
    drop(LazyDomain::new(Policy::new()));
}

/// Before anything else in this process has used its domain.
fn destructors_use_the_process_domain_which_is_first_made_where_they_run() {
    let drops = Arc::new(AtomicUsize::new(0));
    let domain = LazyDomain::new(Policy::new());
    let counts = Arc::clone(&drops);
    let value = domain.share(Runs(move || {
        let cell = LazyCell::new(3);
        assert_eq!(*cell.load(), 3);
        counts.fetch_add(1, Ordering::Relaxed);
    }));
    in_handler(|| drop((domain, value)));
    drop(LazyCell::new(2));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

/// What others have left is found by who comes while a destructor runs, and by a child that
/// is made there, or made while another thread is there.
#[cfg(target_os = "linux")]
fn homes_are_in_nobodys_hand_while_a_destructor_runs() {
    use std::sync::mpsc::channel;

    let drops = Arc::new(AtomicUsize::new(0));
    let (other, slow) = [
        LazyDomain::new(Policy::new()),
        LazyDomain::new(Policy::new()),
    ]
    .into();
    let first = other.share(Twice::new(1, &drops));
    let second = other.share(Twice::new(2, &drops));
    let third = other.share(Twice::new(3, &drops));
    let (began, begins) = channel();
    let (end, ends) = channel::<()>();
    let value = slow.share(Runs({
        let ends = std::sync::Mutex::new(ends);
        let began = std::sync::Mutex::new(began);
        move || {
            began.lock().expect("no panic").send(()).expect("a test");
            // Also where the test has panicked.
            let _ = ends.lock().expect("no panic").recv();
        }
    }));
    // Whichever is looked at first: the order is not promised.
    in_handler(|| drop((other, first, slow, value)));
    std::thread::scope(|scope| {
        let end = end;
        scope.spawn(|| drop(LazyDomain::new(Policy::new())));
        begins.recv().expect("the destructor's thread");
        let comes = || drop(LazyDomain::new(Policy::new()));
        let counts = Arc::clone(&drops);
        child::in_child(move || {
            in_handler(|| drop(second));
            comes();
            counts.load(Ordering::Relaxed) == 2
        });
        in_handler(|| drop(third));
        comes();
        assert_eq!(drops.load(Ordering::Relaxed), 3);
        drop(end);
    });
}

/// Nobody else makes a fence, so nobody else has saved one.
fn quiescing_alone_is_batching() {
    let domain = LazyDomain::new(Policy::new().quiesce(8));
    let cell = domain.cell(0);
    for value in 1..5 {
        drop(cell.load());
        cell.store(domain.share(value));
    }
    domain.flush();
    let stats = domain.stats();
    assert_eq!(stats.saved_by_quiesce.barriers, 0, "{stats:?}");
    let shared = stats.saved_by_batch.barriers;
    assert_eq!(stats.asked, stats.barriers + shared, "{stats:?}");
}
