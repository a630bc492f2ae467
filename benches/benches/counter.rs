//! The timed cases of the suite `counter`, by criterion: for watching one
//! implementation over time. For comparing several use `percid bench`, which
//! takes turns.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use percid_benches::counter::SUITE;
use percid_benches::measure::Entrant;
use percid_benches::suite::{Method, OPERATIONS};

fn counter(criterion: &mut Criterion) {
    for case in SUITE.cases {
        let Method::Timed {
            who,
            implementations,
        } = &case.method
        else {
            continue;
        };
        let mut group = criterion.benchmark_group(format!("{}/{}", SUITE.name, case.name));
        group.throughput(Throughput::Elements(1));
        for implementation in *implementations {
            for threads in [1, 2] {
                let entrant = Entrant::verified(implementation, threads)
                    .unwrap_or_else(|why| panic!("{why}"));
                let id = BenchmarkId::new(implementation.name, threads);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|operations| {
                        let rounds = operations.div_ceil(OPERATIONS);
                        let time = entrant
                            .time_once(threads, *who, rounds)
                            .unwrap_or_else(|why| panic!("{why}"));
                        // More were done than asked for, if that is no whole round.
                        time.mul_f64(operations as f64 / (rounds * OPERATIONS) as f64)
                    });
                });
            }
        }
    }
}

criterion_group!(benches, counter);
criterion_main!(benches);
