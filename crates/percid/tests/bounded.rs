//! The bounded counter: against a sequential model, and with everybody at it.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::cmp::Ordering as Compared;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use percid::{BoundedCounter, Domain};
use proptest::prelude::*;
use support::Random;

/// What is done to a counter, and by which of a few threads.
#[derive(Clone, Debug)]
enum Step {
    LimitedAdd(u64),
    Add(i64),
    Sub(i64),
    SetLimit(i64),
    Compare(i64),
}

const LIMIT: i64 = 1_000;
const BATCH: i64 = 64;

/// How long a step may take before its thread is given up: it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..200).prop_map(Step::LimitedAdd),
        1 => (0_u64..3_000).prop_map(Step::LimitedAdd),
        2 => (-200_i64..200).prop_map(Step::Add),
        3 => (0_i64..200).prop_map(Step::Sub),
        1 => (-500_i64..2_000).prop_map(Step::SetLimit),
        2 => (-300_i64..2_000).prop_map(Step::Compare),
    ]
}

/// The same in plain numbers.
struct Model {
    sum: i64,
    limit: i64,
}

fn take(counter: &BoundedCounter, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    match *step {
        Step::LimitedAdd(n) => {
            let fits = model.sum + n as i64 <= model.limit;
            prop_assert_eq!(counter.limited_add(n), fits);
            model.sum += if fits { n as i64 } else { 0 };
        }
        Step::Add(n) => {
            counter.add(n);
            model.sum += n;
        }
        Step::Sub(n) => {
            counter.sub(n);
            model.sum -= n;
        }
        Step::SetLimit(limit) => {
            counter.set_limit(limit);
            model.limit = limit;
        }
        Step::Compare(with) => prop_assert_eq!(counter.compare(with), model.sum.cmp(&with)),
    }
    prop_assert_eq!((counter.sum(), counter.limit()), (model.sum, model.limit));
    for with in [model.sum - 1, model.sum, model.sum + 1] {
        prop_assert_eq!(counter.compare(with), model.sum.cmp(&with));
    }
    let ids = i64::from(percid::arena_stats().cid_stripes);
    let over = counter.read_approx() - model.sum;
    prop_assert!((0..=ids * counter.batch()).contains(&over), "{} over", over);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// One step at a time, by threads in turns, so that stripes hold parts of it.
    #[test]
    fn it_does_what_plain_numbers_do(steps in prop::collection::vec((step(), 0_usize..3), 1..120)) {
        let counter = BoundedCounter::with_batch(LIMIT, BATCH);
        let mut model = Model { sum: 0, limit: LIMIT };
        let outcome: Result<(), TestCaseError> = std::thread::scope(|scope| {
            let (done, outcomes) = mpsc::channel();
            let counter = &counter;
            let workers: Vec<_> = (0..3)
                .map(|_| {
                    let (sender, receiver) = mpsc::channel::<(Step, Model)>();
                    let done = done.clone();
                    scope.spawn(move || {
                        for (step, mut model) in receiver {
                            let outcome = take(counter, &mut model, &step);
                            if done.send((outcome, model)).is_err() {
                                return;
                            }
                        }
                    });
                    sender
                })
                .collect();
            for (step, worker) in steps {
                let now = Model { sum: model.sum, limit: model.limit };
                workers[worker].send((step, now)).expect("a worker");
                let (outcome, after) = outcomes.recv_timeout(PATIENCE).expect("an outcome");
                outcome?;
                model = after;
            }
            Ok(())
        });
        outcome?;
    }
}

