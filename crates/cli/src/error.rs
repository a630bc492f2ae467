//! What can go wrong: what happened, why, and what to do.

use std::io;
use std::path::PathBuf;

use crate::exit::Exit;

/// Why the program did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "there is no suite '{name}': nothing was measured; the suites are: {known} \
         (percid bench --list shows their cases)"
    )]
    UnknownSuite { name: String, known: String },
    #[error(
        "the suite '{suite}' has no case '{name}': nothing was measured; its cases are: {known}"
    )]
    UnknownCase {
        name: String,
        suite: &'static str,
        known: String,
    },
    #[error(
        "the suite '{name}' cannot run on this host: {why}; nothing was measured; \
         percid doctor says what is missing"
    )]
    Unavailable { name: &'static str, why: String },
    #[error(
        "cannot write results to '{}': {why}; nothing was run; \
         name a file in a directory that exists and that you may write to",
        path.display()
    )]
    Target { path: PathBuf, why: io::Error },
    #[error("the results could not be written to '{}': {why}; the file is as it was before", path.display())]
    Results { path: PathBuf, why: io::Error },
    #[error(
        "cannot read '{}': {why}; name a file that percid bench --json has written",
        path.display()
    )]
    Source { path: PathBuf, why: io::Error },
    #[error(
        "'{}' is no record of a run: {why}; name a file that percid bench --json has written",
        path.display()
    )]
    NoRecord { path: PathBuf, why: String },
    #[error(
        "'{}' is a record of schema version {version}, and this program reads version {own}; \
         use the percid that wrote it, or measure again",
        path.display()
    )]
    OtherVersion {
        path: PathBuf,
        version: u64,
        own: u32,
    },
    #[error(
        "'{}' and '{}' have no figure in common: compare runs of the same suites",
        before.display(),
        after.display()
    )]
    NothingInCommon { before: PathBuf, after: PathBuf },
    #[error("there is no command '{name}'; percid --help shows them")]
    NoCommand { name: String },
    #[error("the measurement was stopped: {0}")]
    Measure(#[from] percid_benches::Error),
    #[error("cannot show the counters of '{}': {why}{}", path.display(), remedy(why))]
    Counters {
        path: PathBuf,
        why: percid::file::FileError,
    },
    #[error("there is no terminal to show counters in; print them with --once")]
    NoTerminal,
    #[error("the terminal failed: {0}")]
    Terminal(io::Error),
    #[error("the lineage has no run '{name}'; its runs are: {known}")]
    UnknownStand { name: String, known: String },
    #[error("nothing was simulated: {0}")]
    Sim(#[from] percid_sim::Error),
    #[error("cannot read the trace '{}': {why}; name a file with the output of perf sched script", path.display())]
    NoTrace { path: PathBuf, why: io::Error },
    #[error("'{}', {why}", path.display())]
    Trace {
        path: PathBuf,
        why: percid_sim::TraceError,
    },
    #[error(
        "the trace has no thread '{name}'; leave --process away to look at the busiest process"
    )]
    NoProcess { name: String },
    #[error("cannot make a table with commas: {0}")]
    Csv(#[from] csv::Error),
    #[error("cannot make a plot: {0}")]
    Plot(String),
    #[error("cannot write to the standard output: {0}")]
    Output(io::Error),
    #[error("cannot put the answer into JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What to do about a file that the system does not open; the others say it themselves.
fn remedy(why: &percid::file::FileError) -> &'static str {
    match why {
        percid::file::FileError::System { .. } => "; name a file that percid::file::Arena has made",
        _ => "",
    }
}

impl Error {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Error::UnknownSuite { .. }
            | Error::UnknownCase { .. }
            | Error::Target { .. }
            | Error::Source { .. }
            | Error::NoRecord { .. }
            | Error::OtherVersion { .. }
            | Error::NothingInCommon { .. }
            | Error::NoCommand { .. }
            | Error::Counters { .. }
            | Error::NoTerminal
            | Error::UnknownStand { .. }
            | Error::Sim(_)
            | Error::NoTrace { .. }
            | Error::NoProcess { .. }
            | Error::Trace { .. } => Exit::Usage,
            Error::Unavailable { .. } => Exit::Unsupported,
            Error::Measure(percid_benches::Error::Unknown { .. }) => Exit::Usage,
            Error::Measure(percid_benches::Error::OtherIds { .. }) => Exit::Again,
            Error::Measure(_)
            | Error::Results { .. }
            | Error::Output(_)
            | Error::Json(_)
            | Error::Terminal(_)
            | Error::Csv(_)
            | Error::Plot(_) => Exit::Failed,
        }
    }
}
