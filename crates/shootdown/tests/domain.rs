//! What a domain promises, in one process and with threads that come and go.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use percid_shootdown::{Bound, Brand, Global, Guard, ReclaimDomain, Reclaimer};
use support::{Destroyed, Noted, Tracked, retire, storm};

#[test]
fn a_guard_holds_what_was_retired_while_it_lived() {
    for counted in [false, true] {
        let domain = ReclaimDomain::new();
        let destroyed = Destroyed::new();
        let guard = if counted {
            domain.enter_counted()
        } else {
            domain.enter()
        };
        retire(&domain, &destroyed, 3);
        for _ in 0..10 {
            domain.flush();
        }
        assert_eq!(destroyed.count(), 0);
        let stats = domain.stats();
        assert_eq!((stats.holding, stats.unfreed), (1, 3));
        drop(guard);
        domain.barrier();
        assert_eq!(destroyed.count(), 3);
        let stats = domain.stats();
        assert_eq!((stats.holding, stats.unfreed), (0, 0));
    }
}

#[test]
fn a_later_guard_holds_nothing_up() {
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    let first = domain.enter();
    retire(&domain, &destroyed, 1);
    domain.flush();
    // The grace period has begun: these are of the new phase.
    let later: Vec<_> = (0..4).map(|_| domain.enter()).collect();
    let counted = domain.enter_counted();
    drop(first);
    domain.flush();
    assert_eq!(destroyed.count(), 1);
    drop((later, counted));
}

#[test]
fn guards_nest_beyond_the_seats_and_end_in_any_order() {
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    let mut guards: Vec<Guard<'_>> = (0..50).map(|_| domain.enter()).collect();
    assert_eq!(domain.stats().holding, 50);
    retire(&domain, &destroyed, 1);
    domain.flush();
    // Not the order in which they came.
    while let Some(guard) = (!guards.is_empty()).then(|| guards.swap_remove(0)) {
        domain.flush();
        assert_eq!(destroyed.count(), 0);
        drop(guard);
    }
    domain.barrier();
    assert_eq!(destroyed.count(), 1);
}

/// As ten thousand tasks would: a guard is an address, and the domain knows none of them.
#[test]
fn ten_thousand_guards_are_what_their_holders_keep() {
    // In debug builds it knows who entered it, too.
    let more = if cfg!(debug_assertions) { 8 } else { 0 };
    assert_eq!(size_of::<Guard<'_, Global>>(), 8 + more);
    assert_eq!(size_of::<Guard<'_>>(), 16 + more);
    let domain = ReclaimDomain::new();
    let guards: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..2_500).map(|_| domain.enter()).collect::<Vec<_>>()))
            .collect();
        let threads = threads.into_iter();
        threads
            .flat_map(|one| one.join().expect("guards"))
            .collect()
    });
    assert_eq!(domain.stats().holding, 10_000);
    drop(guards);
    assert_eq!(domain.stats().holding, 0);
    domain.synchronize();
}

#[test]
fn a_guard_goes_to_another_thread() {
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    let guards: Vec<_> = (0..20).map(|_| domain.enter()).collect();
    retire(&domain, &destroyed, 1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            domain.flush();
            assert_eq!(destroyed.count(), 0);
            drop(guards);
        });
    });
    domain.barrier();
    assert_eq!(destroyed.count(), 1);
}

#[test]
fn a_forgotten_guard_holds_everything_up_and_is_counted() {
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    // In a thread that ends inside.
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(domain.enter()));
    });
    retire(&domain, &destroyed, 1000);
    for _ in 0..10 {
        domain.flush();
    }
    assert_eq!(destroyed.count(), 0);
    let stats = domain.stats();
    assert_eq!(
        (stats.holding, stats.unfreed, stats.waiting),
        (1, 1000, true)
    );
    // The domain's end is the end of the guard, too: it borrowed it.
    drop(domain);
    assert_eq!(destroyed.count(), 1000);
}

#[test]
fn a_panic_inside_leaves_the_section() {
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = domain.enter();
        panic!("inside");
    }));
    assert!(panicked.is_err());
    assert_eq!(domain.stats().holding, 0);
    retire(&domain, &destroyed, 1);
    domain.barrier();
    assert_eq!(destroyed.count(), 1);
}

#[test]
fn a_destructor_that_panics_is_heard_and_harms_no_other() {
    unsafe fn panics(_: *mut u8) {
        panic!("a destructor");
    }
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    // So that none is destroyed before all are retired.
    let guard = domain.enter();
    retire(&domain, &destroyed, 5);
    // SAFETY: nothing is there.
    unsafe { domain.retire_with(std::ptr::null_mut(), panics) };
    retire(&domain, &destroyed, 5);
    drop(guard);
    let barrier = || catch_unwind(AssertUnwindSafe(|| domain.barrier()));
    assert!(barrier().is_err());
    assert!(barrier().is_ok());
    assert_eq!(destroyed.count(), 10);
}

#[test]
fn a_destructor_that_retires_is_served_later() {
    static DOMAIN: ReclaimDomain = ReclaimDomain::new();
    static LEFT: AtomicU64 = AtomicU64::new(1000);
    unsafe fn retires(object: *mut u8) {
        if LEFT.fetch_sub(1, Ordering::Relaxed) > 1 {
            // SAFETY: nothing is there.
            unsafe { DOMAIN.retire_with(object, retires) };
        }
    }
    // SAFETY: nothing is there.
    unsafe { DOMAIN.retire_with(std::ptr::null_mut(), retires) };
    while LEFT.load(Ordering::Relaxed) > 0 {
        DOMAIN.barrier();
    }
    DOMAIN.barrier();
    assert_eq!(DOMAIN.stats().unfreed, 0);
}

