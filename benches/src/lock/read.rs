//! Reading one object, and objects beside each other.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use crossbeam_utils::CachePadded;
use percid::{LockSpace, ObjectLock};

use super::placement::Placement;
use crate::Error;
use crate::error::expect;
use crate::suite::{Done, Timed, Workload};

/// An object that threads read.
pub(super) trait Reading: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    fn new() -> Self;

    /// Tries to read it and releases it; whether it could.
    fn read(&self, thread: usize) -> bool;
}

/// The implementation for the case `read`.
pub(super) const fn of<R: Reading>() -> Timed {
    Timed {
        name: R::NAME,
        make: |_| {
            Ok(Box::new(Reads {
                reading: R::new(),
                read: CachePadded::default(),
            }))
        },
    }
}

/// The implementation for the case `neighbours`.
pub(super) const fn neighbours<P: Placement>() -> Timed {
    of::<Neighbours<P>>()
}

struct Reads<R> {
    reading: R,
    read: CachePadded<AtomicU64>,
}

impl<R: Reading> Workload for Reads<R> {
    fn begin(&self) {
        self.read.store(0, Ordering::Relaxed);
    }

    fn run(&self, thread: usize, rounds: u64) {
        let mut count = 0;
        let mut read = || {
            count += u64::from(self.reading.read(thread));
            compiler_fence(Ordering::SeqCst);
        };
        for _ in 0..rounds {
            read();
            read();
            read();
            read();
            read();
            read();
            read();
            read();
        }
        self.read.fetch_add(count, Ordering::Relaxed);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(R::NAME, self.read.load(Ordering::Relaxed), done.operations)
    }
}

/// Each on lines of its own: the space's word is read by all, the lock is written.
pub(super) struct One {
    space: CachePadded<LockSpace>,
    lock: CachePadded<ObjectLock>,
}

impl Reading for One {
    const NAME: &'static str = "percid";

    fn new() -> One {
        One {
            space: CachePadded::default(),
            lock: CachePadded::default(),
        }
    }

    #[inline(always)]
    fn read(&self, _: usize) -> bool {
        self.lock.read_try(&self.space).is_some()
    }
}

pub(super) struct OfParkingLot(CachePadded<parking_lot::RwLock<()>>);

impl Reading for OfParkingLot {
    const NAME: &'static str = "parking_lot";

    fn new() -> OfParkingLot {
        OfParkingLot(CachePadded::default())
    }

    #[inline(always)]
    fn read(&self, _: usize) -> bool {
        self.0.try_read().is_some()
    }
}

pub(super) struct OfStd(CachePadded<std::sync::RwLock<()>>);

impl Reading for OfStd {
    const NAME: &'static str = "std";

    fn new() -> OfStd {
        OfStd(CachePadded::default())
    }

    #[inline(always)]
    fn read(&self, _: usize) -> bool {
        self.0.try_read().is_ok()
    }
}

thread_local! {
    static READERS: Cell<u64> = const { Cell::new(0) };
}

/// A count of the thread's own, up and down: the floor.
pub(super) struct OfThread;

impl Reading for OfThread {
    const NAME: &'static str = "thread_local";

    fn new() -> OfThread {
        OfThread
    }

    #[inline(always)]
    fn read(&self, _: usize) -> bool {
        READERS.with(|readers| {
            readers.set(readers.get() + 1);
            compiler_fence(Ordering::SeqCst);
            readers.set(readers.get() - 1);
            compiler_fence(Ordering::SeqCst);
            readers.get() == 0
        })
    }
}

/// More than there are threads.
const OBJECTS: usize = 2048;

/// Objects beside each other, of which each thread reads one.
pub(super) struct Neighbours<P> {
    space: CachePadded<LockSpace>,
    placed: P,
    /// The first thread's object: one that shares its line with the next one's, if any
    /// does.
    first: usize,
}

impl<P: Placement> Reading for Neighbours<P> {
    const NAME: &'static str = P::NAME;

    fn new() -> Neighbours<P> {
        let placed = P::new(OBJECTS);
        let line = |number| std::ptr::from_ref(placed.at(number).0).addr() / 64;
        let first = (0..8).find(|&number| line(number) == line(number + 1));
        Neighbours {
            first: first.unwrap_or(0),
            space: CachePadded::default(),
            placed,
        }
    }

    #[inline(always)]
    fn read(&self, thread: usize) -> bool {
        self.placed
            .at((self.first + thread) % OBJECTS)
            .0
            .read_try(&self.space)
            .is_some()
    }
}
