//! The counter and its peers.
//!
//! | case | what is done |
//! | --- | --- |
//! | `add_one` | every thread adds 1 to one counter |
//! | `add_eight` | every thread adds 1 to eight counters in turn |
//! | `limited` | every thread adds 1 if that stays within a limit, which is far |
//! | `sum` | one thread sums a counter that every thread, still alive, has added to |
//! | `memory` | 100,000 counters that two threads add to at the same time |
//! | `million` | 1,000,000 of them |
//!
//! | implementation | a counter is |
//! | --- | --- |
//! | `percid` | a static `Counter` |
//! | `thread_local` | a `Cell<u64>` of the thread; where sums are asked for, a cell in a registry of all threads |
//! | `atomic_shared` | an `AtomicU64` that all threads add to |
//! | `atomic_padded` | an `AtomicU64` on a cache line of its own for each thread |
//! | `percid_fallback` | a `Counter` that uses no sections |
//!
//! Peers are given the best case that they have: a thread's shard is looked up
//! once before the loop and not at every addition, and eight shared atomics are on
//! eight lines.

pub(crate) mod add;
mod atomic_padded;
mod atomic_shared;
mod limited;
pub(crate) mod memory;
pub(crate) mod percid;
mod percid_fallback;
mod sum;
pub(crate) mod thread_local;

use self::atomic_padded::AtomicPadded;
use self::atomic_shared::AtomicShared;
use self::percid::Percid;
use self::percid_fallback::PercidFallback;
use self::thread_local::{Registering, ThreadLocal};
use crate::Error;
use crate::compare::{Comparison, Which};
use crate::suite::{Case, Method, Suite, Who};

/// The suite `counter`.
pub static SUITE: Suite = Suite {
    name: "counter",
    about: "counting from many threads",
    available: || Ok(()),
    cases: &[
        Case {
            name: "add_one",
            about: "every thread adds 1 to one counter",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
                    add::one::<Percid>(),
                    add::one::<ThreadLocal>(),
                    add::one::<AtomicShared>(),
                    add::one::<AtomicPadded>(),
                    add::one::<PercidFallback>(),
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
                    add::eight::<ThreadLocal>(),
                    add::eight::<AtomicShared>(),
                    add::eight::<AtomicPadded>(),
                    add::eight::<PercidFallback>(),
                ],
            },
        },
        Case {
            name: "sum",
            about: "one thread sums what all threads, still alive, have added",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::First,
                implementations: &[
                    sum::of::<Percid>(),
                    sum::of::<Registering>(),
                    sum::of::<AtomicShared>(),
                    sum::of::<AtomicPadded>(),
                    sum::of::<PercidFallback>(),
                ],
            },
        },
        Case {
            name: "limited",
            about: "every thread adds 1 within a limit that is far",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &limited::IMPLEMENTATIONS,
            },
        },
        Case {
            name: "memory",
            about: "resident memory of 100,000 counters that two threads add to",
            unit: "bytes/counter",
            method: Method::Fresh {
                threads: memory::THREADS,
                implementations: &[
                    memory::of::<percid::Hoard>(),
                    memory::of::<thread_local::Hoard>(),
                    memory::of::<atomic_shared::Hoard>(),
                    memory::of::<atomic_padded::Hoard>(),
                    memory::of::<percid_fallback::Hoard>(),
                ],
            },
        },
        Case {
            name: "million",
            about: "resident memory of 1,000,000 counters that two threads add to",
            unit: "bytes/counter",
            method: Method::Fresh {
                threads: memory::THREADS,
                implementations: &[
                    memory::of::<percid::Hoard<{ memory::MILLION }>>(),
                    memory::of::<thread_local::Hoard<{ memory::MILLION }>>(),
                    memory::of::<atomic_shared::Hoard<{ memory::MILLION }>>(),
                ],
            },
        },
    ],
    comparisons: &[
        Comparison {
            what: "add_one, 1 thread: percid / thread_local",
            of: which("add_one", "percid", 1),
            against: Some(which("add_one", "thread_local", 1)),
        },
        Comparison {
            what: "add_one, 1 thread: percid / atomic_padded",
            of: which("add_one", "percid", 1),
            against: Some(which("add_one", "atomic_padded", 1)),
        },
        Comparison {
            what: "add_one, 2 threads: percid / atomic_shared",
            of: which("add_one", "percid", 2),
            against: Some(which("add_one", "atomic_shared", 2)),
        },
        Comparison {
            what: "add_one, percid: 2 threads / 1 thread",
            of: which("add_one", "percid", 2),
            against: Some(which("add_one", "percid", 1)),
        },
        Comparison {
            what: "add_eight, 1 thread: percid / thread_local",
            of: which("add_eight", "percid", 1),
            against: Some(which("add_eight", "thread_local", 1)),
        },
        Comparison {
            what: "limited, 1 thread: percid / percid:counter",
            of: which("limited", "percid", 1),
            against: Some(which("limited", "percid:counter", 1)),
        },
        Comparison {
            what: "limited, 2 threads: percid / percid:counter",
            of: which("limited", "percid", 2),
            against: Some(which("limited", "percid:counter", 2)),
        },
        Comparison {
            what: "sum, 2 threads: percid, ns",
            of: which("sum", "percid", 2),
            against: None,
        },
        Comparison {
            what: "million, percid: bytes/counter",
            of: which("million", "percid", memory::THREADS),
            against: None,
        },
        Comparison {
            what: "memory, percid: bytes/counter",
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
