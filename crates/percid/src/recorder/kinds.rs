//! What the handles of the crate `metrics` record into.

use core::sync::atomic::{AtomicU64, Ordering};

use metrics::{CounterFn, GaugeFn, HistogramFn};

use crate::{Counter, Gauge, Histogram, HistogramSnapshot};

/// Units of a histogram in one of its values.
pub(super) const BILLION: f64 = 1e9;

#[derive(Default)]
pub(super) struct SharedCounter {
    added: Counter,
    absolute: AtomicU64,
}

impl SharedCounter {
    pub(super) fn sum(&self) -> u64 {
        let absolute = self.absolute.load(Ordering::Relaxed);
        self.added.sum().wrapping_add(absolute)
    }
}

impl CounterFn for SharedCounter {
    #[inline]
    fn increment(&self, value: u64) {
        self.added.add(value);
    }

    // Ordering: Relaxed. A count publishes nothing.
    fn absolute(&self, value: u64) {
        self.absolute.fetch_max(value, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(super) struct SharedGauge {
    whole: Gauge,
    /// The bits of what was set, and of the parts that were added.
    base: AtomicU64,
}

/// Numbers up to this are exact as a float, and so are sums of a few.
const EXACT: f64 = (1_u64 << 52) as f64;

impl SharedGauge {
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.base.load(Ordering::Relaxed)) + self.whole.sum() as f64
    }

    fn add(&self, n: f64) {
        if n.trunc() == n && n.abs() <= EXACT {
            return self.whole.add(n as i64);
        }
        // Ordering: Relaxed. The number publishes nothing but itself.
        let added = |bits| Some((f64::from_bits(bits) + n).to_bits());
        let _ = self
            .base
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }
}

impl GaugeFn for SharedGauge {
    #[inline]
    fn increment(&self, value: f64) {
        self.add(value);
    }

    #[inline]
    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.whole.set(0);
        self.base.store(value.to_bits(), Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(super) struct SharedHistogram {
    billionths: Histogram,
    /// Values that are no place on the scale.
    off_scale: AtomicU64,
}

impl SharedHistogram {
    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        let off_scale = self.off_scale.load(Ordering::Relaxed);
        self.billionths.snapshot().with_missed(off_scale)
    }

    fn miss(&self, times: u64) {
        self.off_scale.fetch_add(times, Ordering::Relaxed);
    }
}

impl HistogramFn for SharedHistogram {
    #[inline]
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    #[inline]
    fn record_many(&self, value: f64, count: usize) {
        // Not a number is not in it either.
        if value >= 0.0 {
            // What is too much becomes the greatest number.
            self.billionths
                .record_many((value * BILLION).round() as u64, count as u64);
        } else {
            self.miss(count as u64);
        }
    }
}
