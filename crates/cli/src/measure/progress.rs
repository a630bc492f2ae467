//! How far a run is, for whoever watches it on a terminal.

use std::time::Duration;

use indicatif::ProgressBar;
use percid_benches::plan::Job;

use crate::progress;

/// A bar on stderr, or nothing if that is no terminal.
///
/// It is drawn between measurements by the thread that measures: a thread of its
/// own would disturb them.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of so much time.
    pub(super) fn new(time: Duration) -> Progress {
        Progress {
            bar: progress::bar(time.as_micros() as u64, 20),
        }
    }

    /// What is measured now.
    pub(super) fn name(&self, job: &Job) {
        self.bar
            .set_message(format!("{} {}", job.suite.name, job.case.name));
    }

    /// One measurement is done, which was to take so long.
    pub(super) fn step(&self, time: Duration) {
        self.bar.inc(time.as_micros() as u64);
    }

    /// Does something while the bar is out of the way.
    pub(super) fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        self.bar.suspend(act)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
