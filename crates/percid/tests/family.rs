//! Gauges, histograms, extremes and statistics: exact, whatever the threads do.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use percid::{
    ArenaError, Bound, Counter, Domain, Family, Gauge, Histogram, HistogramSnapshot, MinMax, Stats,
    StatsSnapshot,
};
use support::{Random, in_child, limit_address_space};

const THREADS: u64 = 8;

/// Runs a closure in several threads, with numbers that differ.
fn in_threads(work: impl Fn(u64, &mut Random) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(thread, &mut Random::new(thread + 1)));
        }
    });
}

fn a_domain() -> Domain {
    Domain::builder()
        .bound(Bound::Strict)
        .build()
        .expect("a domain")
}

#[test]
fn gauges_move_units_between_threads() {
    const STEPS: i64 = 20_000;
    let domain = a_domain();
    let (process, own) = (Gauge::new(), Gauge::in_domain(&domain).unwrap());
    in_threads(|thread, _| {
        let _joined = domain.join();
        for step in 0..STEPS {
            match (thread + step as u64) % 3 {
                0 => {
                    process.inc();
                    own.add(5);
                }
                1 => {
                    process.dec();
                    own.sub(4);
                }
                _ => {
                    process.add(-step);
                    process.add(step);
                }
            }
        }
    });
    let of = |kind: u64| -> i64 {
        let steps = |thread| (0..STEPS as u64).filter(move |step| (thread + step) % 3 == kind);
        (0..THREADS)
            .map(|thread| steps(thread).count() as i64)
            .sum()
    };
    assert_eq!(process.sum(), of(0) - of(1));
    assert_eq!(own.sum(), 5 * of(0) - 4 * of(1));
}

#[test]
fn a_gauge_that_is_set_forgets_what_was_before() {
    for gauge in [Gauge::new(), Gauge::try_new().unwrap(), Gauge::from(9)] {
        gauge.add(100);
        gauge.set(-5);
        assert_eq!(gauge.sum(), -5);
        gauge.inc();
        assert_eq!(gauge.to_string(), "-4");
        gauge.set(i64::MIN);
        gauge.dec();
        assert_eq!(gauge.sum(), i64::MAX, "modulo 2^64");
        gauge.set(0);
    }
    let own = Gauge::in_domain(&a_domain()).unwrap();
    own.set(7);
    own.sub(2);
    assert_eq!((own.sum(), format!("{own:?}")), (5, "Gauge(5)".to_owned()));
}

/// While one sets and others add, what is there at the end is what was set last and what
/// was added after it.
#[test]
fn gauges_are_set_while_others_add() {
    let gauge = Gauge::new();
    for round in 0..50 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..200).for_each(|_| gauge.inc()));
            }
            scope.spawn(|| gauge.set(1_000));
        });
        let sum = gauge.sum();
        assert!((1_000..=1_600).contains(&sum), "{sum} in round {round}");
    }
    gauge.set(3);
    assert_eq!(gauge.sum(), 3);
}

/// The value that stands at a share of sorted values.
fn exact_quantile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

#[test]
fn histograms_count_exactly_and_tell_values_within_their_error() {
    const RECORDS: usize = 20_000;
    let domain = a_domain();
    let whole = Histogram::new();
    let own = Histogram::in_domain(&domain, u64::MAX).unwrap();
    let value = |random: &mut Random| (1_u64 << random.below(40)) + random.below(1 << 20) as u64;
    in_threads(|_, random| {
        let _joined = domain.join();
        for _ in 0..RECORDS {
            let value = value(random);
            whole.record(value);
            own.record_many(value, 2);
        }
    });
    let mut values: Vec<u64> = (0..THREADS)
        .flat_map(|thread| {
            let mut random = Random::new(thread + 1);
            (0..RECORDS).map(|_| value(&mut random)).collect::<Vec<_>>()
        })
        .collect();
    values.sort_unstable();
    let seen = whole.snapshot();
    assert_eq!(seen.count(), values.len() as u64);
    assert_eq!(own.snapshot().count(), 2 * values.len() as u64);
    assert_eq!((seen.above(), seen.missed()), (0, 0));
    let near = |seen: f64, exact: f64| (seen - exact).abs() <= exact / 64.0;
    for share in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
        let exact = exact_quantile(&values, share);
        for snapshot in [&seen, &own.snapshot()] {
            let told = snapshot.quantile(share).unwrap();
            assert!(
                near(told as f64, exact as f64),
                "{share}: {told} for {exact}"
            );
        }
    }
    let exact_sum: f64 = values.iter().map(|&value| value as f64).sum();
    assert!(near(seen.sum(), exact_sum));
    assert!(near(seen.mean().unwrap(), exact_sum / values.len() as f64));
    for bucket in seen.buckets() {
        let from = values.partition_point(|&value| value < bucket.low);
        let to = values.partition_point(|&value| value <= bucket.high);
        assert_eq!(bucket.count, (to - from) as u64, "{bucket:?}");
    }
}

