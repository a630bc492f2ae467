//! Domains of reclamation by the ids of a domain narrower than the process.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use percid::{Bound, Domain, Source, backend, domain_arena_stats};
use percid_shootdown::{self as shootdown, CopyCell, Guard, ReclaimDomain, Reclaimer};
use support::{Destroyed, Noted, Tracked, retire, storm};

fn a_domain(bound: Bound) -> Domain {
    Domain::builder()
        .bound(bound)
        .period(Duration::from_millis(5))
        .build()
        .expect("a domain")
}

/// Every kind of ids that there is to sit by.
fn domains() -> [Domain; 3] {
    [
        a_domain(Bound::Strict),
        a_domain(Bound::Relaxed),
        Domain::process(),
    ]
}

fn in_domain(domain: &Domain) -> ReclaimDomain<Domain> {
    ReclaimDomain::in_domain(domain).expect("memory")
}

#[test]
fn a_guard_holds_what_was_retired_while_it_lived() {
    for ids in domains() {
        for counted in [false, true] {
            let domain = in_domain(&ids);
            let destroyed = Destroyed::new();
            let guard = match counted {
                true => domain.enter_counted(),
                false => domain.enter(),
            };
            retire(&domain, &destroyed, 1);
            for _ in 0..10 {
                domain.flush();
            }
            assert_eq!(destroyed.count(), 0);
            let stats = domain.stats();
            assert_eq!((stats.holding, stats.unfreed), (1, 1));
            // The grace period has begun: these are of the new phase.
            let later: Vec<_> = (0..4).map(|_| domain.enter()).collect();
            drop(guard);
            domain.flush();
            assert_eq!(destroyed.count(), 1);
            drop(later);
            let stats = domain.stats();
            assert_eq!((stats.holding, stats.unfreed), (0, 0));
        }
    }
}

#[test]
fn guards_nest_beyond_the_seats_and_end_on_other_threads() {
    for ids in domains() {
        let domain = in_domain(&ids);
        let destroyed = Destroyed::new();
        let guards: Vec<Guard<'_>> = (0..50).map(|_| domain.enter()).collect();
        assert_eq!(domain.stats().holding, 50);
        retire(&domain, &destroyed, 1);
        std::thread::scope(|scope| {
            let (domain, destroyed) = (&domain, &destroyed);
            scope.spawn(move || {
                domain.flush();
                assert_eq!(destroyed.count(), 0);
                drop(guards);
            });
        });
        domain.barrier();
        assert_eq!(destroyed.count(), 1);
    }
}

#[test]
fn readers_find_the_living_only() {
    for ids in domains() {
        storm(&in_domain(&ids), || ids.join());
        // Threads that do not join get in as well, or count themselves.
        storm(&in_domain(&ids), || ());
    }
}

fn has_seats(ids: &Domain) -> bool {
    ids.source() != Source::Thread && backend().source != Source::Thread && percid_cid::fences()
}

/// Where there are sections and fences, readers of a domain sit; elsewhere all count.
#[test]
fn readers_sit_where_there_are_sections() {
    for ids in domains() {
        let domain = in_domain(&ids);
        let _joined = ids.join();
        // A thread that is interrupted again and again counts.
        let sits = (0..1_000).any(|_| format!("{:?}", domain.enter()).contains("seated"));
        assert_eq!(sits, has_seats(&ids), "{:?}", ids.stats());
    }
}

