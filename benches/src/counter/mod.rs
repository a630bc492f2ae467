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
use crate::compare::{figure, ratio};
use crate::suite::{Case, Suite, Who};

/// The suite `counter`.
pub static SUITE: Suite = Suite {
    name: "counter",
    about: "counting from many threads",
    available: || Ok(()),
    cases: &[
        Case::timed(
            "add_one",
            "every thread adds 1 to one counter",
            "ns/op",
            Who::All,
            &[
                add::one::<Percid>(),
                add::one::<ThreadLocal>(),
                add::one::<AtomicShared>(),
                add::one::<AtomicPadded>(),
                add::one::<PercidFallback>(),
            ],
        ),
        Case::timed(
            "add_eight",
            "every thread adds 1 to eight counters in turn",
            "ns/op",
            Who::All,
            &[
                add::eight::<Percid>(),
                add::eight::<ThreadLocal>(),
                add::eight::<AtomicShared>(),
                add::eight::<AtomicPadded>(),
                add::eight::<PercidFallback>(),
            ],
        ),
        Case::timed(
            "sum",
            "one thread sums what all threads, still alive, have added",
            "ns/op",
            Who::First,
            &[
                sum::of::<Percid>(),
                sum::of::<Registering>(),
                sum::of::<AtomicShared>(),
                sum::of::<AtomicPadded>(),
                sum::of::<PercidFallback>(),
            ],
        ),
        Case::timed(
            "limited",
            "every thread adds 1 within a limit that is far",
            "ns/op",
            Who::All,
            &limited::IMPLEMENTATIONS,
        ),
        Case::fresh(
            "memory",
            "resident memory of 100,000 counters that two threads add to",
            "bytes/counter",
            memory::THREADS,
            &[
                memory::of::<percid::Hoard>(),
                memory::of::<thread_local::Hoard>(),
                memory::of::<atomic_shared::Hoard>(),
                memory::of::<atomic_padded::Hoard>(),
                memory::of::<percid_fallback::Hoard>(),
            ],
        ),
        Case::fresh(
            "million",
            "resident memory of 1,000,000 counters that two threads add to",
            "bytes/counter",
            memory::THREADS,
            &[
                memory::of::<percid::Hoard<{ memory::MILLION }>>(),
                memory::of::<thread_local::Hoard<{ memory::MILLION }>>(),
                memory::of::<atomic_shared::Hoard<{ memory::MILLION }>>(),
            ],
        ),
    ],
    comparisons: &[
        ratio(
            "add_one, 1 thread: percid / thread_local",
            ("add_one", "percid", 1),
            ("add_one", "thread_local", 1),
        ),
        ratio(
            "add_one, 1 thread: percid / atomic_padded",
            ("add_one", "percid", 1),
            ("add_one", "atomic_padded", 1),
        ),
        ratio(
            "add_one, 2 threads: percid / atomic_shared",
            ("add_one", "percid", 2),
            ("add_one", "atomic_shared", 2),
        ),
        ratio(
            "add_one, percid: 2 threads / 1 thread",
            ("add_one", "percid", 2),
            ("add_one", "percid", 1),
        ),
        ratio(
            "add_eight, 1 thread: percid / thread_local",
            ("add_eight", "percid", 1),
            ("add_eight", "thread_local", 1),
        ),
        ratio(
            "limited, 1 thread: percid / percid:counter",
            ("limited", "percid", 1),
            ("limited", "percid:counter", 1),
        ),
        ratio(
            "limited, 2 threads: percid / percid:counter",
            ("limited", "percid", 2),
            ("limited", "percid:counter", 2),
        ),
        figure("sum, 2 threads: percid, ns", ("sum", "percid", 2)),
        figure(
            "million, percid: bytes/counter",
            ("million", "percid", memory::THREADS),
        ),
        figure(
            "memory, percid: bytes/counter",
            ("memory", "percid", memory::THREADS),
        ),
    ],
};
