//! What handlers, and destructors that panic, leave behind with the last handle of a domain.
//! One test, for whoever comes next is to be one of it.

#[path = "support/twice.rs"]
mod twice;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use percid_shootdown::lazy::{LazyCell, LazyDomain, Policy, Shared, in_handler};
use twice::{Twice, domain};

#[test]
fn nothing_is_lost_with_the_last_handle() {
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
