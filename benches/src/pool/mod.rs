//! Pools and allocators, a pair of getting and giving back at a time.
//!
//! | case | one operation is |
//! | --- | --- |
//! | `raw` | 64 bytes allocated, and freed |
//! | `raw64` | the same, 64 allocated before they are freed |
//! | `pool` | a value of 64 bytes taken from a pool, and given back |
//! | `flow` | 64 bytes allocated on one thread and freed on another |
//! | `sleepers` | memory of 1,000 sleeping threads that each took and returned 64 objects |
//! | `startup` | memory that one pool brings, with one object used |
//! | `trim` | memory left of 256 MiB in an idle pool that is trimmed |
//! | `decay` | memory left of 64 MiB in one that gives it back by itself |
//!
//! Memory is anonymous memory: no code and no files. Of sleepers it is what the process has
//! after they did their work less what it had when they had begun.
//!
//! In `flow` the second of two threads frees what the first allocates; alone, a thread frees
//! its own, 512 at a time. They hand over through a bounded ring of their own and let the
//! other have the CPU when it is full or empty, whoever the peer is.
//! The ring and the objects' lines alone, with nothing allocated, took 7.5 to 9.6 ns on the
//! machine where that was tried (Zen 4, two cores; 37 when the host had them far apart). Most
//! of it is the producer's first store to a line that both cores have; it is half as much if
//! the consumer has written to it, as percid does with objects that leave its magazine.
//!
//! A pair of sections cannot take a quarter of what the fastest queue takes with one thread:
//! on that machine a queue took 4.5 ns, a thread-local vector 2.2, percid 2.45. Without what
//! is done to the value, as bare loops of instructions: 2.1 as it is; 1.3 for two sections
//! that only find their stripes and commit a word each; 2.0 with no look at gate, pool and
//! reset; 2.2 with one slot before the stack; 2.3 with lengths changed in memory.

mod flow;
mod memory;
mod raw;
mod values;

use self::raw::{Malloc, MiMalloc, Percid, SnMalloc, ThreadLocal};
use crate::compare::{figure, ratio};
use crate::suite::{Case, Suite, Who};