#[test]
fn values_out_of_range_are_counted_apart() {
    let small = Histogram::up_to(1_000);
    assert!(
        (1_000..1_050).contains(&small.highest()),
        "{}",
        small.highest()
    );
    for value in [0, 1_000, small.highest(), small.highest() + 1, u64::MAX] {
        small.record(value);
    }
    let seen = small.snapshot();
    assert_eq!((seen.count(), seen.above()), (5, 2));
    assert_eq!(seen.quantile(0.2), Some(0));
    assert_eq!(seen.quantile(0.9), None, "it is above all buckets");
    assert!(seen.to_string().ends_with("2 above"), "{seen}");
    let all = Histogram::try_new(u64::MAX).unwrap();
    all.record(u64::MAX);
    all.record(0);
    assert_eq!((all.snapshot().count(), all.snapshot().above()), (2, 0));
    let nothing = Histogram::up_to(0).snapshot();
    assert_eq!(
        (nothing.count(), nothing.quantile(0.5), nothing.mean()),
        (0, None, None)
    );
}

#[test]
fn snapshots_add_up() {
    let (a, b) = (Histogram::up_to(100), Histogram::new());
    (0..50).for_each(|value| a.record(value));
    (25..2_000).for_each(|value| b.record(value));
    a.record(5_000);
    let sum: HistogramSnapshot = [a.snapshot(), b.snapshot()].into_iter().sum();
    assert_eq!((sum.count(), sum.above()), (50 + 1975 + 1, 1));
    assert!(sum.buckets().windows(2).all(|two| two[0].high < two[1].low));
    let of_30 = sum
        .buckets()
        .iter()
        .find(|bucket| bucket.low == 30)
        .unwrap();
    assert_eq!(of_30.count, 2);
    let both = [Stats::new(), Stats::new(), Stats::new()];
    both[0].record(7);
    both[1].record(3);
    let sum: StatsSnapshot = both.iter().map(Stats::snapshot).sum();
    assert_eq!(
        (sum.count, sum.sum, sum.min, sum.max),
        (2, 10, Some(3), Some(7))
    );
    assert_eq!(sum.to_string(), "2 values, 3 to 7, mean 5.00");
    let counters = [Counter::from(5), Counter::new()];
    assert_eq!(
        (counters.iter().sum::<u64>(), counters[0].to_string()),
        (5, "5".to_owned())
    );
}

#[test]
fn extremes_and_sums_are_exact() {
    const RECORDS: u64 = 20_000;
    let domain = a_domain();
    let (ends, own_ends) = (MinMax::new(), MinMax::in_domain(&domain).unwrap());
    let (stats, own_stats) = (Stats::new(), Stats::in_domain(&domain).unwrap());
    assert_eq!(stats.snapshot(), StatsSnapshot::default());
    // Each thread comes to the ends at another time.
    in_threads(|thread, _| {
        let _joined = domain.join();
        for step in 0..RECORDS {
            let far = 1_000_000 + (step * THREADS + thread) % 50_000;
            let value = if step % 2 == 0 { far } else { 2_000_000 - far };
            ends.record(value);
            own_ends.record(value);
            stats.record(value);
            own_stats.record(value);
        }
    });
    let (mut min, mut max, mut sum) = (u64::MAX, 0, 0);
    for thread in 0..THREADS {
        for step in 0..RECORDS {
            let far = 1_000_000 + (step * THREADS + thread) % 50_000;
            let value = if step % 2 == 0 { far } else { 2_000_000 - far };
            (min, max, sum) = (min.min(value), max.max(value), sum + value);
        }
    }
    assert_eq!((ends.min(), ends.max()), (Some(min), Some(max)));
    assert_eq!((own_ends.min(), own_ends.max()), (Some(min), Some(max)));
    for seen in [stats.snapshot(), own_stats.snapshot()] {
        assert_eq!(
            (seen.count, seen.sum, seen.missed),
            (THREADS * RECORDS, sum, 0)
        );
        assert_eq!((seen.min, seen.max), (Some(min), Some(max)));
    }
}

