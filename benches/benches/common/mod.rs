//! The timed cases of a suite, by criterion: for watching one implementation over
//! time. For comparing several use `percid bench`, which takes turns.

use criterion::{BenchmarkId, Criterion, Throughput};
use percid_benches::measure::Entrant;
use percid_benches::suite::{Method, OPERATIONS, Suite, find};

/// Benches the suite of that name: all that the file of a suite has to do.
pub(crate) fn main(name: &str) {
    let suite = find(name).unwrap_or_else(|| panic!("there is no suite '{name}'"));
    let mut criterion = Criterion::default().configure_from_args();
    bench(suite, &mut criterion);
    criterion.final_summary();
}

/// Benches every implementation of every timed case, with one thread and with two.
fn bench(suite: &Suite, criterion: &mut Criterion) {
    if let Err(why) = (suite.available)() {
        println!("the suite '{}' cannot run here: {why}", suite.name);
        return;
    }
    for case in suite.cases {
        let Method::Timed {
            who,
            implementations,
        } = &case.method
        else {
            continue;
        };
        let mut group = criterion.benchmark_group(format!("{}/{}", suite.name, case.name));
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
