//! Domains under real sections: exact, compact, and nothing lost.
#![cfg(all(target_os = "linux", not(loom)))]

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use percid_cid::domain::Policy;
use percid_cid::{Bound, Domain, DomainBuilder, DomainError, possible_cids};
use percid_rseq::section::SLOTS;

use common::{Counter, allowed_cpus, domain, pin_to};

const PERIOD: Duration = Duration::from_millis(5);

/// Adds from threads that join and are moved all the time.
fn roam(counter: &Counter, threads: usize, adds: u64) {
    let cpus = allowed_cpus();
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (cpus, start) = (&cpus, &start);
            scope.spawn(move || {
                let _joined = counter.domain().join();
                start.wait();
                let mut random = 0x9e37_79b9_7f4a_7c15 ^ (thread as u64) << 40;
                for turn in 0..adds {
                    if turn % 64 == 0 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        pin_to(&[cpus[random as usize % cpus.len()]]);
                    }
                    counter.add(1);
                }
                pin_to(cpus);
            });
        }
    });
    let stats = counter.domain().stats();
    assert_eq!(counter.total(), threads as u64 * adds, "{stats:?}");
}

#[test]
fn every_policy_and_bound_is_exact() {
    let two = Bound::At(possible_cids().min(2));
    for policy in [Policy::V3, Policy::V6, Policy::COMBINED] {
        for bound in [Bound::Strict, Bound::Relaxed, Bound::At(1), two] {
            let Some(domain) = domain(bound, PERIOD, policy) else {
                return;
            };
            let counter = Counter::new(&domain);
            roam(&counter, 4, 20_000);
            let stats = domain.stats();
            println!("{policy:?} {bound:?}: {stats:?}");
            assert!(stats.acquisitions > 0);
            if let Bound::At(most) = bound {
                assert!(counter.ids().len() <= most as usize, "{stats:?}");
            }
        }
    }
}

#[test]
fn as_many_ids_as_threads_that_joined() {
    let Some(domain) = domain(Bound::Strict, PERIOD, Policy::COMBINED) else {
        return;
    };
    for threads in [5, 3, 1] {
        let counter = Counter::new(&domain);
        roam(&counter, threads, 20_000);
        let ids = counter.ids();
        assert!(ids.iter().all(|&id| id < threads), "{threads}: {ids:?}");
    }
    // Nobody is joined any more, so nobody holds an id.
    assert_eq!(domain.ids_in_use(), 0, "{:?}", domain.stats());
    assert_eq!(domain.stats().joined, 0);
}

#[test]
fn who_has_not_joined_takes_nothing() {
    let Some(domain) = domain(Bound::Strict, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    (0..1000).for_each(|_| counter.add(1));
    assert_eq!(counter.on_fallback(), 1000);
    let joined = domain.join();
    (0..1000).for_each(|_| counter.add(1));
    assert!(counter.on_fallback() < 1100);
    drop(joined);
    assert_eq!(counter.total(), 2000);
}

/// A busy CPU keeps its id, and proves it once a period.
#[test]
fn a_steady_thread_costs_a_rescue_a_period_and_no_fence() {
    const PERIOD: u64 = 50;
    let period = Duration::from_millis(PERIOD);
    let Some(domain) = domain(Bound::Relaxed, period, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin_to(&allowed_cpus()[..1]);
            counter.add(1);
            let (before, start) = (domain.stats(), Instant::now());
            while start.elapsed() < 6 * period {
                counter.add(1);
                // Readers scan, too.
                domain.tick();
            }
            let periods = start.elapsed().as_millis() as u64 / PERIOD + 1;
            let after = domain.stats();
            assert_eq!(after.fences, before.fences, "{after:?}");
            assert!(after.rescues - before.rescues <= periods, "{after:?}");
            assert!(after.rescues > before.rescues, "no scan ever marked it");
            assert_eq!(after.fallbacks, 0);
        });
    });
}

/// Ids that nobody uses go back, and the next thread gets the lowest.
#[test]
fn idle_ids_are_reclaimed() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::V6) else {
        return;
    };
    let counter = Counter::new(&domain);
    for &cpu in &allowed_cpus() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pin_to(&[cpu]);
                counter.add(1);
            });
        });
    }
    // A scan may have freed some on the way.
    assert!((1..=counter.ids().len()).contains(&(domain.ids_in_use() as usize)));
    domain.compact();
    assert_eq!(domain.ids_in_use(), 0, "{:?}", domain.stats());
    counter.add(1);
    assert!(counter.ids().contains(&0));
    // By the periodic scan alone.
    for _ in 0..10 {
        std::thread::sleep(2 * PERIOD);
        domain.tick();
    }
    assert_eq!(domain.ids_in_use(), 0, "{:?}", domain.stats());
}

