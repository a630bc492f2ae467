//! Lazy references by the ids of a domain narrower than the process.

#[cfg(target_os = "linux")]
#[path = "support/child.rs"]
mod child;
#[allow(dead_code, reason = "more than is needed here")]
#[path = "support/twice.rs"]
mod twice;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use percid::{Bound, Domain, Source, backend, domain_arena_stats};
use percid_shootdown::lazy::{LazyCell, LazyDomain, Lease, Policy, Shared, in_handler};
use twice::Twice;

fn ids(bound: Bound) -> Domain {
    Domain::builder()
        .bound(bound)
        .period(Duration::from_millis(5))
        .build()
        .expect("a domain")
}

/// Every kind of ids that there is to cache by.
fn every_ids() -> [Domain; 3] {
    [ids(Bound::Strict), ids(Bound::Relaxed), Domain::process()]
}

fn policies() -> [Policy; 4] {
    [
        Policy::new(),
        Policy::new().switch_away(true),
        Policy::new().quiesce(4).batch(3).filter(false),
        Policy::new().switch_away(true).quiesce(4).clear_bits(false),
    ]
}

fn in_domain(ids: &Domain, policy: Policy) -> LazyDomain {
    LazyDomain::in_domain(ids, policy.check(true)).expect("memory")
}

fn has_slots(ids: &Domain) -> bool {
    ids.source() != Source::Thread && backend().source != Source::Thread && percid_cid::fences()
}

/// What a domain of its own has is one home's, but for the process's, whose stay with it.
fn words(ids: &Domain) -> Option<u64> {
    (!ids.is(&Domain::process())).then(|| u64::from(domain_arena_stats(ids).words))
}

/// They are given back by whoever sees first that nothing is left, which may be a thread of
/// another test that makes a domain: after a while.
fn gives_back_all_but(ids: &Domain, left: u64) -> bool {
    (0..10_000).any(|_| {
        let is_so = words(ids).is_none_or(|words| words == left);
        if !is_so {
            std::thread::sleep(Duration::from_millis(1));
        }
        is_so
    })
}

#[test]
fn a_replaced_value_is_dropped_before_store_returns() {
    for ids in every_ids() {
        let drops = Arc::default();
        let domain = in_domain(&ids, Policy::new());
        let cell = domain.cell(Twice::new(0, &drops));
        for turn in 1..50 {
            assert!(cell.load().is_whole());
            cell.store(domain.share(Twice::new(turn, &drops)));
            assert_eq!(drops.load(Ordering::Relaxed), turn);
        }
        drop(cell);
        assert_eq!(drops.load(Ordering::Relaxed), 50);
    }
}

/// A value that is loaded again and again is found in its slot.
#[test]
fn values_are_cached_where_there_are_sections() {
    const LOADS: usize = 1_000;
    for ids in every_ids() {
        let domain = in_domain(&ids, Policy::new());
        assert_eq!(domain.caches(), has_slots(&ids));
        let cell = domain.cell(7);
        let _joined = ids.join();
        let leased = |_: &usize| !Lease::is_counted(&cell.load());
        let leased = (0..LOADS).filter(leased).count();
        // Who is interrupted again and again counts.
        assert_eq!(leased > 0, has_slots(&ids), "{:?}", domain.stats());
    }
}

#[test]
fn leases_nest_beyond_the_slots_and_end_on_other_threads() {
    for (ids, policy) in every_ids()
        .into_iter()
        .flat_map(|ids| policies().map(|policy| (ids.clone(), policy)))
    {
        let drops = Arc::default();
        let domain = in_domain(&ids, policy);
        let cell = domain.cell(Twice::new(1, &drops));
        let leases: Vec<Lease<Twice>> = (0..20).map(|_| cell.load()).collect();
        cell.store(domain.share(Twice::new(2, &drops)));
        let others: Vec<Lease<Twice>> = (0..20).map(|_| cell.load()).collect();
        domain.flush();
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        std::thread::scope(|scope| {
            scope.spawn(move || drop(leases));
        });
        domain.flush();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        drop((cell, domain));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert!(others.iter().all(|lease| lease.is_whole()));
        drop(others);
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        assert!(gives_back_all_but(&ids, 0));
    }
}

#[test]
fn readers_find_the_living_only() {
    for ids in every_ids() {
        for policy in policies() {
            storm(&ids, policy, true);
        }
        // Threads that do not join get in as well, or count.
        storm(&ids, Policy::new(), false);
    }
}

/// Readers with one lease or two, and stores; every value is dropped once.
fn storm(ids: &Domain, policy: Policy, joins: bool) {
    const STORES: usize = 300;
    let drops = Arc::new(AtomicUsize::new(0));
    let domain = in_domain(ids, policy);
    let cells = [1, 2].map(|number| domain.cell(Twice::new(number, &drops)));
    let (working, bad) = (AtomicBool::new(true), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (cells, working, bad) = (&cells, &working, &bad);
        for reader in 0..3 {
            scope.spawn(move || {
                let _joined = joins.then(|| ids.join());
                let mut kept = None;
                for turn in reader.. {
                    let lease = cells[turn % 2].load();
                    if !lease.is_whole() {
                        bad.store(true, Ordering::Relaxed);
                    }
                    if turn % 5 == 0 {
                        kept = Some(lease);
                    }
                    if turn % 64 == 0 {
                        std::thread::yield_now();
                    }
                    if !working.load(Ordering::Relaxed) {
                        break;
                    }
                }
                drop(kept);
            });
        }
        for turn in 0..STORES {
            cells[turn % 2].store(domain.share(Twice::new(turn, &drops)));
            if turn % 16 == 0 {
                std::thread::yield_now();
            }
        }
        working.store(false, Ordering::Relaxed);
    });
    assert!(!bad.into_inner(), "read after its end");
    drop((cells, domain));
    assert_eq!(drops.load(Ordering::Relaxed), STORES + 2);
    assert!(gives_back_all_but(ids, 0));
}

