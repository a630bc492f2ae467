//! Which measurements make up a run.

use std::time::{Duration, Instant};

use crate::Error;
use crate::measure::{Effort, Field};
use crate::record::{Figure, Spread};
use crate::suite::{Case, Method, Suite, Timed, Who, find};

/// Repetitions with one number of threads before it is the next one's turn.
const TURN: u32 = Effort::FEWEST;

/// A run with what it takes to set it up and to meet the other threads, in runs.
const SETTING_UP: f64 = 1.5;

/// A process that measures one thing.
const PROCESS: Duration = Duration::from_millis(150);

/// A case: all implementations of it, with all numbers of threads.
#[derive(Clone, Debug)]
pub struct Job {
    /// The suite.
    pub suite: &'static Suite,
    /// The case.
    pub case: &'static Case,
    /// Numbers of threads.
    pub threads: Vec<usize>,
}

/// The jobs for some suites and numbers of threads, in order.
#[must_use]
pub fn plan(suites: &[&'static Suite], threads: &[usize]) -> Vec<Job> {
    let cases = suites
        .iter()
        .flat_map(|&suite| suite.cases.iter().map(move |case| (suite, case)));
    cases
        .map(|(suite, case)| Job {
            suite,
            case,
            threads: match case.method {
                Method::Timed { .. } => threads.to_vec(),
                Method::Fresh { threads, .. } => vec![threads],
            },
        })
        .collect()
}

/// The jobs for a first look: of each suite, the case that stands for it.
#[must_use]
pub fn look(suites: &[&'static Suite], threads: &[usize]) -> Vec<Job> {
    let mut jobs = plan(suites, threads);
    jobs.retain(|job| (job.suite.cases.first()).is_some_and(|first| first.name == job.case.name));
    jobs
}

/// Measures an implementation of a case in a process of its own, which calls
/// [`measure_here`].
pub type Elsewhere<'a> = &'a dyn Fn(&Job, &'static str) -> Result<f64, Error>;

impl Job {
    /// How often [`run`](Job::run) calls `step`, also for what it leaves out.
    #[must_use]
    pub fn steps(&self, effort: &Effort) -> u64 {
        let (implementations, each) = match &self.case.method {
            Method::Timed {
                implementations, ..
            } => (implementations.len(), effort.repetitions),
            Method::Fresh {
                implementations, ..
            } => (implementations.len(), effort.processes),
        };
        (implementations * self.threads.len()) as u64 * u64::from(each)
    }

    /// About how long a step takes, over all suites: some a tenth of it, some ten times.
    #[must_use]
    pub fn step_time(&self, effort: &Effort) -> Duration {
        match &self.case.method {
            Method::Timed { .. } => effort.run.mul_f64(SETTING_UP),
            Method::Fresh { .. } => PROCESS,
        }
    }

    /// About how long [`run`](Job::run) takes.
    #[must_use]
    pub fn time(&self, effort: &Effort) -> Duration {
        let steps = u32::try_from(self.steps(effort)).unwrap_or(u32::MAX);
        let time = self.step_time(effort).saturating_mul(steps);
        effort.budget.map_or(time, |budget| time.min(budget))
    }

    /// Measures all implementations, and calls `step` after each measurement.
    ///
    /// # Errors
    ///
    /// If one of them cannot be measured or is wrong.
    pub fn run(
        &self,
        effort: &Effort,
        elsewhere: Elsewhere<'_>,
        step: &mut dyn FnMut(),
    ) -> Result<Vec<Figure>, Error> {
        match &self.case.method {
            Method::Timed {
                who,
                implementations,
            } => self.run_timed(implementations, *who, effort, step),
            Method::Fresh {
                implementations, ..
            } => {
                let mut figures = vec![Vec::new(); implementations.len()];
                let start = Instant::now();
                for process in 0..effort.processes {
                    let enough = process > 0 && effort.is_over(start);
                    for (one, figures) in implementations.iter().zip(&mut figures) {
                        if !enough {
                            figures.push(elsewhere(self, one.name)?);
                        }
                        step();
                    }
                }
                Ok(self.figures(self.threads[0], figures))
            }
        }
    }

    fn run_timed(
        &self,
        implementations: &[Timed],
        who: Who,
        effort: &Effort,
        step: &mut dyn FnMut(),
    ) -> Result<Vec<Figure>, Error> {
        let begun = Instant::now();
        let fields = self.threads.iter();
        let mut fields = fields
            .map(|&threads| Field::new(implementations, threads, who, effort.run))
            .collect::<Result<Vec<_>, _>>()?;
        for start in (0..effort.repetitions).step_by(TURN as usize) {
            let turn = start..effort.repetitions.min(start + TURN);
            if start > 0 && effort.is_over(begun) {
                let left = (effort.repetitions - start) as usize;
                (0..left * implementations.len() * fields.len()).for_each(|_| step());
                break;
            }
            for field in &mut fields {
                field.run(turn.clone(), step)?;
            }
        }
        let fields = self.threads.iter().zip(fields);
        Ok(fields
            .flat_map(|(&threads, field)| self.figures(threads, field.times()))
            .collect())
    }

    /// What each implementation came to.
    fn figures(&self, threads: usize, results: Vec<Vec<f64>>) -> Vec<Figure> {
        let names = self.case.method.implementations();
        names
            .into_iter()
            .zip(results)
            .map(|(implementation, results)| {
                let spread = Spread::of(results).rounded();
                Figure {
                    suite: self.suite.name.to_owned(),
                    case: self.case.name.to_owned(),
                    implementation: implementation.to_owned(),
                    threads,
                    unit: self.case.unit.to_owned(),
                    median: spread.median,
                    quartiles: Some(spread.quartiles),
                    min: spread.min,
                    max: spread.max,
                    runs: spread.runs,
                }
            })
            .collect()
    }
}

/// Makes one measurement that needs a process of its own, in this one.
///
/// # Errors
///
/// If there is no such measurement, or it fails.
pub fn measure_here(suite: &str, case: &str, implementation: &str) -> Result<f64, Error> {
    let method = find(suite)
        .and_then(|suite| suite.case(case))
        .map(|case| &case.method);
    let found = match method {
        Some(Method::Fresh {
            implementations, ..
        }) => implementations
            .iter()
            .find(|one| one.name == implementation),
        _ => None,
    };
    let found = found.ok_or_else(|| Error::Unknown {
        suite: suite.to_owned(),
        case: case.to_owned(),
        implementation: implementation.to_owned(),
    })?;
    (found.measure)()
}