/// The suite `pool`.
pub static SUITE: Suite = Suite {
    name: "pool",
    about: "pools of memory and of values",
    available: || Ok(()),
    cases: &[
        Case::timed(
            "raw",
            "64 bytes allocated and freed",
            "ns/op",
            Who::All,
            &[
                raw::pairs::<Percid>(),
                raw::pairs::<ThreadLocal>(),
                raw::pairs::<Malloc>(),
                raw::pairs::<MiMalloc>(),
                raw::pairs::<SnMalloc>(),
            ],
        ),
        Case::timed(
            "raw64",
            "64 times 64 bytes allocated, then freed",
            "ns/op",
            Who::All,
            &[
                raw::many::<Percid>(),
                raw::many::<ThreadLocal>(),
                raw::many::<Malloc>(),
                raw::many::<MiMalloc>(),
                raw::many::<SnMalloc>(),
            ],
        ),
        Case::timed(
            "pool",
            "a value of 64 bytes taken and given back",
            "ns/op",
            Who::All,
            &[
                values::of::<values::Percid>(),
                values::of::<values::ThreadLocal>(),
                values::of::<values::ShardedSlab>(),
                values::of::<values::OPool>(),
                values::of::<values::ObjectPool>(),
                values::of::<values::LockFree>(),
                values::of::<values::ArrayQueue>(),
                values::of::<values::SegQueue>(),
            ],
        ),
        Case::timed(
            "flow",
            "64 bytes allocated here and freed there",
            "ns/op",
            Who::All,
            &[
                flow::of::<Percid>(),
                flow::of::<ThreadLocal>(),
                flow::of::<Malloc>(),
                flow::of::<MiMalloc>(),
                flow::of::<SnMalloc>(),
            ],
        ),
        Case::fresh(
            "sleepers",
            "bytes per sleeping thread that used 64 objects of 256 bytes",
            "bytes",
            memory::SLEEPING,
            &memory::SLEEPERS,
        ),
        Case::fresh(
            "startup",
            "memory that one pool brings",
            "KiB",
            1,
            &memory::STARTUP,
        ),
        Case::fresh(
            "trim",
            "memory left of 256 MiB in an idle pool",
            "MiB",
            1,
            &memory::TRIM,
        ),
        Case::fresh(
            "decay",
            "memory left of 64 MiB that a pool gave back by itself",
            "MiB",
            1,
            &memory::DECAYED,
        ),
    ],
    comparisons: &[
        ratio(
            "alloc + free, 1 thread: percid / malloc",
            ("raw", "percid", 1),
            ("raw", "malloc", 1),
        ),
        ratio(
            "alloc + free, 1 thread: percid / thread_local",
            ("raw", "percid", 1),
            ("raw", "thread_local", 1),
        ),
        ratio(
            "get + drop, 1 thread: percid / sharded-slab",
            ("pool", "percid", 1),
            ("pool", "sharded-slab", 1),
        ),
        ratio(
            "get + drop, 1 thread: percid / opool",
            ("pool", "percid", 1),
            ("pool", "opool", 1),
        ),
        ratio(
            "get + drop, 1 thread: percid / object-pool",
            ("pool", "percid", 1),
            ("pool", "object-pool", 1),
        ),
        ratio(
            "get + drop, 1 thread: percid / lockfree-object-pool",
            ("pool", "percid", 1),
            ("pool", "lockfree-object-pool", 1),
        ),
        ratio(
            "get + drop, 1 thread: percid / array-queue",
            ("pool", "percid", 1),
            ("pool", "array-queue", 1),
        ),
        ratio(
            "get + drop, 1 thread: percid / seg-queue",
            ("pool", "percid", 1),
            ("pool", "seg-queue", 1),
        ),
        ratio(
            "get + drop, 2 threads: percid / sharded-slab",
            ("pool", "percid", 2),
            ("pool", "sharded-slab", 2),
        ),
        ratio(
            "get + drop, 2 threads: percid / opool",
            ("pool", "percid", 2),
            ("pool", "opool", 2),
        ),
        ratio(
            "get + drop, 2 threads: percid / object-pool",
            ("pool", "percid", 2),
            ("pool", "object-pool", 2),
        ),
        ratio(
            "get + drop, 2 threads: percid / lockfree-object-pool",
            ("pool", "percid", 2),
            ("pool", "lockfree-object-pool", 2),
        ),
        ratio(
            "get + drop, 2 threads: percid / array-queue",
            ("pool", "percid", 2),
            ("pool", "array-queue", 2),
        ),
        ratio(
            "get + drop, 2 threads: percid / seg-queue",
            ("pool", "percid", 2),
            ("pool", "seg-queue", 2),
        ),
        ratio(
            "get + drop, percid: 2 threads / 1 thread",
            ("pool", "percid", 2),
            ("pool", "percid", 1),
        ),
        ratio(
            "producer to consumer: percid / mimalloc",
            ("flow", "percid", 2),
            ("flow", "mimalloc", 2),
        ),
        ratio(
            "producer to consumer: percid / snmalloc",
            ("flow", "percid", 2),
            ("flow", "snmalloc", 2),
        ),
        ratio(
            "sleepers: percid / thread_local",
            ("sleepers", "percid", memory::SLEEPING),
            ("sleepers", "thread_local", memory::SLEEPING),
        ),
        ratio(
            "sleepers: percid / what active cids need",
            ("sleepers", "percid", memory::SLEEPING),
            ("sleepers", "needed", memory::SLEEPING),
        ),
        figure("start-up, KiB", ("startup", "percid", 1)),
        figure("after trim of 256 MiB, MiB", ("trim", "percid", 1)),
        figure("after decay of 64 MiB, MiB", ("decay", "percid", 1)),
    ],
};
