//! Reading what others replace, and freeing what was replaced.
//!
//! | case | what is done |
//! | --- | --- |
//! | `read` | every thread reads a number in an object that may be replaced, and is not |
//! | `busy` | the same, while another thread replaces it a thousand times a second |
//! | `swap` | every thread replaces the object by a new one and retires the old one |
//! | `free` | microseconds from retirement to drop, replaced every millisecond under two busy readers |
//! | `stalled` | objects that are not freed of 200,000, while one reader stays inside, 0.1 s after the last |
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
//! The floor is `thread_local`: a load. Peers get the best form that their documentation
//! names. Where a figure of `free` is as long as its run (250 ms), the peer had not freed
//! half of the objects by then.

mod copy;
mod free;
mod lazy;
mod peers;
mod percid;
mod read;
mod swap;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::compare::{Comparison, Which};
use crate::suite::{Case, Method, Suite, Who};

use self::copy::Copied;
use self::lazy::Lazy;
use self::peers::{ArcSwapped, Arcs, Epoch, Haphazard, Kovan, Locked, Sdd, Seize};
use self::percid::Sections;
use self::read::Own;

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
        Case {
            name: "read",
            about: "every thread reads an object that may be replaced",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
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
            },
        },
        Case {
            name: "busy",
            about: "the same while it is replaced a thousand times a second",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
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
                ],
            },
        },
        Case {
            name: "swap",
            about: "every thread replaces the object and retires the old one",
            unit: "ns/op",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
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
                ],
            },
        },
        Case {
            name: "free",
            about: "from retirement to drop, every millisecond, two busy readers",
            unit: "us",
            method: Method::Fresh {
                threads: free::THREADS,
                implementations: &[
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
                ],
            },
        },
        Case {
            name: "stalled",
            about: "objects unfreed of 200,000 while one reader stays inside",
            unit: "objects",
            method: Method::Fresh {
                threads: free::STALLED_THREADS,
                implementations: &[
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
                ],
            },
        },
    ],
    comparisons: &[
        ratio(
            "read",
            "percid:copy",
            "crossbeam_epoch",
            1,
            "read, 1 thread: percid:copy / crossbeam_epoch",
        ),
        ratio(
            "read",
            "percid:copy",
            "crossbeam_epoch",
            2,
            "read, 2 threads: percid:copy / crossbeam_epoch",
        ),
        ratio(
            "read",
            "percid:sections",
            "crossbeam_epoch",
            1,
            "read, 1 thread: percid:sections / crossbeam_epoch",
        ),
        ratio(
            "read",
            "percid:sections",
            "crossbeam_epoch",
            2,
            "read, 2 threads: percid:sections / crossbeam_epoch",
        ),
        ratio(
            "read",
            "percid:sections",
            "kovan",
            1,
            "read, 1 thread: percid:sections / kovan",
        ),
        ratio(
            "read",
            "percid:sections",
            "kovan",
            2,
            "read, 2 threads: percid:sections / kovan",
        ),
        ratio(
            "read",
            "percid:sections",
            "thread_local",
            1,
            "read, 1 thread: percid:sections / thread_local",
        ),
        ratio(
            "busy",
            "crossbeam_epoch",
            "percid:copy",
            2,
            "busy, 2 threads: reads of percid:copy / crossbeam_epoch",
        ),
        ratio(
            "busy",
            "arc_swap",
            "percid:copy",
            2,
            "busy, 2 threads: reads of percid:copy / arc_swap",
        ),
        ratio(
            "busy",
            "crossbeam_epoch",
            "percid:sections",
            2,
            "busy, 2 threads: reads of percid:sections / crossbeam_epoch",
        ),
        ratio(
            "busy",
            "arc_swap",
            "percid:sections",
            2,
            "busy, 2 threads: reads of percid:sections / arc_swap",
        ),
        ratio(
            "swap",
            "percid:sections",
            "crossbeam_epoch",
            2,
            "swap, 2 threads: percid:sections / crossbeam_epoch",
        ),
        ratio(
            "swap",
            "percid:sections",
            "sdd",
            2,
            "swap, 2 threads: percid:sections / sdd",
        ),
        ratio(
            "swap",
            "percid:sections",
            "kovan",
            2,
            "swap, 2 threads: percid:sections / kovan",
        ),
        figure(
            "free",
            "percid:copy",
            free::THREADS,
            "free, percid:copy: microseconds",
        ),
        ratio(
            "read",
            "percid:lazy",
            "arc_swap",
            1,
            "read, 1 thread: percid:lazy / arc_swap",
        ),
        ratio(
            "read",
            "percid:lazy",
            "arc_swap",
            2,
            "read, 2 threads: percid:lazy / arc_swap",
        ),
        ratio(
            "busy",
            "crossbeam_epoch",
            "percid:lazy",
            2,
            "busy, 2 threads: reads of percid:lazy / crossbeam_epoch",
        ),
        ratio(
            "busy",
            "arc_swap",
            "percid:lazy",
            2,
            "busy, 2 threads: reads of percid:lazy / arc_swap",
        ),
        ratio(
            "swap",
            "percid:lazy",
            "sdd",
            2,
            "swap, 2 threads: percid:lazy / sdd",
        ),
        figure(
            "free",
            "percid:lazy",
            free::THREADS,
            "free, percid:lazy: microseconds",
        ),
        figure(
            "free",
            "percid:sections",
            free::THREADS,
            "free, percid:sections: microseconds",
        ),
        figure(
            "stalled",
            "percid:lazy",
            free::STALLED_THREADS,
            "stalled, percid:lazy: unfreed",
        ),
        figure(
            "stalled",
            "percid:copy",
            free::STALLED_THREADS,
            "stalled, percid:copy: unfreed",
        ),
    ],
};

const fn which(case: &'static str, implementation: &'static str, threads: usize) -> Which {
    Which {
        case,
        implementation,
        threads,
    }
}

const fn ratio(
    case: &'static str,
    of: &'static str,
    against: &'static str,
    threads: usize,
    what: &'static str,
) -> Comparison {
    Comparison {
        what,
        of: which(case, of, threads),
        against: Some(which(case, against, threads)),
    }
}

const fn figure(
    case: &'static str,
    implementation: &'static str,
    threads: usize,
    what: &'static str,
) -> Comparison {
    Comparison {
        what,
        of: which(case, implementation, threads),
        against: None,
    }
}

/// Fails unless `found` is what was due.
fn expect(implementation: &'static str, found: u64, expected: u64) -> Result<(), Error> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::Wrong {
            implementation,
            counted: found,
            expected,
        })
    }
}

/// What threads tell the one that checks.
#[derive(Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    // Ordering: Relaxed. Threads are joined before it is read.
    fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
