//! How compact ids are, for as long as `PERCID_SECONDS` says (1 if it does not): what a
//! domain promises on machines with many CPUs, too.
#![cfg(all(target_os = "linux", not(loom)))]

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use percid_cid::domain::Policy;
use percid_cid::{Bound, possible_cids};

use common::{Counter, allowed_cpus, domain, pin_to};

const PERIOD: Duration = Duration::from_millis(100);

fn seconds() -> Duration {
    let text = std::env::var("PERCID_SECONDS").ok();
    Duration::from_secs(text.and_then(|text| text.parse().ok()).unwrap_or(1))
}

/// Threads that join, are pinned to random CPUs again and again, and count.
fn roam(counter: &Counter, threads: u64) -> u64 {
    let (cpus, added, start) = (allowed_cpus(), AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (cpus, added) = (&cpus, &added);
            scope.spawn(move || {
                let _joined = counter.domain().join();
                let mut random = 0x9e37_79b9_7f4a_7c15 ^ thread << 40;
                while start.elapsed() < seconds() {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    pin_to(&[cpus[random as usize % cpus.len()]]);
                    for _ in 0..500 {
                        counter.add(1);
                    }
                    added.fetch_add(500, Ordering::Relaxed);
                }
                pin_to(cpus);
            });
        }
    });
    added.into_inner()
}

#[test]
fn five_joined_threads_use_five_ids() {
    let Some(domain) = domain(Bound::Strict, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    let added = roam(&counter, 5);
    let (ids, stats) = (counter.ids(), domain.stats());
    println!(
        "five strict: ids {ids:?} of {} CPUs, {added} adds, {stats:?}",
        allowed_cpus().len()
    );
    assert_eq!(counter.total(), added);
    assert!(ids.iter().all(|&id| id < 5), "{ids:?}");
}

#[test]
fn five_threads_in_a_relaxed_domain_use_no_more_ids_than_cpus() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    let added = roam(&counter, 5);
    let (ids, stats) = (counter.ids(), domain.stats());
    println!(
        "five relaxed: {} ids of {} CPUs, {added} adds, {:.0} fences a second, {stats:?}",
        ids.len(),
        allowed_cpus().len(),
        stats.fences as f64 / seconds().as_secs_f64(),
    );
    assert_eq!(counter.total(), added);
    assert!(ids.iter().all(|&id| id < allowed_cpus().len()), "{ids:?}");
}

/// A burst uses every id; then four threads go on, or as many as half the CPUs.
#[test]
fn after_a_burst_the_ids_are_low_again() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    let cpus = allowed_cpus();
    let stay = (cpus.len() / 2).clamp(1, 4);
    let (start, done) = (Barrier::new(cpus.len() + 1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (number, &cpu) in cpus.iter().enumerate() {
            let (start, counter, done, all) = (&start, &counter, &done, cpus.len());
            scope.spawn(move || {
                pin_to(&[cpu]);
                counter.add(1);
                // All hold an id at the same time.
                start.wait();
                // The last ones stay: theirs are the highest.
                if number + stay < all {
                    return;
                }
                while !done.load(Ordering::Relaxed) {
                    counter.add(1);
                    std::thread::yield_now();
                }
            });
        }
        start.wait();
        let begin = Instant::now();
        let mut periods = 0.0;
        while domain
            .highest_in_use()
            .is_some_and(|id| id as usize >= stay)
            && periods < 50.0
        {
            std::thread::sleep(PERIOD / 20);
            periods = begin.elapsed().as_secs_f64() / PERIOD.as_secs_f64();
        }
        println!(
            "after a burst on {} CPUs: below {stay} after {periods:.2} periods, {:?}",
            cpus.len(),
            domain.stats()
        );
        // The others are let go before anything may panic.
        done.store(true, Ordering::Relaxed);
        assert!(periods < 50.0, "{:?}", domain.stats());
    });
    // At some moment each CPU held an id of its own.
    let highest = domain.stats().highest_id;
    assert!(highest >= Some(stay as u32 - 1), "{highest:?}");
}

#[test]
fn sixty_four_threads_on_two_cpus_use_two_ids() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::COMBINED) else {
        return;
    };
    let (all, counter) = (allowed_cpus(), Counter::new(&domain));
    let cpus = &all[..all.len().min(2)];
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                pin_to(cpus);
                (0..2_000).for_each(|_| counter.add(1));
            });
        }
    });
    assert_eq!(counter.total(), 64 * 2_000);
    assert!(counter.ids().len() <= cpus.len(), "{:?}", domain.stats());
}

#[test]
fn one_thread_that_roams_keeps_one_id_under_a_strict_bound() {
    let Some(domain) = domain(Bound::Strict, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    let added = roam(&counter, 1);
    assert_eq!(counter.total(), added);
    assert_eq!(counter.ids().into_iter().collect::<Vec<_>>(), [0]);
    assert!(possible_cids() > 0);
}
