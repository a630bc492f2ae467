//! Metrics of the crate `prometheus-client` (feature `prometheus-client`).
//!
//! Counters, gauges, histograms and families go into a `Registry` as they are, and
//! statics by reference:
//!
//! ```
//! use percid::{Counter, Histogram};
//! use prometheus_client::registry::Registry;
//!
//! static REQUESTS: Counter = Counter::new();
//! static BYTES: Histogram = Histogram::up_to(1 << 20);
//!
//! let mut registry = Registry::default();
//! registry.register("requests", "Requests served", &REQUESTS);
//! registry.register("bytes", "Sizes of bodies", &BYTES);
//! REQUESTS.inc();
//! BYTES.record(100);
//!
//! let mut text = String::new();
//! prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
//! assert!(text.contains("requests_total 1"));
//! assert!(text.contains("bytes_count 1"));
//! ```
//!
//! That crate's own counters return the value before an addition. A sharded counter does
//! not know it, so its traits for storage are not implemented here.
//!
//! A histogram shows a bucket for each power of two up to its highest value, and the sum
//! that its buckets say, which is at most 1/64 off.

use core::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::scope::Scope;
use crate::{Counter, Family, Gauge, Histogram};

/// For the type and for references to statics.
macro_rules! metric {
    ($metric:ident, $type:ident, |$self:ident, $encoder:ident| $encode:expr) => {
        impl<S: Scope> EncodeMetric for $metric<S> {
            fn encode(&self, mut $encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
                let $self = self;
                $encode
            }

            fn metric_type(&self) -> MetricType {
                MetricType::$type
            }
        }

        impl<S: Scope> TypedMetric for $metric<S> {
            const TYPE: MetricType = MetricType::$type;
        }

        impl<S: Scope> EncodeMetric for &$metric<S> {
            fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
                (**self).encode(encoder)
            }

            fn metric_type(&self) -> MetricType {
                MetricType::$type
            }
        }
    };
}

metric!(Counter, Counter, |counter, encoder| encoder
    .encode_counter::<NoLabelSet, u64, u64>(&counter.sum(), None));

metric!(Gauge, Gauge, |gauge, encoder| encoder
    .encode_gauge(&gauge.sum()));

metric!(Histogram, Histogram, |histogram, encoder| {
    let seen = histogram.snapshot();
    // The ends of octaves are ends of buckets, so these counts are exact.
    let mut before = 0;
    let ends = (0..64).map(|octave| (1_u64 << octave) - 1 + (1_u64 << octave));
    let ends = ends.take_while(|&end| end < histogram.highest());
    let mut buckets: Vec<(f64, u64)> = ends
        .chain([histogram.highest()])
        .map(|end| {
            let up_to = seen.count_up_to(end);
            let count = up_to - before;
            before = up_to;
            (end as f64, count)
        })
        .collect();
    buckets.push((f64::INFINITY, seen.above()));
    encoder.encode_histogram::<NoLabelSet>(seen.sum(), seen.count(), &buckets, None)
});

impl<L, M, C> EncodeMetric for Family<L, M, C>
where
    L: EncodeLabelSet,
    M: EncodeMetric + TypedMetric,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (labels, metric) in self {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        Family::is_empty(self)
    }
}

impl<L, M: TypedMetric, C> TypedMetric for Family<L, M, C> {
    const TYPE: MetricType = M::TYPE;
}

impl<L, M, C> EncodeMetric for &Family<L, M, C>
where
    L: EncodeLabelSet,
    M: EncodeMetric + TypedMetric,
{
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        (**self).encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        Family::is_empty(self)
    }
}
