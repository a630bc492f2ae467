//! How far a run is, for whoever watches it on a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use percid_benches::plan::Job;

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
        let bar = if stderr().is_terminal() {
            ProgressBar::new(time.as_micros() as u64)
        } else {
            ProgressBar::hidden()
        };
        let style =
            ProgressStyle::with_template("{msg:<20} {bar:30} {percent:>3} %, about {eta} left");
        Progress {
            bar: match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            },
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

/// Something to know about the run, on stderr.
pub(crate) fn note(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(stderr().lock(), "note: {text}");
}
