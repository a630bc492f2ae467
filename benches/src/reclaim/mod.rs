//! Reading what others replace, and freeing what was replaced.
//!
//! | case | what is done |
//! | --- | --- |
//! | `read` | every thread reads a number in an object that may be replaced, and is not |
//! | `busy` | the same, while another thread replaces it a thousand times a second |
//! | `swap` | every thread replaces the object by a new one and retires the old one |
//! | `switch` | pairs of threads wake each other by pipes, and each reads the object when it runs: there and back |
//! | `free` | microseconds from retirement to drop, replaced every millisecond under two busy readers |
//! | `stalled` | objects that are not freed of 200,000, while one reader stays inside, 1 s after the last |
//!
//! | implementation | the object is |
//! | --- | --- |
//! | `percid:copy` | in a `CopyCell`, copied out |
//! | `percid:lazy` | in a `LazyCell`, read under a lease |
//! | `percid:sections` | behind an `Atomic`, read under a guard of its domain |
//! | `crossbeam_epoch`, `seize`, `sdd`, `kovan` | behind the crate's pointer, read under its guard |
//! | `haphazard` | behind its pointer, read under a hazard pointer that the thread keeps |
//! | `arc_swap` | in an `ArcSwap`, read by `load` |
//! | `rwlock_arc` | an `Arc` behind a lock, cloned to be read |
//! | `arc` | an `Arc` that nobody replaces, cloned to be read |
//! | `thread_local` | the thread's own |
//!
//! The floor of every case is `thread_local`: a load; in `busy`, beside a thread that wakes
//! as often and replaces its own; in `swap` an allocation and a free; in `free` a drop on the
//! spot; in `stalled` nothing, for a reader holds nothing of another thread's. Peers get
//! the best form that their documentation names. Where a figure of `free` is as long as its
//! run (250 ms), the peer had not freed half of the objects by then.
//!
//! `switch` is what the kernel's lazy references were made for: there the count was that of
//! an address space, which hundreds of CPUs changed at every switch. Here a switch is two
//! system calls and a wake-up. What any way of reading could gain at the most is what
//! `thread_local` gains, which reads nothing that is shared; the comparisons say that, and
//! how small a part of a switch a count is, from the figures of the same run.

mod copy;
mod free;
mod lazy;
mod own;
mod peers;
mod percid;
mod read;
mod swap;
mod switch;

use std::sync::Arc;

use crate::Error;
use crate::compare::{figure, ratio};
use crate::suite::{Case, Suite, Who};

use self::copy::Copied;
use self::lazy::Lazy;
use self::own::Own;
use self::peers::{ArcSwapped, Arcs, Epoch, Haphazard, Kovan, Locked, Sdd, Seize};
use self::percid::Sections;

/// What is read and replaced.
pub(crate) trait Object: Send + Sync + 'static {
    fn number(&self) -> u64;
}

/// The fastest to allocate, and without a destructor.
impl Object for u64 {
    fn number(&self) -> u64 {
        *self
    }
}

/// An object that says when it goes.
pub(crate) struct Tracked {
    number: u64,
    dropped: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Object for Tracked {
    fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        (self.dropped)(self.number);
    }
}

/// A way to read an object while others replace it.
pub(crate) trait Reclaiming<T>: Sized + Send + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// What a thread keeps from one read to the next.
    type Reader<'a>;

    fn new(first: T) -> Result<Self, Error>;

    fn reader(&self) -> Self::Reader<'_>;

    /// Reads the object in a section of its own.
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R;

    /// Replaces the object and retires the old one.
    fn replace(&self, new: T);
}

