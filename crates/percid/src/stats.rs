//! Count, sum, least and greatest in one handle.

use core::fmt;
use core::iter::Sum;
use core::sync::atomic::{AtomicU64, Ordering};

use percid_cid::Domain;
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, portable};

use crate::arena::{ArenaError, Operation};
use crate::extremes::{greatest, raise};
use crate::min_max::ends;
use crate::room::Room;
use crate::scope::{Process, Scope};

/// The words of a stripe.
const COUNT: usize = 0;
const SUM: usize = 1;
const COMPLEMENT_OF_MIN: usize = 2;
const MAX: usize = 3;
const WORDS: u32 = 4;

/// Count, sum, least and greatest of what many threads record.
///
/// ```
/// use percid::Stats;
///
/// static BODIES: Stats = Stats::new();
///
/// [100, 250, 10].into_iter().for_each(|bytes| BODIES.record(bytes));
/// let seen = BODIES.snapshot();
/// assert_eq!((seen.count, seen.sum), (3, 360));
/// assert_eq!((seen.min, seen.max, seen.mean()), (Some(10), Some(250), Some(120.0)));
/// ```
///
/// # Cost
///
/// `record` is four sections: two additions, and two loads that seldom lead to a store.
/// So a snapshot that is taken meanwhile may see a count without its sum; once a record
/// has returned, all four are there. `snapshot`: four loads for each active cid.
///
/// # Shapes and units
///
/// Unsigned numbers in whatever is recorded; count and sum are modulo 2^64. 32 bytes in
/// each active cid's stripe.
///
/// # Fallback
///
/// Without sections, relaxed atomics on the thread's stripe. Records for which one from
/// [`new`](Stats::new) finds no memory are counted as
/// [`missed`](StatsSnapshot::missed); [`try_new`](Stats::try_new) reports that before.
///
/// # Fork and signals
///
/// Every method may be called from a signal handler. A child of `fork` starts with its
/// parent's numbers.
pub struct Stats<S: Scope = Process> {
    room: Room<S>,
    missed: AtomicU64,
}

impl Stats {
    /// Nothing recorded yet, for a `static` or anywhere else.
    #[must_use]
    pub const fn new() -> Stats {
        Stats {
            room: Room::new(WORDS),
            missed: AtomicU64::new(0),
        }
    }

    /// Nothing recorded yet, with its words.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or the arena is full.
    pub fn try_new() -> Result<Stats, ArenaError> {
        Ok(Stats {
            room: Room::try_new(WORDS)?,
            missed: AtomicU64::new(0),
        })
    }
}

impl Stats<Domain> {
    /// Nothing recorded yet, sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Stats::try_new).
    pub fn in_domain(domain: &Domain) -> Result<Stats<Domain>, ArenaError> {
        Ok(Stats {
            room: Room::in_domain(domain, WORDS)?,
            missed: AtomicU64::new(0),
        })
    }
}

/// Adds to a word.
struct AddTo {
    word: usize,
    n: u64,
}

impl Operation for AddTo {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::add::<I, SHIFT>(index, first.offset(self.word), self.n) }
    }
}

impl<S: Scope> Stats<S> {
    /// Records a value.
    #[inline]
    pub fn record(&self, value: u64) {
        // SAFETY: the room has four words; the first two change by `add` only, the others
        // by `raise` only.
        let ends = unsafe {
            raise(&self.room, COMPLEMENT_OF_MIN, !value).and(raise(&self.room, MAX, value))
        };
        if ends.is_ok() {
            self.add(SUM, value);
            self.add(COUNT, 1);
        } else {
            // Ordering: Relaxed. A count publishes nothing.
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn add(&self, word: usize, n: u64) {
        // SAFETY: as in `record`.
        if unsafe { self.room.run(&AddTo { word, n }) }.is_err() {
            self.add_slow(word, n);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, word: usize, n: u64) {
        // There is memory: the extremes have their place.
        if let Ok(stripe) = self.room.fallback() {
            portable::add(&stripe.words()[word], n);
        }
    }

    /// What was recorded.
    #[must_use]
    pub fn snapshot(&self) -> StatsSnapshot {
        let sum_of = |word: usize| {
            let words = self
                .room
                .stripes()
                .map(|stripe| portable::load(&stripe.words()[word]));
            words.fold(0, u64::wrapping_add)
        };
        let (complement, max) = (
            greatest(&self.room, COMPLEMENT_OF_MIN),
            greatest(&self.room, MAX),
        );
        let ends = ends(complement, max);
        StatsSnapshot {
            count: sum_of(COUNT),
            sum: sum_of(SUM),
            min: ends.map(|(min, _)| min),
            max: ends.map(|(_, max)| max),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }
}

impl Default for Stats {
    fn default() -> Stats {
        Stats::new()
    }
}

/// Shows a snapshot.
impl<S: Scope> fmt::Debug for Stats<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stats").field(&self.snapshot()).finish()
    }
}

/// What [`Stats`] held at one time. Snapshots add up: `sum()` over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StatsSnapshot {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least of them.
    pub min: Option<u64>,
    /// The greatest of them.
    pub max: Option<u64>,
    /// Values for which there was no memory, which are in none of the others.
    pub missed: u64,
}

impl StatsSnapshot {
    /// The mean, if there is any value.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

impl Sum for StatsSnapshot {
    fn sum<I: Iterator<Item = StatsSnapshot>>(snapshots: I) -> StatsSnapshot {
        let either = |a: Option<u64>, b, choose: fn(u64, u64) -> u64| match (a, b) {
            (Some(a), Some(b)) => Some(choose(a, b)),
            (one, other) => one.or(other),
        };
        snapshots.fold(StatsSnapshot::default(), |all, one| StatsSnapshot {
            count: all.count.wrapping_add(one.count),
            sum: all.sum.wrapping_add(one.sum),
            min: either(all.min, one.min, u64::min),
            max: either(all.max, one.max, u64::max),
            missed: all.missed.wrapping_add(one.missed),
        })
    }
}

/// Count, mean and the ends.
impl fmt::Display for StatsSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.count)?;
        match (self.min, self.max, self.mean()) {
            (Some(min), Some(max), Some(mean)) => write!(f, ", {min} to {max}, mean {mean:.2}"),
            _ => Ok(()),
        }
    }
}
