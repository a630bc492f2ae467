//! Measuring suites, for a table or for a page.

mod elsewhere;
mod origin;
mod progress;
mod select;

use std::time::{Duration, Instant};

use percid_benches::machine::Machine;
use percid_benches::measure::Effort;
use percid_benches::plan::Job;
use percid_benches::record::{Figure, Record};

use crate::error::Error;

use self::progress::Progress;

pub(crate) use self::elsewhere::MEASURE;
pub(crate) use self::select::{Chosen, available, choose, keep_chosen, threads};

/// How long all suites may take by `--quick`: less than three minutes with what a
/// case takes however little it is given.
const QUICK: Duration = Duration::from_secs(140);

/// How long a first look may take.
const LOOK: Duration = Duration::from_secs(45);

/// Jobs, and how long they may take.
pub(crate) struct Run {
    pub(crate) jobs: Vec<Job>,
    effort: Effort,
    /// Of all jobs together.
    budget: Option<Duration>,
}

impl Run {
    /// For figures to keep, or for some that are had soon.
    pub(crate) fn new(jobs: Vec<Job>, quick: bool) -> Run {
        let (effort, budget) = match quick {
            true => (Effort::QUICK, Some(QUICK)),
            false => (Effort::FULL, None),
        };
        Run {
            jobs,
            effort,
            budget,
        }
    }

    /// For a first look.
    pub(crate) fn look(jobs: Vec<Job>) -> Run {
        Run {
            jobs,
            effort: Effort::LOOK,
            budget: Some(LOOK),
        }
    }

    /// About how long it takes.
    pub(crate) fn time(&self) -> Duration {
        let time = self.jobs.iter().map(|job| job.time(&self.effort)).sum();
        self.budget.map_or(time, |budget| budget.min(time))
    }

    /// Measures, and calls `each` with what a job came to, until that says no.
    /// `None` if it did.
    pub(crate) fn measure(
        &self,
        mut each: impl FnMut(&Job, &[Figure]) -> Result<bool, Error>,
    ) -> Result<Option<Record>, Error> {
        // Before the run: what it says of the ids is how they are at first use.
        let machine = Machine::here();
        let times = (self.jobs.iter())
            .map(|job| job.step_time(&self.effort) * job.steps(&self.effort) as u32);
        let progress = Progress::new(times.sum());
        let begun = Instant::now();
        let mut figures = Vec::new();
        for (number, job) in self.jobs.iter().enumerate() {
            progress.name(job);
            let effort = match self.budget {
                Some(budget) => {
                    let left = budget.saturating_sub(begun.elapsed());
                    self.effort.sharing(left, self.jobs.len() - number)
                }
                None => self.effort,
            };
            let step = job.step_time(&effort);
            let found = job.run(&effort, &elsewhere::measure, &mut || progress.step(step))?;
            let go_on = progress.aside(|| each(job, &found))?;
            figures.extend(found);
            if !go_on {
                return Ok(None);
            }
        }
        let mut record = Record::new(machine, figures);
        record.date = Some(origin::now());
        record.commit = origin::commit();
        Ok(Some(record))
    }
}
