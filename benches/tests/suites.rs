//! Every suite at the least effort: that the machinery is right, never how fast.

use std::time::Duration;

use percid_benches::Error;
use percid_benches::compare::Which;
use percid_benches::measure::{Effort, Entrant, in_turns};
use percid_benches::plan::{measure_here, plan};
use percid_benches::record::Figure;
use percid_benches::suite::{Done, Method, OPERATIONS, SUITES, Timed, Who, Workload, find};

const LEAST: Effort = Effort {
    repetitions: 3,
    run: Duration::from_micros(50),
    processes: 2,
};

/// One test for all of them: statics count for the whole process.
#[test]
fn every_case_runs_and_every_comparison_has_its_figures() {
    for suite in SUITES {
        let mut figures: Vec<Figure> = Vec::new();
        for job in plan(&[suite], &[1, 2, 3]) {
            let mut steps = 0;
            let elsewhere = |_: &_, _| Ok(8.0);
            let found = job.run(&LEAST, &elsewhere, &mut || steps += 1).unwrap();
            assert_eq!(steps, job.steps(&LEAST));
            assert_eq!(found.len(), job.case.method.implementations().len());
            for figure in &found {
                assert_eq!(figure.threads, job.threads);
                assert!(figure.min <= figure.median && figure.median <= figure.max);
                assert!(figure.min > 0.0, "{figure:?}");
            }
            figures.extend(found);
        }
        for comparison in suite.comparisons {
            assert!(
                comparison.value(suite.name, &figures).is_some(),
                "{}",
                comparison.what
            );
            assert_eq!(comparison.value("another", &figures), None);
        }
    }
}

#[test]
fn names_are_found() {
    assert!(find("counter").is_some());
    assert!(find("no such suite").is_none());
    assert!(matches!(
        measure_here("counter", "add_one", "percid"),
        Err(Error::Unknown { .. })
    ));
    assert!(matches!(
        measure_here("counter", "memory", "nobody"),
        Err(Error::Unknown { .. })
    ));
    let counter = find("counter").unwrap();
    for case in ["add_one", "add_eight", "sum", "memory"] {
        assert_eq!(
            counter.case(case).unwrap().method.implementations(),
            [
                "percid",
                "thread_local",
                "atomic_shared",
                "atomic_padded",
                "percid_fallback"
            ],
            "{case}"
        );
    }
}

#[test]
fn cases_with_processes_of_their_own_run_once() {
    let counter = find("counter").unwrap();
    let jobs = plan(&[counter], &[1, 2]);
    let fresh = |job: &&percid_benches::plan::Job| matches!(job.case.method, Method::Fresh { .. });
    assert_eq!(jobs.len(), 7);
    assert_eq!(jobs.iter().filter(fresh).count(), 1);
}

/// Loses one operation in each run.
struct Careless;

impl Workload for Careless {
    fn run(&self, _: usize, _: u64) {}

    fn check(&self, done: Done) -> Result<(), Error> {
        assert_eq!(done.operations % OPERATIONS, 0);
        Err(Error::Wrong {
            implementation: "careless",
            counted: done.operations - done.entered,
            expected: done.operations,
        })
    }
}

#[test]
fn a_wrong_result_is_never_timed() {
    let careless = Timed {
        name: "careless",
        make: |_| Ok(Box::new(Careless)),
    };
    let Err(why) = Entrant::verified(&careless, 2) else {
        panic!("verified although it loses operations");
    };
    assert!(why.to_string().starts_with("careless counted"), "{why}");
}

/// Right as long as nobody is timed.
struct Forgetful(u64);

impl Workload for Forgetful {
    fn run(&self, _: usize, _: u64) {}

    fn check(&self, done: Done) -> Result<(), Error> {
        if done.entered == self.0 {
            return Ok(());
        }
        Err(Error::Wrong {
            implementation: "forgetful",
            counted: 0,
            expected: done.operations,
        })
    }
}

#[test]
fn what_was_timed_is_verified_as_well() {
    let forgetful = Timed {
        name: "forgetful",
        make: |threads| Ok(Box::new(Forgetful(threads as u64))),
    };
    let mut entrants = [Entrant::verified(&forgetful, 2).unwrap()];
    let timed = in_turns(&mut entrants, 2, Who::All, &LEAST, &mut || {});
    assert!(matches!(timed, Err(Error::Wrong { .. })));
}

#[test]
fn a_comparison_without_its_figures_has_no_value() {
    let of = Which {
        case: "add_one",
        implementation: "percid",
        threads: 1,
    };
    let comparison = percid_benches::compare::Comparison {
        what: "nothing",
        of,
        against: Some(of),
    };
    assert_eq!(comparison.value("counter", &[]), None);
}
