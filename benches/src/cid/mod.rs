//! Ids: the kernel's beside a domain's.
//!
//! | case | what is done |
//! | --- | --- |
//! | `add_one` | every thread adds 1 to one counter |
//! | `add_eight` | every thread adds 1 to eight counters in turn |
//!
//! | implementation | a counter is |
//! | --- | --- |
//! | `percid` | a static `Counter`, by mm_cid |
//! | `percid:domain` | a `Counter` in a domain, by its table |
//! | `percid:strict` | the same, in a domain that threads join |
//! | `thread_local` | a `Cell<u64>` of the thread |

mod domain;

use self::domain::{Relaxed, Strict};
use crate::compare::{Comparison, Which};
use crate::counter::add;
use crate::counter::percid::Percid;
use crate::counter::thread_local::ThreadLocal;
use crate::suite::{Case, Method, Suite, Who};

/// The suite `cid`.
pub static SUITE: Suite = Suite {
    name: "cid",
    about: "counters by the kernel's ids and by a domain's",
    available: domain::available,
    cases: &[
        Case {
            name: "add_one",
            about: "every thread adds 1 to one counter",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
                    add::one::<Percid>(),
                    add::one::<Relaxed>(),
                    add::one::<Strict>(),
                    add::one::<ThreadLocal>(),
                ],
            },
        },
        Case {
            name: "add_eight",
            about: "every thread adds 1 to eight counters in turn",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
                    add::eight::<Percid>(),
                    add::eight::<Relaxed>(),
                    add::eight::<Strict>(),
                    add::eight::<ThreadLocal>(),
                ],
            },
        },
    ],
    comparisons: &[
        Comparison {
            what: "add_one, 1 thread: percid:domain / percid",
            of: which("add_one", "percid:domain", 1),
            against: Some(which("add_one", "percid", 1)),
        },
        Comparison {
            what: "add_one, 2 threads: percid:domain / percid",
            of: which("add_one", "percid:domain", 2),
            against: Some(which("add_one", "percid", 2)),
        },
        Comparison {
            what: "add_eight, 1 thread: percid:domain / percid",
            of: which("add_eight", "percid:domain", 1),
            against: Some(which("add_eight", "percid", 1)),
        },
        Comparison {
            what: "add_one, 1 thread: percid:domain / thread_local",
            of: which("add_one", "percid:domain", 1),
            against: Some(which("add_one", "thread_local", 1)),
        },
    ],
};

const fn which(case: &'static str, implementation: &'static str, threads: usize) -> Which {
    Which {
        case,
        implementation,
        threads,
    }
}
