//! References that are counted by cid, and `Arc`.
//!
//! | case | what is done |
//! | --- | --- |
//! | `get_put` | every thread gets and puts a reference to one object |
//! | `kill` | one thread ends lives, each until it is released, and all others get and put meanwhile |
//! | `memory` | 100,000 references that two threads use at the same time |
//!
//! | implementation | is |
//! | --- | --- |
//! | `percid` | a `Ref` |
//! | `percid:arc` | clone and drop of a `PercidArc` |
//! | `percid:atomic` | a `Ref` that was told to count in one word |
//! | `arc` | clone and drop of an `Arc` |
//! | `thread_local` | a cell of the thread, up and down |
//! | `barrier` | one fence of the process, while the others use a `Ref` |

mod kill;
mod memory;
mod pairs;

use self::kill::{Barrier, Killed};
use self::pairs::{ByArc, ByCid, ByPercidArc, OnOneWord, OnThread};
use crate::Error;
use crate::compare::{Comparison, Which};
use crate::suite::{Case, Method, Suite, Who};

/// The suite `ref`.
pub static SUITE: Suite = Suite {
    name: "ref",
    about: "references by cid, beside Arc",
    available: || Ok(()),
    cases: &[
        Case {
            name: "get_put",
            about: "every thread gets and puts a reference to one object",
            unit: "ns/pair",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
                    pairs::of::<ByCid>(),
                    pairs::of::<ByPercidArc>(),
                    pairs::of::<OnOneWord>(),
                    pairs::of::<ByArc>(),
                    pairs::of::<OnThread>(),
                ],
            },
        },
        Case {
            name: "kill",
            about: "kill to released, while all other threads get and put",
            unit: "ns/kill",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
                    kill::of::<Killed<false>>(),
                    kill::of::<Killed<true>>(),
                    kill::of::<Barrier>(),
                ],
            },
        },
        Case {
            name: "memory",
            about: "resident memory of 100,000 references that two threads use, beside their objects",
            unit: "bytes/ref",
            method: Method::Fresh {
                threads: memory::THREADS,
                implementations: &[memory::PERCID, memory::ARC],
            },
        },
    ],
    comparisons: &[
        Comparison {
            what: "get_put, 1 thread: percid / arc",
            of: which("get_put", "percid", 1),
            against: Some(which("get_put", "arc", 1)),
        },
        Comparison {
            what: "get_put, 2 threads: percid / arc",
            of: which("get_put", "percid", 2),
            against: Some(which("get_put", "arc", 2)),
        },
        Comparison {
            what: "get_put, 1 thread: percid:arc / arc",
            of: which("get_put", "percid:arc", 1),
            against: Some(which("get_put", "arc", 1)),
        },
        Comparison {
            what: "get_put, 2 threads: percid:arc / arc",
            of: which("get_put", "percid:arc", 2),
            against: Some(which("get_put", "arc", 2)),
        },
        Comparison {
            what: "kill, others churning: percid / barrier",
            of: which("kill", "percid", 2),
            against: Some(which("kill", "barrier", 2)),
        },
        Comparison {
            what: "memory, percid: bytes/ref beside the object",
            of: which("memory", "percid", memory::THREADS),
            against: None,
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
