//! What a histogram held at one time.

use alloc::vec::Vec;
use core::fmt;
use core::iter::Sum;
use core::ops::AddAssign;

/// Values of a histogram that are not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bucket {
    /// The lowest of them.
    pub low: u64,
    /// The highest of them.
    pub high: u64,
    /// How often one was recorded.
    pub count: u64,
}

impl Bucket {
    /// What stands for all values of the bucket: at most 1/64 away from each.
    #[must_use]
    pub fn middle(&self) -> u64 {
        self.low + (self.high - self.low) / 2
    }
}

/// What a [`Histogram`](crate::Histogram) held at one time.
///
/// ```
/// use percid::Histogram;
///
/// let latencies = Histogram::new();
/// (1..=100).for_each(|microseconds| latencies.record(microseconds));
/// let now = latencies.snapshot();
/// assert_eq!(now.count(), 100);
/// println!("half of them within {:?} us", now.quantile(0.5));
/// for bucket in now.buckets() {
///     println!("{} to {} us: {}", bucket.low, bucket.high, bucket.count);
/// }
/// ```
///
/// Snapshots add up: `a += &b`, or `sum()` over several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HistogramSnapshot {
    buckets: Vec<Bucket>,
    above: u64,
    missed: u64,
}

impl HistogramSnapshot {
    pub(super) fn new(buckets: Vec<Bucket>, above: u64, missed: u64) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets,
            above,
            missed,
        }
    }

    /// The same with so many more records missed.
    #[cfg(feature = "metrics")]
    pub(crate) fn with_missed(mut self, more: u64) -> HistogramSnapshot {
        self.missed = self.missed.wrapping_add(more);
        self
    }

    /// The buckets that hold something, by value.
    #[must_use]
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Records above the highest value that has a bucket.
    #[must_use]
    pub fn above(&self) -> u64 {
        self.above
    }

    /// Records for which there was no memory.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Records in buckets and above them.
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.buckets.iter().map(|bucket| bucket.count);
        counts.fold(self.above, u64::wrapping_add)
    }

    /// The sum of the values in buckets: at most 1/64 off.
    #[must_use]
    pub fn sum(&self) -> f64 {
        let sums = self
            .buckets
            .iter()
            .map(|one| one.middle() as f64 * one.count as f64);
        sums.sum()
    }

    /// The mean of the values in buckets; `None` if there are none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count().wrapping_sub(self.above);
        (count > 0).then(|| self.sum() / count as f64)
    }

    /// The value that a share of all records, from 0 to 1, does not exceed: at most 1/64
    /// off. `None` if there are none, or if that one is above all buckets.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        let exact = share.clamp(0.0, 1.0) * count as f64;
        // Rounded up: the method is not in core.
        let rank = exact as u64 + u64::from(exact as u64 as f64 != exact);
        let rank = rank.max(1);
        let mut seen = 0_u64;
        let found = self.buckets.iter().find(|bucket| {
            seen = seen.wrapping_add(bucket.count);
            seen >= rank
        });
        found.map(Bucket::middle)
    }

    /// The lowest value recorded; at most 1/64 off.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        self.buckets.first().map(Bucket::middle)
    }

    /// The highest value recorded that has a bucket; at most 1/64 off.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.buckets.last().map(Bucket::middle)
    }

    /// How many records were of values up to `value`; those of its own bucket count in
    /// full.
    #[must_use]
    pub fn count_up_to(&self, value: u64) -> u64 {
        let counts = self.buckets.iter().take_while(|bucket| bucket.low <= value);
        counts.map(|bucket| bucket.count).fold(0, u64::wrapping_add)
    }

    /// The same as a histogram of the crate `hdrhistogram`, with as many significant
    /// digits: each bucket as its middle. What is above all buckets is left out.
    ///
    /// # Errors
    ///
    /// If it cannot be made with so many digits.
    #[cfg(feature = "hdrhistogram")]
    pub fn to_hdr(
        &self,
        significant_digits: u8,
    ) -> Result<hdrhistogram::Histogram<u64>, hdrhistogram::CreationError> {
        // It needs two values at the least.
        let highest = self.max().unwrap_or(0).max(2);
        let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, highest, significant_digits)?;
        for bucket in &self.buckets {
            hdr.saturating_record_n(bucket.middle(), bucket.count);
        }
        Ok(hdr)
    }
}

impl AddAssign<&HistogramSnapshot> for HistogramSnapshot {
    fn add_assign(&mut self, other: &HistogramSnapshot) {
        let (ours, theirs) = (core::mem::take(&mut self.buckets), &other.buckets);
        let mut all: Vec<Bucket> = ours.into_iter().chain(theirs.iter().copied()).collect();
        all.sort_by_key(|bucket| bucket.low);
        all.dedup_by(|next, kept| {
            let same = next.low == kept.low;
            if same {
                kept.count = kept.count.wrapping_add(next.count);
            }
            same
        });
        self.buckets = all;
        self.above = self.above.wrapping_add(other.above);
        self.missed = self.missed.wrapping_add(other.missed);
    }
}

impl<'a> Sum<&'a HistogramSnapshot> for HistogramSnapshot {
    fn sum<I: Iterator<Item = &'a HistogramSnapshot>>(snapshots: I) -> HistogramSnapshot {
        let mut sum = HistogramSnapshot::default();
        snapshots.for_each(|one| sum += one);
        sum
    }
}

impl Sum for HistogramSnapshot {
    fn sum<I: Iterator<Item = HistogramSnapshot>>(snapshots: I) -> HistogramSnapshot {
        let mut sum = HistogramSnapshot::default();
        snapshots.for_each(|one| sum += &one);
        sum
    }
}

/// Count, median, and the ends.
impl fmt::Display for HistogramSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.count())?;
        if let (Some(min), Some(median), Some(p99), Some(max)) = (
            self.min(),
            self.quantile(0.5),
            self.quantile(0.99),
            self.max(),
        ) {
            write!(f, ", {min} to {max}, half up to {median}, 99 % up to {p99}")?;
        }
        match self.above {
            0 => Ok(()),
            above => write!(f, ", {above} above"),
        }
    }
}
