//! Recording values in one histogram.
//!
//! Values are spread over three octaves, by a multiplication: neither one bucket again
//! and again nor a pattern that a predictor of branches learns.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use percid::{Counter, Histogram};

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

pub(super) const IMPLEMENTATIONS: [Timed; 6] = [
    of::<Percid>(),
    of::<Adding>(),
    of::<ThreadLocal>(),
    of::<Atomic>(),
    of::<Prometheus>(),
    of::<HdrMutex>(),
];

/// The highest value that is recorded.
const HIGHEST: u64 = 1 << 13;

/// What takes values from many threads.
trait Recording: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    fn new() -> Self;

    fn record(&self, value: u64);

    /// How many were recorded since the last call.
    fn take_count(&self) -> u64;

    /// After a thread's records, for those that only it knows of.
    fn hand_in(&self) {}
}

const fn of<R: Recording>() -> Timed {
    Timed {
        name: R::NAME,
        make: |_| {
            Ok(Box::new(Records {
                histogram: R::new(),
                counted: Tally::default(),
            }))
        },
    }
}

struct Records<R> {
    histogram: R,
    /// By checks before this one.
    counted: Tally,
}

impl<R: Recording> Workload for Records<R> {
    fn begin(&self) {
        self.histogram.take_count();
        self.counted.reset();
    }

    fn run(&self, thread: usize, rounds: u64) {
        let mut state = thread as u64 + 1;
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                self.histogram
                    .record((1 << 10) + (state >> 51) % (HIGHEST - (1 << 10)));
                compiler_fence(Ordering::SeqCst);
            }
        }
        self.histogram.hand_in();
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        self.counted.add(self.histogram.take_count());
        expect(R::NAME, self.counted.get(), done.operations)
    }
}

/// Static, and so counted from where it stood.
struct Percid {
    before: Tally,
}

static HISTOGRAM: Histogram = Histogram::new();

impl Recording for Percid {
    const NAME: &'static str = "percid";

    fn new() -> Percid {
        Percid {
            before: Tally::default(),
        }
    }

    #[inline(always)]
    fn record(&self, value: u64) {
        HISTOGRAM.record(value);
    }

    fn take_count(&self) -> u64 {
        let now = HISTOGRAM.snapshot().count();
        let before = self.before.get();
        self.before.reset();
        self.before.add(now);
        now - before
    }
}

/// An addition of 1, and the value is made for nothing: what records are compared with.
struct Adding;

static TOTAL: Counter = Counter::new();

impl Recording for Adding {
    const NAME: &'static str = "percid:counter";

    fn new() -> Adding {
        Adding
    }

    #[inline(always)]
    fn record(&self, value: u64) {
        std::hint::black_box(value);
        TOTAL.add(1);
    }

    fn take_count(&self) -> u64 {
        TOTAL.take()
    }
}

struct ThreadLocal(Tally);

std::thread_local! {
    static BUCKETS: RefCell<Vec<u64>> = RefCell::new(vec![0; 2048]);
}

impl Recording for ThreadLocal {
    const NAME: &'static str = "thread_local";

    fn new() -> ThreadLocal {
        ThreadLocal(Tally::default())
    }

    #[inline(always)]
    fn record(&self, value: u64) {
        BUCKETS.with_borrow_mut(|buckets| buckets[bucket(value)] += 1);
    }

    fn take_count(&self) -> u64 {
        let count = self.0.get();
        self.0.reset();
        count
    }

    fn hand_in(&self) {
        let count = BUCKETS.with_borrow_mut(|buckets| {
            let count = buckets.iter().sum();
            buckets.fill(0);
            count
        });
        self.0.add(count);
    }
}

/// The same buckets, of atomics that all threads share.
struct Atomic(Vec<AtomicU64>);

impl Recording for Atomic {
    const NAME: &'static str = "atomic";

    fn new() -> Atomic {
        Atomic((0..2048).map(|_| AtomicU64::new(0)).collect())
    }

    #[inline(always)]
    fn record(&self, value: u64) {
        self.0[bucket(value)].fetch_add(1, Ordering::Relaxed);
    }

    fn take_count(&self) -> u64 {
        self.0
            .iter()
            .map(|one| one.swap(0, Ordering::Relaxed))
            .sum()
    }
}

/// As a histogram with 32 buckets an octave finds it.
#[inline(always)]
fn bucket(value: u64) -> usize {
    let octave = 58 - (value | 32).leading_zeros();
    ((octave as usize) << 5) + (value >> octave) as usize
}

/// With a bucket for each octave, as percid shows its own.
struct Prometheus {
    histogram: prometheus_client::metrics::histogram::Histogram,
    before: Tally,
}

impl Prometheus {
    fn count(&self) -> u64 {
        use prometheus_client::registry::Registry;

        let mut registry = Registry::default();
        registry.register("h", "h", self.histogram.clone());
        let mut text = String::new();
        let encoded = prometheus_client::encoding::text::encode(&mut text, &registry);
        let count = text.lines().find_map(|line| line.strip_prefix("h_count "));
        match (encoded, count.map(str::parse)) {
            (Ok(()), Some(Ok(count))) => count,
            _ => 0,
        }
    }
}

impl Recording for Prometheus {
    const NAME: &'static str = "prometheus";

    fn new() -> Prometheus {
        use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

        Prometheus {
            histogram: Histogram::new(exponential_buckets(1.0, 2.0, 14)),
            before: Tally::default(),
        }
    }

    #[inline(always)]
    fn record(&self, value: u64) {
        self.histogram.observe(value as f64);
    }

    fn take_count(&self) -> u64 {
        let now = self.count();
        let before = self.before.get();
        self.before.reset();
        self.before.add(now);
        now - before
    }
}

struct HdrMutex(Mutex<hdrhistogram::Histogram<u64>>);

impl Recording for HdrMutex {
    const NAME: &'static str = "hdr_mutex";

    fn new() -> HdrMutex {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, HIGHEST, 2);
        HdrMutex(Mutex::new(
            histogram.expect("bounds and digits that can be"),
        ))
    }

    #[inline(always)]
    fn record(&self, value: u64) {
        if let Ok(mut histogram) = self.0.lock() {
            histogram.saturating_record(value);
        }
    }

    fn take_count(&self) -> u64 {
        self.0.lock().map_or(0, |mut histogram| {
            let count = histogram.len();
            histogram.reset();
            count
        })
    }
}