#[test]
fn retire_now_has_destroyed_it() {
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    // SAFETY: never linked; once; this thread is in no section.
    unsafe { domain.retire_now(Tracked::make(&destroyed), Tracked::destroy) };
    assert_eq!(destroyed.count(), 1);
}

#[test]
fn a_domain_that_goes_destroys_what_waits() {
    let domain = Arc::new(ReclaimDomain::try_new().expect("memory for a domain"));
    let destroyed = Destroyed::new();
    let guard = domain.enter();
    retire(&domain, &destroyed, 500);
    drop(guard);
    drop(domain);
    assert_eq!(destroyed.count(), 500);
}

#[test]
fn a_reclaimer_destroys_when_nobody_calls() {
    let domain = Arc::new(ReclaimDomain::new());
    let destroyed = Destroyed::new();
    let reclaimer =
        Reclaimer::start(Arc::clone(&domain), Duration::from_millis(1)).expect("a thread to start");
    let guard = domain.enter();
    retire(&domain, &destroyed, 3);
    drop(guard);
    while destroyed.count() < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(reclaimer);
}

/// What is retired may own the thread that will destroy it.
#[test]
fn a_reclaimer_may_be_dropped_by_itself() {
    struct Service(Option<Reclaimer>, mpsc::Sender<bool>);

    impl Drop for Service {
        fn drop(&mut self) {
            let stopped = catch_unwind(AssertUnwindSafe(|| drop(self.0.take())));
            let _ = self.1.send(stopped.is_ok());
        }
    }

    let domain = Arc::new(ReclaimDomain::new());
    let reclaimer =
        Reclaimer::start(Arc::clone(&domain), Duration::from_millis(1)).expect("a thread to start");
    let (stopped, is_stopped) = mpsc::channel();
    let service = Box::into_raw(Box::new(Service(Some(reclaimer), stopped)));
    unsafe fn destroy(service: *mut u8) {
        // SAFETY: the box that was retired, once.
        drop(unsafe { Box::from_raw(service.cast::<Service>()) });
    }
    let guard = domain.enter();
    // SAFETY: never linked, once, and it may be dropped by any thread.
    unsafe { domain.retire_with(service.cast(), destroy) };
    drop(guard);
    assert_eq!(is_stopped.recv(), Ok(true));
}

#[test]
fn retiring_frees_as_it_goes() {
    let domain = ReclaimDomain::new();
    let destroyed = Destroyed::new();
    retire(&domain, &destroyed, 100_000);
    // Nobody reads: what is unfreed is what a batch may be.
    assert!(domain.stats().unfreed < 50_000, "{:?}", domain.stats());
    domain.barrier();
    assert_eq!(destroyed.count(), 100_000);
}

#[test]
fn readers_find_the_living_only() {
    storm(&ReclaimDomain::new(), || ());
}

#[test]
#[cfg(debug_assertions)]
fn who_waits_for_its_own_guard_is_told_so() {
    for counted in [false, true] {
        let domain = ReclaimDomain::new();
        let guard = match counted {
            true => domain.enter_counted(),
            false => domain.enter(),
        };
        let waited = catch_unwind(AssertUnwindSafe(|| domain.synchronize()));
        let panic = waited.expect_err("it would wait for ever");
        let message = panic.downcast::<&str>().expect("a message");
        assert!(message.contains("its own guard"), "{message}");
        drop(guard);
        domain.synchronize();
    }
}

#[test]
fn a_guard_that_was_sent_away_is_waited_for() {
    let domain = ReclaimDomain::new();
    std::thread::scope(|scope| {
        let guard = domain.enter();
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(guard);
        });
        domain.synchronize();
    });
    assert_eq!(domain.stats().holding, 0);
}

#[test]
fn a_domain_knows_its_guards() {
    let (mine, other) = (ReclaimDomain::new(), ReclaimDomain::new());
    for guard in [mine.enter(), mine.enter_counted()] {
        assert!(mine.is_entered_by(&guard));
        assert!(!other.is_entered_by(&guard));
    }
    // One that was never used knows none.
    assert!(!other.is_entered_by(&mine.enter()));
    // A brand's guard is known by its type, and one that has lost it by what it keeps.
    let guards = (Global::enter(), Global::domain().enter());
    assert!(Global::domain().is_entered_by(&guards.0) && Global::domain().is_entered_by(&guards.1));
    assert!(!mine.is_entered_by(&guards.0) && !mine.is_entered_by(&guards.1));
}

#[test]
fn a_guard_of_another_domain_opens_nothing() {
    let (mine, other) = (ReclaimDomain::new(), ReclaimDomain::new());
    let destroyed = Destroyed::new();
    let bound = Bound::new(&mine, Noted(destroyed.clone()));
    for foreign in [other.enter(), other.enter_counted()] {
        let opened = catch_unwind(AssertUnwindSafe(|| bound.load(&foreign).is_some()));
        assert!(opened.is_err(), "read under a guard that does not hold it");
    }
    let guard = mine.enter();
    assert!(bound.load(&guard).is_some());
    bound.replace(Some(Noted(destroyed.clone())));
    drop(bound);
    mine.flush();
    assert_eq!(destroyed.count(), 0, "held by the guard");
    drop(guard);
    mine.barrier();
    assert_eq!(destroyed.count(), 2);
    assert!(Bound::<String>::null(&mine).load(&mine.enter()).is_none());
}
