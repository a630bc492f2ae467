//! A histogram.

mod buckets;
mod snapshot;

use alloc::vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use percid_cid::Domain;
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, portable};

use crate::arena::{ArenaError, Operation};
use crate::room::Room;
use crate::scope::{Process, Scope};

pub use snapshot::{Bucket, HistogramSnapshot};

/// A histogram of whole numbers, which many threads record into.
///
/// ```
/// use percid::Histogram;
///
/// static LATENCY: Histogram = Histogram::new();
///
/// for microseconds in 1..=1000 {
///     LATENCY.record(microseconds);
/// }
/// let seen = LATENCY.snapshot();
/// assert_eq!(seen.count(), 1000);
/// let median = seen.quantile(0.5).unwrap();
/// assert!((492..=508).contains(&median), "within 1/64 of 500: {median}");
/// ```
///
/// # Cost
///
/// `record`: finding the bucket, about four instructions, and one section, the same as an
/// addition to a [`Counter`](crate::Counter). `snapshot`: one load for each bucket in the
/// stripe of each active cid.
///
/// Eight bytes for each bucket in each active cid's stripe: 15 KiB of address space
/// for all values, less with [`up_to`](Histogram::up_to); memory by the page, as values
/// are recorded.
///
/// # Shapes and units
///
/// Values are unsigned numbers in whatever is recorded. Each octave has 32 buckets, so
/// values below 64 are exact, and what a snapshot says of any other is at most 1/64
/// (1.6 %) off. There is no word for the sum, which would be a second section: a
/// snapshot derives it from the buckets, within the same 1/64. Count
/// [`Stats`](crate::Stats) as well where it must be exact.
///
/// A value above the highest of [`up_to`](Histogram::up_to) is counted, as
/// [`above`](HistogramSnapshot::above), and is in no bucket.
///
/// # Fallback
///
/// Where sections do not work, a record is one relaxed `fetch_add` on the thread's
/// stripe. Where a histogram from [`new`](Histogram::new) finds no memory, records are
/// counted, in one atomic of its own, as [`missed`](HistogramSnapshot::missed);
/// [`try_new`](Histogram::try_new) reports that instead.
///
/// # Fork and signals
///
/// Recording may be done in a signal handler. A child of `fork` starts with what its
/// parent had recorded.
///
/// # Source
///
/// Log-linear buckets: G. Tene's HdrHistogram.
pub struct Histogram<S: Scope = Process> {
    room: Room<S>,
    /// The bucket of what is above all others.
    above: u32,
    /// Records for which there was no memory.
    missed: AtomicU64,
}

/// Buckets up to the one of `highest`.
const fn buckets_to(highest: u64) -> u32 {
    buckets::bucket_of(highest) as u32 + 1
}

impl Histogram {
    /// A histogram of all values, for a `static` or anywhere else.
    #[must_use]
    pub const fn new() -> Histogram {
        Histogram::up_to(u64::MAX)
    }

    /// A histogram of values up to `highest`, or a little more: up to the end of its
    /// bucket.
    ///
    /// ```
    /// # use percid::Histogram;
    /// static SIZES: Histogram = Histogram::up_to(4096);
    /// SIZES.record(5000);
    /// assert_eq!(SIZES.snapshot().above(), 1);
    /// ```
    #[must_use]
    pub const fn up_to(highest: u64) -> Histogram {
        let above = buckets_to(highest);
        Histogram {
            room: Room::new(above + 1),
            above,
            missed: AtomicU64::new(0),
        }
    }

    /// A histogram of values up to `highest` that has its words already.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or the arena is full.
    pub fn try_new(highest: u64) -> Result<Histogram, ArenaError> {
        let above = buckets_to(highest);
        Ok(Histogram {
            room: Room::try_new(above + 1)?,
            above,
            missed: AtomicU64::new(0),
        })
    }
}

impl Histogram<Domain> {
    /// A histogram of values up to `highest`, sharded by the ids of a domain, which it
    /// keeps alive.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Histogram::try_new).
    pub fn in_domain(domain: &Domain, highest: u64) -> Result<Histogram<Domain>, ArenaError> {
        let above = buckets_to(highest);
        Ok(Histogram {
            room: Room::in_domain(domain, above + 1)?,
            above,
            missed: AtomicU64::new(0),
        })
    }
}

/// Adds to the word of a bucket.
struct Count {
    bucket: usize,
    times: u64,
}

impl Operation for Count {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::add::<I, SHIFT>(index, first.offset(self.bucket), self.times) }
    }
}

/// Adds 1 to the word of a bucket.
struct CountOne(usize);

impl Operation for CountOne {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::increment::<I, SHIFT>(index, first.offset(self.0)) }
    }
}

impl<S: Scope> Histogram<S> {
    #[inline(always)]
    fn bucket(&self, value: u64) -> usize {
        buckets::bucket_of(value).min(self.above as usize)
    }

    /// Records a value.
    #[inline]
    pub fn record(&self, value: u64) {
        let bucket = self.bucket(value);
        // SAFETY: the room has a word for each bucket and one for what is above; those of
        // cids change by these sections only.
        if unsafe { self.room.run(&CountOne(bucket)) }.is_err() {
            self.count_slow(bucket, 1);
        }
    }

    /// Records a value so many times, in one section.
    #[inline]
    pub fn record_many(&self, value: u64, times: u64) {
        let bucket = self.bucket(value);
        // SAFETY: as in `record`.
        if unsafe { self.room.run(&Count { bucket, times }) }.is_err() {
            self.count_slow(bucket, times);
        }
    }

    #[cold]
    #[inline(never)]
    fn count_slow(&self, bucket: usize, times: u64) {
        match self.room.fallback() {
            Ok(stripe) => portable::add(&stripe.words()[bucket], times),
            // Ordering: Relaxed. A count publishes nothing.
            Err(_) => drop(self.missed.fetch_add(times, Ordering::Relaxed)),
        }
    }

    /// The highest value that has a bucket.
    #[must_use]
    pub fn highest(&self) -> u64 {
        buckets::high(self.above as usize - 1)
    }

    /// What was recorded.
    ///
    /// Exact for all records that happened before, in the sense of the memory model. One
    /// that runs at the same time is seen or not.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut counts = vec![0_u64; self.above as usize + 1];
        for stripe in self.room.stripes() {
            for (count, word) in counts.iter_mut().zip(stripe.words()) {
                *count = count.wrapping_add(portable::load(word));
            }
        }
        let above = counts.pop().unwrap_or(0);
        let buckets = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        let buckets = buckets.map(|(bucket, &count)| Bucket {
            low: buckets::low(bucket),
            high: buckets::high(bucket),
            count,
        });
        // Ordering: Relaxed, as the words of stripes.
        let missed = self.missed.load(Ordering::Relaxed);
        HistogramSnapshot::new(buckets.collect(), above, missed)
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

/// Shows how much was recorded.
impl<S: Scope> fmt::Debug for Histogram<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.snapshot().count())
            .field("highest", &self.highest())
            .finish_non_exhaustive()
    }
}