#[test]
fn the_ends_of_the_numbers_are_numbers() {
    let ends = MinMax::try_new().unwrap();
    ends.record(u64::MAX);
    assert_eq!((ends.min(), ends.max()), (Some(u64::MAX), Some(u64::MAX)));
    ends.record(0);
    assert_eq!((ends.min(), ends.max()), (Some(0), Some(u64::MAX)));
    let stats = Stats::try_new().unwrap();
    stats.record(0);
    assert_eq!(stats.snapshot().mean(), Some(0.0));
    assert_eq!(stats.snapshot().max, Some(0));
}

#[test]
fn a_scrape_during_heavy_adds_never_goes_back() {
    const ADDS: u64 = 30_000;
    static COUNTER: Counter = Counter::new();
    static HISTOGRAM: Histogram = Histogram::up_to(1 << 16);
    static FAMILY: Family<u64, Counter> = Family::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let adders: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    for add in 0..ADDS {
                        COUNTER.inc();
                        HISTOGRAM.record(add);
                        FAMILY.get_or_create(&(thread * 100 + add % 10)).inc();
                    }
                })
            })
            .collect();
        let scraper = scope.spawn(|| {
            let mut before = (0, 0, 0);
            let mut scrapes = 0;
            while !done.load(Ordering::Relaxed) || scrapes == 0 {
                let families: u64 = FAMILY.iter().map(|(_, counter)| counter).sum();
                let now = (COUNTER.sum(), HISTOGRAM.snapshot().count(), families);
                let grows = now.0 >= before.0 && now.1 >= before.1 && now.2 >= before.2;
                assert!(grows, "{before:?}, then {now:?}");
                before = now;
                scrapes += 1;
            }
        });
        let ended: Vec<_> = adders.into_iter().map(|adder| adder.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.into_iter().all(|adder| adder.is_ok()));
        scraper.join().unwrap();
    });
    let families: u64 = FAMILY.iter().map(|(_, counter)| counter).sum();
    assert_eq!(
        (
            COUNTER.sum(),
            HISTOGRAM.snapshot().count(),
            families,
            FAMILY.len()
        ),
        (4 * ADDS, 4 * ADDS, 4 * ADDS, 40)
    );
}

#[test]
fn a_full_arena_is_reported_and_used_again() {
    let domain = a_domain();
    let mut all = Vec::new();
    let refused = loop {
        match Histogram::in_domain(&domain, u64::MAX) {
            Ok(one) => all.push(one),
            Err(why) => break why,
        }
    };
    assert!(matches!(refused, ArenaError::Full { .. }), "{refused:?}");
    assert!(all.len() > 16, "{}", all.len());
    for one in &all {
        one.record(77);
        assert_eq!(one.snapshot().count(), 1);
    }
    all.truncate(3);
    let again = Histogram::in_domain(&domain, u64::MAX).unwrap();
    assert_eq!(
        again.snapshot().count(),
        0,
        "words that are used again read zero"
    );
}

#[test]
fn without_memory_nothing_is_lost_silently() {
    let limit = |child: &mut std::process::Command| limit_address_space(child, 192 << 20);
    if !in_child("without_memory_nothing_is_lost_silently", limit) {
        return;
    }
    let (histogram, stats, ends) = (Histogram::new(), Stats::new(), MinMax::new());
    for value in 0..10 {
        histogram.record(value);
        stats.record(value);
        ends.record(value);
    }
    histogram.record_many(5, 90);
    let (seen, statistics) = (histogram.snapshot(), stats.snapshot());
    assert_eq!((seen.count(), seen.missed()), (0, 100));
    assert_eq!((statistics.count, statistics.missed), (0, 10));
    assert_eq!(ends.max(), None);
    assert!(Histogram::try_new(10).is_err() && Stats::try_new().is_err());
    assert!(MinMax::try_new().is_err() && Gauge::try_new().is_err());
    // A single word has one to spare.
    let gauge = Gauge::new();
    gauge.add(5);
    gauge.set(3);
    gauge.dec();
    assert_eq!(gauge.sum(), 2);
    let bounded = percid::BoundedCounter::new(100);
    assert!(bounded.limited_add(60) && !bounded.limited_add(41));
    bounded.sub(30);
    assert!(bounded.limited_add(70) && !bounded.limited_add(1));
    assert_eq!(bounded.sum(), 100);
}
