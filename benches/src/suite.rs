//! Suites of cases, each implemented several times.

use crate::Error;
use crate::compare::Comparison;
use crate::{cid, counter, lock, metrics, pool, reclaim, refs, section};

/// Every suite there is.
pub static SUITES: [&Suite; 8] = [
    &counter::SUITE,
    &metrics::SUITE,
    &section::SUITE,
    &cid::SUITE,
    &reclaim::SUITE,
    &pool::SUITE,
    &refs::SUITE,
    &lock::SUITE,
];

/// The suite of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Suite> {
    SUITES.into_iter().find(|suite| suite.name == name)
}

/// Cases about one structure.
#[derive(Debug)]
pub struct Suite {
    /// As on the command line and in records.
    pub name: &'static str,
    /// In a few words.
    pub about: &'static str,
    /// Why it cannot run on this host, if it cannot.
    pub available: fn() -> Result<(), String>,
    /// In the order in which they run. The first stands for the suite in a first
    /// look, so it is a quick one.
    pub cases: &'static [Case],
    /// What sums a run up.
    pub comparisons: &'static [Comparison],
}

impl Suite {
    /// The case of that name.
    #[must_use]
    pub fn case(&self, name: &str) -> Option<&'static Case> {
        self.cases.iter().find(|case| case.name == name)
    }
}

/// One question, put to every implementation.
#[derive(Debug)]
pub struct Case {
    /// As in records.
    pub name: &'static str,
    /// In a few words.
    pub about: &'static str,
    /// Of the figures.
    pub unit: &'static str,
    /// How it is measured.
    pub method: Method,
}

impl Case {
    /// One that is measured in this process.
    #[must_use]
    pub const fn timed(
        name: &'static str,
        about: &'static str,
        unit: &'static str,
        who: Who,
        implementations: &'static [Timed],
    ) -> Case {
        let method = Method::Timed {
            who,
            implementations,
        };
        Case {
            name,
            about,
            unit,
            method,
        }
    }

    /// One that takes a process of its own, and so many threads there.
    #[must_use]
    pub const fn fresh(
        name: &'static str,
        about: &'static str,
        unit: &'static str,
        threads: usize,
        implementations: &'static [Fresh],
    ) -> Case {
        let method = Method::Fresh {
            threads,
            implementations,
        };
        Case {
            name,
            about,
            unit,
            method,
        }
    }
}

/// How a case is measured.
#[derive(Debug)]
pub enum Method {
    /// In this process, implementations in turns.
    Timed {
        /// Which threads are timed.
        who: Who,
        /// Side by side.
        implementations: &'static [Timed],
    },
    /// Each in a process of its own, once per repetition.
    Fresh {
        /// Threads that it takes, whatever was asked for.
        threads: usize,
        /// Side by side.
        implementations: &'static [Fresh],
    },
}

impl Method {
    /// Names of the implementations.
    #[must_use]
    pub fn implementations(&self) -> Vec<&'static str> {
        match self {
            Method::Timed {
                implementations, ..
            } => implementations.iter().map(|one| one.name).collect(),
            Method::Fresh {
                implementations, ..
            } => implementations.iter().map(|one| one.name).collect(),
        }
    }
}

/// Which threads of a timed case work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// All at the same time.
    All,
    /// The first, while the others are alive and wait.
    First,
}

/// An implementation that is timed.
#[derive(Debug)]
pub struct Timed {
    /// `percid`, with a suffix after a colon for a variant, or a peer's name.
    pub name: &'static str,
    /// Sets it up for so many threads.
    pub make: fn(usize) -> Result<Box<dyn Workload>, Error>,
}

/// An implementation that is measured in a process of its own.
#[derive(Debug)]
pub struct Fresh {
    /// As of [`Timed`].
    pub name: &'static str,
    /// Measures it in this process, which must have done nothing else.
    pub measure: fn() -> Result<f64, Error>,
}

/// What a timed implementation does.
///
/// Behind a virtual call for thousands of operations, never for one: the loop
/// stands in [`run`](Workload::run), compiled for the implementation.
pub trait Workload: Sync {
    /// Starts from nothing; called before threads enter.
    fn begin(&self);

    /// Called by each thread once, before it runs.
    fn enter(&self, _thread: usize) {}

    /// Does [`OPERATIONS`] operations `rounds` times, as thread number `thread`.
    fn run(&self, thread: usize, rounds: u64);

    /// Compares what the structure says with what was done to it since it began.
    ///
    /// # Errors
    ///
    /// If they differ.
    fn check(&self, done: Done) -> Result<(), Error>;
}

/// Operations of one round. So many that the loop itself costs next to nothing,
/// in all implementations alike.
pub const OPERATIONS: u64 = 8;

/// What was done to a workload since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Threads that have entered.
    pub threads: u64,
    /// Operations, by all threads.
    pub operations: u64,
}
