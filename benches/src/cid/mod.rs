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
use crate::compare::ratio;
use crate::counter::add;
use crate::counter::percid::Percid;
use crate::counter::thread_local::ThreadLocal;
use crate::suite::{Case, Suite, Who};

/// The suite `cid`.
pub static SUITE: Suite = Suite {
    name: "cid",
    about: "counters by the kernel's ids and by a domain's",
    available: domain::available,
    cases: &[
        Case::timed(
            "add_one",
            "every thread adds 1 to one counter",
            "ns/op",
            Who::All,
            &[
                add::one::<Percid>(),
                add::one::<Relaxed>(),
                add::one::<Strict>(),
                add::one::<ThreadLocal>(),
            ],
        ),
        Case::timed(
            "add_eight",
            "every thread adds 1 to eight counters in turn",
            "ns/op",
            Who::All,
            &[
                add::eight::<Percid>(),
                add::eight::<Relaxed>(),
                add::eight::<Strict>(),
                add::eight::<ThreadLocal>(),
            ],
        ),
    ],
    comparisons: &[
        ratio(
            "add_one, 1 thread: percid:domain / percid",
            ("add_one", "percid:domain", 1),
            ("add_one", "percid", 1),
        ),
        ratio(
            "add_one, 2 threads: percid:domain / percid",
            ("add_one", "percid:domain", 2),
            ("add_one", "percid", 2),
        ),
        ratio(
            "add_eight, 1 thread: percid:domain / percid",
            ("add_eight", "percid:domain", 1),
            ("add_eight", "percid", 1),
        ),
        ratio(
            "add_one, 1 thread: percid:domain / thread_local",
            ("add_one", "percid:domain", 1),
            ("add_one", "thread_local", 1),
        ),
    ],
};