/// Slots of a pool of two are of two ids, whoever else runs.
#[test]
fn slots_are_by_the_ids_of_the_domain_only() {
    const MEMBERS: u32 = 2;
    let ids = ids(Bound::Strict);
    let domain = in_domain(&ids, Policy::new());
    let (cell, everybody) = (domain.cell(1), LazyCell::new(1));
    let working = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while working.load(Ordering::Relaxed) {
                    assert_eq!(*everybody.load(), 1);
                    std::thread::yield_now();
                }
            });
        }
        let members: Vec<_> = (0..MEMBERS)
            .map(|_| {
                scope.spawn(|| {
                    let _joined = ids.join();
                    for turn in 0..10_000 {
                        assert_eq!(*cell.load(), 1);
                        if turn % 64 == 0 {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<bool> = members.into_iter().map(|one| one.join().is_ok()).collect();
        working.store(false, Ordering::Relaxed);
        assert!(ended.into_iter().all(|one| one));
    });
    let stats = domain_arena_stats(&ids);
    assert!(stats.cid_stripes <= MEMBERS, "{stats:?}");
    if has_slots(&ids) {
        assert!(stats.cid_stripes > 0 && stats.words > 0, "{stats:?}");
    }
}

#[test]
fn the_last_counted_reference_makes_no_fence() {
    for ids in every_ids() {
        let domain = in_domain(&ids, Policy::new());
        for turn in 0..10 {
            drop(domain.share(turn));
            domain.cell(turn).store(domain.share(turn));
        }
        let stats = domain.stats();
        assert_eq!((stats.freed, stats.barriers, stats.marks), (30, 0, 0));
    }
}

/// A domain goes with the last of its values; a lease that is forgotten keeps it.
#[test]
fn slots_are_given_back_with_the_last_value() {
    let ids = ids(Bound::Strict);
    let taken = || words(&ids).expect("of its own");
    for policy in policies() {
        let domain = in_domain(&ids, policy);
        let one = taken();
        assert!(one > 0);
        let cell = domain.cell(1);
        let lease = cell.load();
        let shared = cell.load_counted();
        drop(domain);
        drop(cell);
        assert_eq!(taken(), one);
        drop(lease);
        assert_eq!(taken(), one);
        drop(shared);
        assert!(gives_back_all_but(&ids, 0));
    }
    let kept = in_domain(&ids, Policy::new());
    let one = taken();
    std::mem::forget(kept.cell(1).load());
    drop(kept);
    assert_eq!(taken(), one, "somebody may use the lease");
    for _ in 0..100 {
        let domain = in_domain(&ids, Policy::new());
        drop(domain.cell(1).load());
    }
    assert!(gives_back_all_but(&ids, one));
}

#[test]
fn slots_are_given_back_where_a_destructor_panics() {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("so that it does not return");
        }
    }

    for loads in [false, true] {
        let ids = ids(Bound::Strict);
        let _joined = ids.join();
        let domain = in_domain(&ids, Policy::new());
        let last = domain.share(Panics);
        if loads {
            drop(LazyCell::from_shared(last.clone()).load());
        }
        drop(domain);
        // No handle goes after it.
        let drops = std::panic::AssertUnwindSafe(|| drop(last));
        assert!(std::panic::catch_unwind(drops).is_err());
        assert!(gives_back_all_but(&ids, 0));
    }
}

#[test]
fn a_domain_that_is_full_says_so() {
    let ids = ids(Bound::Relaxed);
    let mut all = Vec::new();
    let refused = loop {
        match LazyDomain::in_domain(&ids, Policy::new()) {
            Ok(one) => all.push(one),
            Err(why) => break why,
        }
        assert!(all.len() < 20_000, "a domain without an end");
    };
    assert!(!refused.to_string().is_empty());
    all.pop().expect("there was room for some");
    let again = in_domain(&ids, Policy::new());
    drop(all);
    // It keeps the ids.
    let watched = domain_arena_stats(&ids).words;
    drop(ids);
    assert!(watched > 0);
    let cell = again.cell(1);
    assert_eq!(*cell.load(), 1);
}

#[test]
#[should_panic(expected = "a value of another domain")]
fn values_of_other_domains_are_refused() {
    let domain = in_domain(&ids(Bound::Relaxed), Policy::new());
    domain.cell(1).store(Shared::new(2));
}

#[test]
fn a_handler_may_drop_the_last_handle() {
    let ids = ids(Bound::Strict);
    let drops = Arc::default();
    let domain = in_domain(&ids, Policy::new());
    let cell = domain.cell(Twice::new(1, &drops));
    drop(cell.load());
    in_handler(|| drop((cell, domain)));
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    // Whoever comes next does it, by any domain: perhaps another test.
    drop(LazyDomain::new(Policy::new()));
    assert!(gives_back_all_but(&ids, 0));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_keeps_the_leases_of_its_thread() {
    for ids in every_ids() {
        let drops = Arc::new(AtomicUsize::new(0));
        let domain = in_domain(&ids, Policy::new());
        let cell = domain.cell(Twice::new(1, &drops));
        let lease = cell.load();
        child::in_child(|| {
            cell.store(domain.share(Twice::new(2, &drops)));
            let held = drops.load(Ordering::Relaxed) == 0 && lease.is_whole();
            // SAFETY: the parent's is in the parent's memory; this is used once.
            drop(unsafe { std::ptr::read(&raw const lease) });
            held && drops.load(Ordering::Relaxed) == 1 && cell.load().is_whole()
        });
        assert!(lease.is_whole());
    }
}