/// The scan that frees an id marks who holds a higher one, even if it proved its use a
/// moment before.
#[test]
fn an_id_moves_down_as_soon_as_a_lower_one_is_free() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::V6) else {
        return;
    };
    let cpus = allowed_cpus();
    if cpus.len() < 2 {
        return;
    }
    let counter = Counter::new(&domain);
    let scan = || {
        let before = domain.stats().scans;
        std::thread::sleep(PERIOD);
        domain.tick();
        assert!(domain.stats().scans > before);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // An operation that is preempted often goes to the fallback: several.
            let add = || (0..20).for_each(|_| counter.add(1));
            for cpu in &cpus[..2] {
                pin_to(&[*cpu]);
                add();
            }
            assert_eq!(domain.highest_in_use(), Some(1));
            // Both are marked.
            scan();
            std::thread::sleep(PERIOD);
            add();
            // The first is freed; the second is young.
            domain.tick();
            add();
        });
    });
    assert_eq!(domain.highest_in_use(), Some(0), "{:?}", domain.stats());
    assert_eq!(counter.total(), 80);
}

#[test]
fn a_child_of_fork_rebuilds_and_counts_on() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    counter.add(5);
    let done = AtomicBool::new(false);
    let mut wrong = 0;
    // Others are in slow paths at the moment of the fork.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let cpus = allowed_cpus();
                let mut turn = 0;
                while !done.load(Ordering::Relaxed) {
                    pin_to(&[cpus[turn % cpus.len()]]);
                    counter.add(0);
                    turn += 1;
                }
            });
        }
        for _ in 0..50 {
            // SAFETY: the child counts, checks and ends; nothing there allocates.
            match unsafe { libc::fork() } {
                0 => {
                    let before = domain.stats().acquisitions;
                    (0..100).for_each(|_| counter.add(1));
                    let afresh = domain.stats().acquisitions > before;
                    let exact = counter.total() == 105;
                    domain.compact();
                    let free = domain.ids_in_use() == 0;
                    let [a, b, c] = [afresh, exact, free].map(|right| i32::from(!right));
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(a | b << 1 | c << 2) }
                }
                child => {
                    let mut status = -1;
                    // SAFETY: a child of this process and a place for its status.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    wrong |= status >> 8;
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(
        wrong, 0,
        "1: went on with the parent's ids, 2: not exact, 4: an id was lost"
    );
    assert_eq!(counter.total(), 5);
}

#[test]
fn a_domain_goes_with_its_last_handle() {
    let mappings = || {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
        maps.lines().count()
    };
    let before = mappings();
    let domains: Vec<Domain> = (0..3000)
        .map(|_| Domain::builder().build().expect("a domain"))
        .collect();
    let handles: Vec<Domain> = domains.iter().skip(2990).cloned().collect();
    drop(domains);
    assert!(handles.iter().all(|domain| domain.ids_in_use() == 0));
    drop(handles);
    let after = mappings();
    assert!(after < before + 100, "{after} mappings after {before}");
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |builder: DomainBuilder| builder.build().unwrap_err();
    let builder = Domain::builder();
    assert_eq!(refused(builder.bound(Bound::At(0))), DomainError::NoIds);
    assert_eq!(
        refused(builder.period(Duration::ZERO)),
        DomainError::NoPeriod
    );
    let error = refused(builder.bound(Bound::At(u32::MAX)));
    assert!(matches!(error, DomainError::BoundTooLarge { .. }));
    assert!(error.to_string().contains("Bound::Relaxed"), "{error}");
}

#[test]
fn a_domain_is_small() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::COMBINED) else {
        return;
    };
    // Mapped, of which CPUs that are not used take nothing: a slot for each CPU that a
    // kernel may have, when each possible one changed last, and what is left of pages.
    let bytes = domain.stats().table_bytes;
    // SAFETY: no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let most = 8 * SLOTS + 8 * possible_cids() as usize + 64 + 3 * page;
    assert!(bytes <= most, "{bytes}");
}