/// The suite `reclaim`.
pub static SUITE: Suite = Suite {
    name: "reclaim",
    about: "reading what others replace, and freeing what was replaced",
    available: || Ok(()),
    cases: &[
        Case::timed(
            "read",
            "every thread reads an object that may be replaced",
            "ns/op",
            Who::All,
            &[
                read::of::<Copied>(),
                read::of::<Sections<u64>>(),
                read::of::<Lazy<u64>>(),
                read::of::<Epoch<u64>>(),
                read::of::<Seize<u64>>(),
                read::of::<Haphazard<u64>>(),
                read::of::<Sdd<u64>>(),
                read::of::<Kovan<u64>>(),
                read::of::<ArcSwapped<u64>>(),
                read::of::<Locked<u64>>(),
                read::of::<Arcs<u64>>(),
                read::of::<Own>(),
            ],
        ),
        Case::timed(
            "busy",
            "the same while it is replaced a thousand times a second",
            "ns/op",
            Who::All,
            &[
                read::busy::<Copied>(),
                read::busy::<Sections<u64>>(),
                read::busy::<Lazy<u64>>(),
                read::busy::<Epoch<u64>>(),
                read::busy::<Seize<u64>>(),
                read::busy::<Haphazard<u64>>(),
                read::busy::<Sdd<u64>>(),
                read::busy::<Kovan<u64>>(),
                read::busy::<ArcSwapped<u64>>(),
                read::busy::<Locked<u64>>(),
                read::busy::<Own>(),
            ],
        ),
        Case::timed(
            "swap",
            "every thread replaces the object and retires the old one",
            "ns/op",
            Who::All,
            &[
                swap::of::<Copied>(),
                swap::of::<Sections<u64>>(),
                swap::of::<Lazy<u64>>(),
                swap::of::<Epoch<u64>>(),
                swap::of::<Seize<u64>>(),
                swap::of::<Haphazard<u64>>(),
                swap::of::<Sdd<u64>>(),
                swap::of::<Kovan<u64>>(),
                swap::of::<ArcSwapped<u64>>(),
                swap::of::<Locked<u64>>(),
                own::swap(),
            ],
        ),
        Case::timed(
            "switch",
            "pairs of threads wake each other and read the object",
            "ns/there and back",
            Who::All,
            &[
                switch::of::<Lazy<u64>>(),
                switch::of::<ArcSwapped<u64>>(),
                switch::of::<Arcs<u64>>(),
                switch::of::<Own>(),
            ],
        ),
        Case::fresh(
            "free",
            "from retirement to drop, every millisecond, two busy readers",
            "us",
            free::THREADS,
            &[
                free::copied(),
                free::median::<Sections<Tracked>>(),
                free::median::<Lazy<Tracked>>(),
                free::median::<Epoch<Tracked>>(),
                free::median::<Seize<Tracked>>(),
                free::median::<Haphazard<Tracked>>(),
                free::median::<Sdd<Tracked>>(),
                free::median::<Kovan<Tracked>>(),
                free::median::<ArcSwapped<Tracked>>(),
                free::median::<Locked<Tracked>>(),
                free::median::<Own>(),
            ],
        ),
        Case::fresh(
            "stalled",
            "objects unfreed of 200,000 while one reader stays inside",
            "objects",
            free::STALLED_THREADS,
            &[
                free::copied_stalled(),
                free::stalled::<Sections<Tracked>>(),
                free::stalled::<Lazy<Tracked>>(),
                free::stalled::<Epoch<Tracked>>(),
                free::stalled::<Seize<Tracked>>(),
                free::stalled::<Haphazard<Tracked>>(),
                free::stalled::<Sdd<Tracked>>(),
                free::stalled::<Kovan<Tracked>>(),
                free::stalled::<ArcSwapped<Tracked>>(),
                free::stalled::<Locked<Tracked>>(),
                free::stalled::<Own>(),
            ],
        ),
    ],
    comparisons: &[
        ratio(
            "read, 1 thread: percid:copy / crossbeam_epoch",
            ("read", "percid:copy", 1),
            ("read", "crossbeam_epoch", 1),
        ),
        ratio(
            "read, 2 threads: percid:copy / crossbeam_epoch",
            ("read", "percid:copy", 2),
            ("read", "crossbeam_epoch", 2),
        ),
        ratio(
            "read, 1 thread: percid:sections / crossbeam_epoch",
            ("read", "percid:sections", 1),
            ("read", "crossbeam_epoch", 1),
        ),
        ratio(
            "read, 2 threads: percid:sections / crossbeam_epoch",
            ("read", "percid:sections", 2),
            ("read", "crossbeam_epoch", 2),
        ),
        ratio(
            "read, 1 thread: percid:sections / kovan",
            ("read", "percid:sections", 1),
            ("read", "kovan", 1),
        ),
        ratio(
            "read, 2 threads: percid:sections / kovan",
            ("read", "percid:sections", 2),
            ("read", "kovan", 2),
        ),
        ratio(
            "read, 1 thread: percid:sections / thread_local",
            ("read", "percid:sections", 1),
            ("read", "thread_local", 1),
        ),
        ratio(
            "busy, 2 threads: reads of percid:copy / crossbeam_epoch",
            ("busy", "crossbeam_epoch", 2),
            ("busy", "percid:copy", 2),
        ),
        ratio(
            "busy, 2 threads: reads of percid:copy / arc_swap",
            ("busy", "arc_swap", 2),
            ("busy", "percid:copy", 2),
        ),
        ratio(
            "busy, 2 threads: reads of percid:sections / crossbeam_epoch",
            ("busy", "crossbeam_epoch", 2),
            ("busy", "percid:sections", 2),
        ),
        ratio(
            "busy, 2 threads: reads of percid:sections / arc_swap",
            ("busy", "arc_swap", 2),
            ("busy", "percid:sections", 2),
        ),
        ratio(
            "swap, 2 threads: percid:sections / crossbeam_epoch",
            ("swap", "percid:sections", 2),
            ("swap", "crossbeam_epoch", 2),
        ),
        ratio(
            "swap, 2 threads: percid:sections / sdd",
            ("swap", "percid:sections", 2),
            ("swap", "sdd", 2),
        ),
        ratio(
            "swap, 2 threads: percid:sections / kovan",
            ("swap", "percid:sections", 2),
            ("swap", "kovan", 2),
        ),
        figure(
            "free, percid:copy: microseconds",
            ("free", "percid:copy", free::THREADS),
        ),
        ratio(
            "read, 1 thread: percid:lazy / arc_swap",
            ("read", "percid:lazy", 1),
            ("read", "arc_swap", 1),
        ),
        ratio(
            "read, 2 threads: percid:lazy / arc_swap",
            ("read", "percid:lazy", 2),
            ("read", "arc_swap", 2),
        ),
        ratio(
            "busy, 2 threads: reads of percid:lazy / crossbeam_epoch",
            ("busy", "crossbeam_epoch", 2),
            ("busy", "percid:lazy", 2),
        ),
        ratio(
            "busy, 2 threads: reads of percid:lazy / arc_swap",
            ("busy", "arc_swap", 2),
            ("busy", "percid:lazy", 2),
        ),
        ratio(
            "swap, 2 threads: percid:lazy / sdd",
            ("swap", "percid:lazy", 2),
            ("swap", "sdd", 2),
        ),
        ratio(
            "switch, 2 pairs: switches of percid:lazy / arc",
            ("switch", "arc", 2),
            ("switch", "percid:lazy", 2),
        ),
        ratio(
            "switch, 2 pairs: the most there is to gain: thread_local / arc",
            ("switch", "arc", 2),
            ("switch", "thread_local", 2),
        ),
        ratio(
            "switch, 2 pairs: one count of arc, as a part of it",
            ("read", "arc", 2),
            ("switch", "arc", 2),
        ),
        figure(
            "switch, 2 pairs, arc: nanoseconds there and back",
            ("switch", "arc", 2),
        ),
        figure(
            "read, 2 threads, arc: nanoseconds of a count",
            ("read", "arc", 2),
        ),
        figure(
            "free, percid:lazy: microseconds",
            ("free", "percid:lazy", free::THREADS),
        ),
        figure(
            "free, percid:sections: microseconds",
            ("free", "percid:sections", free::THREADS),
        ),
        figure(
            "stalled, percid:lazy: unfreed",
            ("stalled", "percid:lazy", free::STALLED_THREADS),
        ),
        figure(
            "stalled, percid:copy: unfreed",
            ("stalled", "percid:copy", free::STALLED_THREADS),
        ),
    ],
};