/// Ids of a pool of two are below two, whoever else runs.
#[test]
fn seats_are_by_the_ids_of_the_domain_only() {
    const MEMBERS: u32 = 2;
    let ids = a_domain(Bound::Strict);
    let domain = in_domain(&ids);
    let everybody = ReclaimDomain::new();
    let working = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while working.load(Ordering::Relaxed) {
                    drop(everybody.enter());
                    std::thread::yield_now();
                }
            });
        }
        let members: Vec<_> = (0..MEMBERS)
            .map(|_| {
                scope.spawn(|| {
                    let _joined = ids.join();
                    for turn in 0..20_000 {
                        drop(domain.enter());
                        if turn % 64 == 0 {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let ended = members.into_iter().map(|one| one.join().is_ok());
        let ended: Vec<bool> = ended.collect();
        working.store(false, Ordering::Relaxed);
        assert!(ended.into_iter().all(|one| one));
    });
    let stats = domain_arena_stats(&ids);
    assert!(stats.cid_stripes <= MEMBERS, "{stats:?}");
    if has_seats(&ids) {
        assert!(stats.cid_stripes > 0 && stats.words > 0, "{stats:?}");
    }
    assert_eq!(domain.stats().holding, 0);
}

#[test]
fn a_domain_that_is_full_says_so_and_goes_with_its_last_user() {
    let ids = a_domain(Bound::Relaxed);
    let destroyed = Destroyed::new();
    let mut all = Vec::new();
    let refused = loop {
        match ReclaimDomain::in_domain(&ids) {
            Ok(one) => all.push(one),
            Err(why) => break why,
        }
        assert!(all.len() < 2_000, "a domain without an end");
    };
    assert!(!refused.to_string().is_empty());
    // What was forgotten inside leaves nothing to who gets the words next.
    let last = all.pop().expect("there was room for some");
    std::mem::forget(last.enter());
    retire(&last, &destroyed, 3);
    drop(last);
    assert_eq!(destroyed.count(), 3);
    let again = in_domain(&ids);
    assert_eq!(again.stats(), shootdown::DomainStats::default());
    drop(all);
    // They keep the domain: it ends with the last of them.
    drop(ids);
    let guard = again.enter();
    retire(&again, &destroyed, 3);
    again.flush();
    assert_eq!(destroyed.count(), 3);
    drop(guard);
    again.barrier();
    assert_eq!(destroyed.count(), 6);
}

#[test]
fn words_are_given_back() {
    let ids = a_domain(Bound::Strict);
    for _ in 0..100 {
        let domain = in_domain(&ids);
        drop((domain.enter(), domain.enter_counted()));
        retire(&domain, &Destroyed::new(), 3);
    }
    assert_eq!(domain_arena_stats(&ids).words, 0);
}

#[test]
fn guards_of_other_domains_open_nothing() {
    let ids = a_domain(Bound::Strict);
    let (mine, other, process) = (in_domain(&ids), in_domain(&ids), ReclaimDomain::new());
    let destroyed = Destroyed::new();
    let bound = shootdown::Bound::new(&mine, Noted(destroyed.clone()));
    let foreign = [
        other.enter(),
        other.enter_counted(),
        process.enter(),
        process.enter_counted(),
    ];
    for guard in &foreign {
        assert!(!mine.is_entered_by(guard));
        let opened = catch_unwind(AssertUnwindSafe(|| bound.load(guard).is_some()));
        assert!(opened.is_err(), "read under a guard that does not hold it");
    }
    for guard in [mine.enter(), mine.enter_counted()] {
        assert!(mine.is_entered_by(&guard));
        assert!(!other.is_entered_by(&guard) && !process.is_entered_by(&guard));
        assert!(bound.load(&guard).is_some());
    }
    bound.replace(Some(Noted(destroyed.clone())));
    drop(bound);
    mine.barrier();
    assert_eq!(destroyed.count(), 2);
}

#[test]
fn a_reclaimer_destroys_when_nobody_calls() {
    let domain = Arc::new(in_domain(&a_domain(Bound::Relaxed)));
    let destroyed = Destroyed::new();
    let reclaimer =
        Reclaimer::start(Arc::clone(&domain), Duration::from_millis(1)).expect("a thread to start");
    retire(&domain, &destroyed, 3);
    while destroyed.count() < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(reclaimer);
}

#[test]
fn a_destructor_that_panics_is_heard_and_harms_no_other() {
    unsafe fn panics(_: *mut u8) {
        panic!("a destructor");
    }
    for ids in domains() {
        let domain = in_domain(&ids);
        let destroyed = Destroyed::new();
        let guard = domain.enter();
        retire(&domain, &destroyed, 5);
        // SAFETY: nothing is there.
        unsafe { domain.retire_with(std::ptr::null_mut(), panics) };
        // SAFETY: never linked; once.
        unsafe { domain.retire_with(Tracked::make(&destroyed), Tracked::destroy) };
        drop(guard);
        let barrier = || catch_unwind(AssertUnwindSafe(|| domain.barrier()));
        assert!(barrier().is_err());
        assert!(barrier().is_ok());
        assert_eq!(destroyed.count(), 6);
    }
}

/// A read takes no id, so that a cell is of no domain: members of a pool read it at no cost
/// to the pool.
#[test]
fn a_cell_takes_no_id() {
    let ids = a_domain(Bound::Strict);
    let cell = CopyCell::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _joined = ids.join();
                for _ in 0..100 {
                    cell.update(|value| value + 1);
                    assert!(cell.read() > 0);
                    assert!(cell.read_counted() > 0);
                }
            });
        }
    });
    assert_eq!(cell.read(), 200);
    let stats = ids.stats();
    assert_eq!((stats.acquisitions, stats.highest_id), (0, None));
    assert_eq!(domain_arena_stats(&ids).words, 0);
}
