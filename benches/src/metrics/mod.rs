//! Metrics beside what programs use for them.
//!
//! | case | what is done |
//! | --- | --- |
//! | `record` | every thread records values in one histogram |
//! | `handle` | every thread increments one counter through a handle of the crate `metrics` |
//! | `gauge` | every thread raises and lowers one gauge |
//! | `labels` | every thread counts under labels that it looks up each time |
//! | `file` | every thread adds 1 to a counter in a file that processes share |
//! | `processes` | four processes at the same time, each 10,000,000 additions |
//! | `family` | memory of 100,000 sets of labels |
//!
//! | implementation | is |
//! | --- | --- |
//! | `percid` | percid's metric, or its recorder |
//! | `percid:counter` | a static `Counter`: what an addition costs |
//! | `thread_local` | the thread's own memory, which nobody sums |
//! | `atomic` | atomics that all threads share; for `handle`, the storage that `metrics` has |
//! | `prometheus` | the crate `prometheus-client` |
//! | `hdr_mutex` | an `hdrhistogram` behind a mutex |

mod family;
mod file;
mod gauge;
mod handle;
mod labels;
mod record;

use crate::Error;
use crate::compare::{Comparison, Which};
use crate::suite::{Case, Method, Suite, Who};

/// The suite `metrics`.
pub static SUITE: Suite = Suite {
    name: "metrics",
    about: "histograms, gauges, labels and shared files",
    available: || Ok(()),
    cases: &[
        Case {
            name: "record",
            about: "every thread records values in one histogram",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &record::IMPLEMENTATIONS,
            },
        },
        Case {
            name: "handle",
            about: "every thread increments one counter by a handle of `metrics`",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &handle::IMPLEMENTATIONS,
            },
        },
        Case {
            name: "gauge",
            about: "every thread raises or lowers one gauge",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &gauge::IMPLEMENTATIONS,
            },
        },
        Case {
            name: "labels",
            about: "every thread counts under labels that it looks up each time",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &labels::IMPLEMENTATIONS,
            },
        },
        Case {
            name: "file",
            about: "every thread adds 1 to a counter in a file",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &file::IMPLEMENTATIONS,
            },
        },
        Case {
            name: "processes",
            about: "four processes at the same time, 10,000,000 additions each",
            unit: "ns/op",
            method: Method::Fresh {
                threads: file::PROCESSES,
                implementations: &file::PROCESSES_OF,
            },
        },
        Case {
            name: "family",
            about: "memory of 100,000 sets of labels with a counter each",
            unit: "bytes/set",
            method: Method::Fresh {
                threads: 1,
                implementations: &family::IMPLEMENTATIONS,
            },
        },
    ],
    comparisons: &[
        ratio(
            "record, 1 thread: percid / percid:counter",
            "record",
            "percid:counter",
            1,
        ),
        ratio(
            "record, 1 thread: percid / prometheus",
            "record",
            "prometheus",
            1,
        ),
        ratio(
            "record, 2 threads: percid / prometheus",
            "record",
            "prometheus",
            2,
        ),
        ratio(
            "record, 1 thread: percid / thread_local",
            "record",
            "thread_local",
            1,
        ),
        ratio("handle, 2 threads: percid / atomic", "handle", "atomic", 2),
        ratio("handle, 1 thread: percid / atomic", "handle", "atomic", 1),
        ratio(
            "gauge, 2 threads: percid / prometheus",
            "gauge",
            "prometheus",
            2,
        ),
        ratio(
            "labels, 2 threads: percid / prometheus",
            "labels",
            "prometheus",
            2,
        ),
        ratio(
            "file, 1 thread: percid / percid:counter",
            "file",
            "percid:counter",
            1,
        ),
        ratio(
            "processes: shared file / private arenas",
            "processes",
            "percid:counter",
            file::PROCESSES,
        ),
        Comparison {
            what: "family, percid: bytes a set of labels adds",
            of: which("family", "percid", 1),
            against: None,
        },
    ],
};

const fn ratio(
    what: &'static str,
    case: &'static str,
    against: &'static str,
    threads: usize,
) -> Comparison {
    Comparison {
        what,
        of: which(case, "percid", threads),
        against: Some(which(case, against, threads)),
    }
}

const fn which(case: &'static str, implementation: &'static str, threads: usize) -> Which {
    Which {
        case,
        implementation,
        threads,
    }
}

/// Fails unless `counted` is what was due.
fn expect(implementation: &'static str, counted: u64, expected: u64) -> Result<(), Error> {
    if counted == expected {
        Ok(())
    } else {
        Err(Error::Wrong {
            implementation,
            counted,
            expected,
        })
    }
}

/// Sums that threads keep for themselves and hand in when they have run.
#[derive(Debug, Default)]
struct HandedIn(std::sync::atomic::AtomicU64);

impl HandedIn {
    // Ordering: Relaxed, here and below. Threads are joined, or meet at a barrier, before
    // anybody looks.
    fn add(&self, n: u64) {
        self.0.fetch_add(n, std::sync::atomic::Ordering::Relaxed);
    }

    fn reset(&self) {
        self.0.store(0, std::sync::atomic::Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}
