//! Which measurements make up a run.

use crate::Error;
use crate::measure::{Effort, Entrant, in_turns};
use crate::record::{Figure, Spread};
use crate::suite::{Case, Method, Suite, find};

/// A case with a number of threads: all implementations of it.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The suite.
    pub suite: &'static Suite,
    /// The case.
    pub case: &'static Case,
    /// Threads.
    pub threads: usize,
}

/// The jobs for some suites and numbers of threads, in order.
#[must_use]
pub fn plan(suites: &[&'static Suite], threads: &[usize]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for &suite in suites {
        for case in suite.cases {
            let job = |threads| Job {
                suite,
                case,
                threads,
            };
            match case.method {
                Method::Timed { .. } => jobs.extend(threads.iter().copied().map(job)),
                Method::Fresh { threads, .. } => jobs.push(job(threads)),
            }
        }
    }
    jobs
}

/// Measures an implementation of a case in a process of its own, which calls
/// [`measure_here`].
pub type Elsewhere<'a> = &'a dyn Fn(&Job, &'static str) -> Result<f64, Error>;

impl Job {
    /// How often [`run`](Job::run) calls `step`.
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
        implementations as u64 * u64::from(each)
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
        let figures = match &self.case.method {
            Method::Timed {
                who,
                implementations,
            } => {
                let mut entrants = implementations
                    .iter()
                    .map(|one| Entrant::verified(one, self.threads))
                    .collect::<Result<Vec<_>, _>>()?;
                in_turns(&mut entrants, self.threads, *who, effort, step)?
            }
            Method::Fresh {
                implementations, ..
            } => {
                let mut figures = vec![Vec::new(); implementations.len()];
                for _ in 0..effort.processes {
                    for (one, figures) in implementations.iter().zip(&mut figures) {
                        figures.push(elsewhere(self, one.name)?);
                        step();
                    }
                }
                figures
            }
        };
        let names = self.case.method.implementations();
        Ok(names
            .into_iter()
            .zip(figures)
            .map(|(name, figures)| self.figure(name, Spread::of(figures).rounded()))
            .collect())
    }

    fn figure(&self, implementation: &str, spread: Spread) -> Figure {
        Figure {
            suite: self.suite.name.to_owned(),
            case: self.case.name.to_owned(),
            implementation: implementation.to_owned(),
            threads: self.threads,
            unit: self.case.unit.to_owned(),
            median: spread.median,
            min: spread.min,
            max: spread.max,
            runs: spread.runs,
        }
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
