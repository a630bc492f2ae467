//! Every suite at the least effort: that the machinery is right, never how fast.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use percid_benches::Error;
use percid_benches::compare::Which;
use percid_benches::measure::{Effort, Entrant, Field};
use percid_benches::plan::{look, measure_here, plan};
use percid_benches::record::Figure;
use percid_benches::suite::{Done, Method, OPERATIONS, SUITES, Timed, Who, Workload, find};

const LEAST: Effort = Effort {
    repetitions: 5,
    run: Duration::from_micros(50),
    processes: 2,
    budget: None,
};

/// Workloads have statics, which count for the whole process: tests that run suites take
/// turns.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn every_case_runs_and_every_comparison_has_its_figures() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for suite in SUITES {
        let mut figures: Vec<Figure> = Vec::new();
        for job in plan(&[suite], &[1, 2, 3]) {
            let mut steps = 0;
            let elsewhere = |_: &_, _| Ok(8.0);
            let found = job.run(&LEAST, &elsewhere, &mut || steps += 1).unwrap();
            assert_eq!(steps, job.steps(&LEAST));
            let implementations = job.case.method.implementations();
            assert_eq!(found.len(), implementations.len() * job.threads.len());
            for (number, figure) in found.iter().enumerate() {
                assert_eq!(figure.threads, job.threads[number / implementations.len()]);
                assert_eq!(
                    figure.implementation,
                    implementations[number % implementations.len()]
                );
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

/// Also the least budget leaves figures of everything, and no step out.
#[test]
fn a_budget_that_is_used_up_leaves_the_fewest_repetitions() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let none = Effort {
        repetitions: 50,
        processes: 10,
        ..LEAST
    };
    let none = none.sharing(Duration::ZERO, 3);
    assert_eq!(none.budget, Some(Duration::ZERO));
    let counter = find("counter").unwrap();
    for job in plan(&[counter], &[1]) {
        let mut steps = 0;
        let elsewhere = |_: &_, _| Ok(8.0);
        let found = job.run(&none, &elsewhere, &mut || steps += 1).unwrap();
        assert_eq!(steps, job.steps(&none));
        let fewest = match job.case.method {
            Method::Timed { .. } => Effort::FEWEST,
            Method::Fresh { .. } => 1,
        };
        assert!(found.iter().all(|figure| figure.runs == fewest));
    }
}

#[test]
fn a_budget_is_shared_out() {
    let second = Duration::from_secs(1);
    assert_eq!(Effort::FULL.sharing(second, 4).budget, Some(second / 4));
    assert_eq!(
        Effort::LOOK.sharing(100 * second, 4).budget,
        Effort::LOOK.budget
    );
    assert_eq!(Effort::LOOK.sharing(second, 0).budget, Some(second));
}

#[test]
fn a_first_look_has_one_case_of_each_suite() {
    let jobs = look(&SUITES, &[1, 2]);
    let names: Vec<&str> = jobs.iter().map(|job| job.suite.name).collect();
    assert_eq!(names, SUITES.map(|suite| suite.name));
}

/// The files are found by the names of the suites, so that none is forgotten.
#[test]
fn every_suite_has_a_criterion_bench() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(here.join("Cargo.toml")).unwrap();
    for suite in SUITES {
        let path = format!("benches/{}.rs", suite.name);
        let text =
            std::fs::read_to_string(here.join(&path)).unwrap_or_else(|why| panic!("{path}: {why}"));
        assert!(text.contains(suite.name), "{path} benches another suite");
        assert!(manifest.contains(&path), "{path} is not in Cargo.toml");
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
fn cases_with_processes_of_their_own_choose_their_threads() {
    let counter = find("counter").unwrap();
    for job in plan(&[counter], &[1, 3]) {
        let threads: &[usize] = match job.case.method {
            Method::Timed { .. } => &[1, 3],
            Method::Fresh { .. } => &[2],
        };
        assert_eq!(job.threads, threads, "{}", job.case.name);
    }
}

/// Loses one operation in each run.
struct Careless;

impl Workload for Careless {
    fn begin(&self) {}

    fn run(&self, _: usize, _: u64) {}

    fn check(&self, done: Done) -> Result<(), Error> {
        assert_eq!(done.operations % OPERATIONS, 0);
        Err(Error::Wrong {
            implementation: "careless",
            counted: done.operations - done.threads,
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

/// Right once, and then never again.
struct Forgetful(AtomicU32);

impl Workload for Forgetful {
    fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn run(&self, _: usize, rounds: u64) {
        (0..rounds).for_each(|round| _ = std::hint::black_box(round));
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) == 1 {
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
        make: |_| Ok(Box::new(Forgetful(AtomicU32::new(0)))),
    };
    assert!(Entrant::verified(&forgetful, 2).is_ok());
    let timed = Field::new(&[forgetful], 2, Who::All, LEAST.run);
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