/// Threads that add until nothing fits, and then give some back, and again.
fn fill<S: percid::Scope>(counter: &BoundedCounter<S>, limit: i64, enter: impl Fn() + Sync)
where
    BoundedCounter<S>: Sync,
{
    const THREADS: u64 = 8;
    const STEPS: usize = 2_000;
    let added = AtomicI64::new(0);
    let (done, overshot) = (AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // What was promised bounds what was added, at every moment.
                overshot.fetch_max(counter.read_approx() - limit, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (added, enter) = (&added, &enter);
                scope.spawn(move || {
                    enter();
                    let mut random = Random::new(thread + 1);
                    let mut mine = 0;
                    for step in 0..STEPS {
                        let n = random.below(if step % 50 == 0 { 400 } else { 20 }) as i64;
                        if step % 3 == 2 && mine >= n {
                            counter.sub(n);
                            mine -= n;
                        } else if counter.limited_add(n as u64) {
                            mine += n;
                        }
                    }
                    added.fetch_add(mine, Ordering::Relaxed);
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
        assert!(ended.into_iter().all(|worker| worker.is_ok()));
    });
    let added = added.into_inner();
    assert_eq!(counter.sum(), added);
    assert!(overshot.into_inner() <= 0 && added <= limit);
    // With nobody at it, all that is left fits, to the last unit.
    while counter.sum() < limit {
        assert!(counter.limited_add(1), "{} of {limit}", counter.sum());
    }
    assert!(!counter.limited_add(1));
    assert_eq!(counter.compare(limit), Compared::Equal);
    counter.sub(limit);
    assert_eq!(counter.sum(), 0);
    assert!(counter.limited_add(limit as u64) && !counter.limited_add(1));
}

#[test]
fn nobody_gets_past_the_limit_and_nothing_is_lost() {
    for (limit, batch) in [(3_000, 64), (100_000, 2_000), (500, 2)] {
        fill(&BoundedCounter::with_batch(limit, batch), limit, || {});
    }
}

#[test]
fn nor_in_a_domain() {
    let domain = Domain::builder().build().unwrap();
    let counter = BoundedCounter::in_domain(&domain, 3_000, 64).unwrap();
    fill(&counter, 3_000, || drop(domain.join()));
}

/// Additions only, close to the limit all the time: the sum is never above it, either.
#[test]
fn a_reader_never_sees_more_than_the_limit() {
    const LIMIT: i64 = 40_000;
    static COUNTER: BoundedCounter = BoundedCounter::with_batch(LIMIT, 512);
    let most = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut added = 0;
                    // Towards the end it may be refused while others collect.
                    let mut refused = 0;
                    while refused < 20 {
                        if COUNTER.limited_add(3) {
                            added += 3;
                        } else {
                            refused += 1;
                        }
                    }
                    added
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut most = 0;
            for _ in 0..2_000 {
                most = most.max(COUNTER.sum());
                std::thread::yield_now();
            }
            most
        });
        let added: i64 = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum();
        assert_eq!(COUNTER.sum(), added);
        reader.join().unwrap()
    });
    assert!(most <= LIMIT, "{most}");
}

#[test]
fn amounts_of_all_sizes() {
    let counter = BoundedCounter::new(1 << 60);
    assert!(counter.limited_add(1 << 59) && counter.limited_add(1 << 59));
    assert!(!counter.limited_add(1));
    counter.sub(1 << 60);
    assert_eq!((counter.sum(), counter.limit()), (0, 1 << 60));
    assert!(counter.limited_add(0));
    counter.add(-5);
    assert_eq!(counter.compare(-5), Compared::Equal);
    assert!(counter.limited_add((1 << 60) - 1));
    assert!(std::panic::catch_unwind(|| counter.limited_add(u64::MAX)).is_err());
    assert!(std::panic::catch_unwind(|| counter.add(i64::MIN)).is_err());
    assert_eq!(counter.sum(), (1 << 60) - 6);
    assert!(format!("{counter:?}").contains("limit"));
}

#[test]
fn a_limit_that_falls_stops_what_stripes_hold_back() {
    let counter = BoundedCounter::with_batch(1_000, 200);
    assert!(counter.limited_add(10));
    counter.set_limit(5);
    assert!(!counter.limited_add(1), "the stripe held back some");
    counter.sub(6);
    assert!(counter.limited_add(1) && !counter.limited_add(1));
    counter.add(500);
    assert!(!counter.limited_add(1));
    counter.sub(504);
    assert!(counter.limited_add(4) && !counter.limited_add(1));
    assert_eq!(counter.sum(), 5);
}
