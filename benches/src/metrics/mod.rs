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

use crate::compare::{figure, ratio};
use crate::suite::{Case, Suite, Who};

/// The suite `metrics`.
pub static SUITE: Suite = Suite {
    name: "metrics",
    about: "histograms, gauges, labels and shared files",
    available: || Ok(()),
    cases: &[
        Case::timed(
            "record",
            "every thread records values in one histogram",
            "ns/op",
            Who::All,
            &record::IMPLEMENTATIONS,
        ),
        Case::timed(
            "handle",
            "every thread increments one counter by a handle of `metrics`",
            "ns/op",
            Who::All,
            &handle::IMPLEMENTATIONS,
        ),
        Case::timed(
            "gauge",
            "every thread raises or lowers one gauge",
            "ns/op",
            Who::All,
            &gauge::IMPLEMENTATIONS,
        ),
        Case::timed(
            "labels",
            "every thread counts under labels that it looks up each time",
            "ns/op",
            Who::All,
            &labels::IMPLEMENTATIONS,
        ),
        Case::timed(
            "file",
            "every thread adds 1 to a counter in a file",
            "ns/op",
            Who::All,
            &file::IMPLEMENTATIONS,
        ),
        Case::fresh(
            "processes",
            "four processes at the same time, 10,000,000 additions each",
            "ns/op",
            file::PROCESSES,
            &file::PROCESSES_OF,
        ),
        Case::fresh(
            "family",
            "memory of 100,000 sets of labels with a counter each",
            "bytes/set",
            1,
            &family::IMPLEMENTATIONS,
        ),
    ],
    comparisons: &[
        ratio(
            "record, 1 thread: percid / percid:counter",
            ("record", "percid", 1),
            ("record", "percid:counter", 1),
        ),
        ratio(
            "record, 1 thread: percid / prometheus",
            ("record", "percid", 1),
            ("record", "prometheus", 1),
        ),
        ratio(
            "record, 2 threads: percid / prometheus",
            ("record", "percid", 2),
            ("record", "prometheus", 2),
        ),
        ratio(
            "record, 1 thread: percid / thread_local",
            ("record", "percid", 1),
            ("record", "thread_local", 1),
        ),
        ratio(
            "handle, 2 threads: percid / atomic",
            ("handle", "percid", 2),
            ("handle", "atomic", 2),
        ),
        ratio(
            "handle, 1 thread: percid / atomic",
            ("handle", "percid", 1),
            ("handle", "atomic", 1),
        ),
        ratio(
            "gauge, 2 threads: percid / prometheus",
            ("gauge", "percid", 2),
            ("gauge", "prometheus", 2),
        ),
        ratio(
            "labels, 2 threads: percid / prometheus",
            ("labels", "percid", 2),
            ("labels", "prometheus", 2),
        ),
        ratio(
            "file, 1 thread: percid / percid:counter",
            ("file", "percid", 1),
            ("file", "percid:counter", 1),
        ),
        ratio(
            "processes: shared file / private arenas",
            ("processes", "percid", file::PROCESSES),
            ("processes", "percid:counter", file::PROCESSES),
        ),
        figure(
            "family, percid: bytes a set of labels adds",
            ("family", "percid", 1),
        ),
    ],
};
