//! Adding to a counter that stays within a limit, far from it.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, compiler_fence};

use percid::{BoundedCounter, Counter};

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

pub(super) const IMPLEMENTATIONS: [Timed; 4] = [
    of::<Percid>(),
    of::<Unlimited>(),
    of::<ThreadLocal>(),
    of::<Atomic>(),
];

/// Far from what anybody adds here.
const LIMIT: i64 = 1 << 50;

/// A counter that any thread may add to.
trait Limited: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    fn new() -> Self;

    /// Adds 1 if that stays within the limit.
    fn add(&self);

    /// After a thread's additions, for those whose total must be brought.
    fn bring(&self) {}

    fn total(&self) -> u64;
}

const fn of<L: Limited>() -> Timed {
    Timed {
        name: L::NAME,
        make: |_| {
            Ok(Box::new(One {
                counter: L::new(),
                before: AtomicU64::new(0),
            }))
        },
    }
}

struct One<L> {
    counter: L,
    before: AtomicU64,
}

impl<L: Limited> Workload for One<L> {
    fn begin(&self) {
        self.before.store(self.counter.total(), Ordering::Relaxed);
    }

    fn run(&self, _: usize, rounds: u64) {
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                self.counter.add();
                compiler_fence(Ordering::SeqCst);
            }
        }
        self.counter.bring();
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        let counted = self.counter.total() - self.before.load(Ordering::Relaxed);
        expect(L::NAME, counted, done.operations)
    }
}

static BOUNDED: BoundedCounter = BoundedCounter::new(LIMIT);

struct Percid;

impl Limited for Percid {
    const NAME: &'static str = "percid";

    fn new() -> Percid {
        Percid
    }

    #[inline(always)]
    fn add(&self) {
        let _ = BOUNDED.limited_add(1);
    }

    fn total(&self) -> u64 {
        BOUNDED.sum().cast_unsigned()
    }
}

static UNLIMITED: Counter = Counter::new();

/// The same without a limit: what it is compared with.
struct Unlimited;

impl Limited for Unlimited {
    const NAME: &'static str = "percid:counter";

    fn new() -> Unlimited {
        Unlimited
    }

    #[inline(always)]
    fn add(&self) {
        UNLIMITED.add(1);
    }

    fn total(&self) -> u64 {
        UNLIMITED.sum()
    }
}

std::thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

/// Each thread within a limit of its own.
struct ThreadLocal(AtomicU64);

impl Limited for ThreadLocal {
    const NAME: &'static str = "thread_local";

    fn new() -> ThreadLocal {
        ThreadLocal(AtomicU64::new(0))
    }

    #[inline(always)]
    fn add(&self) {
        let own = OWN.get();
        if own < LIMIT.cast_unsigned() {
            OWN.set(own + 1);
        }
    }

    fn bring(&self) {
        self.0.fetch_add(OWN.take(), Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An atomic that all threads share.
struct Atomic(AtomicI64);

impl Limited for Atomic {
    const NAME: &'static str = "atomic_shared";

    fn new() -> Atomic {
        Atomic(AtomicI64::new(0))
    }

    #[inline(always)]
    fn add(&self) {
        let next = |held: i64| (held < LIMIT).then_some(held + 1);
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed).cast_unsigned()
    }
}
