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
use crate::compare::{figure, ratio};
use crate::suite::{Case, Suite, Who};

/// The suite `ref`.
pub static SUITE: Suite = Suite {
    name: "ref",
    about: "references by cid, beside Arc",
    available: || Ok(()),
    cases: &[
        Case::timed(
            "get_put",
            "every thread gets and puts a reference to one object",
            "ns/pair",
            Who::All,
            &[
                pairs::of::<ByCid>(),
                pairs::of::<ByPercidArc>(),
                pairs::of::<OnOneWord>(),
                pairs::of::<ByArc>(),
                pairs::of::<OnThread>(),
            ],
        ),
        Case::timed(
            "kill",
            "kill to released, while all other threads get and put",
            "ns/kill",
            Who::All,
            &[
                kill::of::<Killed<false>>(),
                kill::of::<Killed<true>>(),
                kill::of::<Barrier>(),
            ],
        ),
        Case::fresh(
            "memory",
            "resident memory of 100,000 references that two threads use, beside their objects",
            "bytes/ref",
            memory::THREADS,
            &[memory::PERCID, memory::ARC],
        ),
    ],
    comparisons: &[
        ratio(
            "get_put, 1 thread: percid / arc",
            ("get_put", "percid", 1),
            ("get_put", "arc", 1),
        ),
        ratio(
            "get_put, 2 threads: percid / arc",
            ("get_put", "percid", 2),
            ("get_put", "arc", 2),
        ),
        ratio(
            "get_put, 1 thread: percid:arc / arc",
            ("get_put", "percid:arc", 1),
            ("get_put", "arc", 1),
        ),
        ratio(
            "get_put, 2 threads: percid:arc / arc",
            ("get_put", "percid:arc", 2),
            ("get_put", "arc", 2),
        ),
        ratio(
            "kill, others churning: percid / barrier",
            ("kill", "percid", 2),
            ("kill", "barrier", 2),
        ),
        figure(
            "memory, percid: bytes/ref beside the object",
            ("memory", "percid", memory::THREADS),
        ),
    ],
};
