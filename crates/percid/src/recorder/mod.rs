//! A recorder for the crate `metrics` (feature `metrics`).

mod kinds;

use core::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Key, KeyName, Metadata, SharedString, Unit};

use self::kinds::{SharedCounter, SharedGauge, SharedHistogram};
use crate::{Family, HistogramSnapshot};

/// Keeps what `counter!`, `gauge!` and `histogram!` record, in percid's metrics.
///
/// ```
/// use percid::{Recorder, Value};
///
/// let recorder = Recorder::new();
/// // A program calls `metrics::set_global_recorder(recorder.clone())`, once.
/// metrics::with_local_recorder(&recorder, || {
///     metrics::counter!("requests", "method" => "GET").increment(2);
///     metrics::gauge!("connections").set(5.0);
///     metrics::histogram!("latency").record(0.25);
/// });
/// for metric in recorder.snapshot() {
///     match metric.value {
///         Value::Counter(total) => assert_eq!((metric.name.as_str(), total), ("requests", 2)),
///         Value::Gauge(value) => assert_eq!(value, 5.0),
///         Value::Histogram(seen) => assert_eq!(seen.count(), 1),
///     }
/// }
/// ```
///
/// # Cost
///
/// Through a handle that the program keeps, as `metrics` recommends: a virtual call, and
/// what the metric costs. A counter's `increment` and a gauge's whole numbers are one
/// section, a histogram's `record` is one section and a conversion. Looking a metric up by
/// its key costs what a [`Family`] does.
///
/// # Shapes and units
///
/// Histograms keep values in billionths, from 0 up to 18 thousand millions, each at most
/// 1/64 off, or half a billionth; a snapshot gives billionths. What is negative or no
/// number is counted as [`missed`](HistogramSnapshot::missed) in its snapshot.
///
/// A gauge is a base that `set` replaces, and whole numbers beside it that threads add:
/// parts of a number go to the base, by a compare-exchange. An addition that runs at the
/// same time as `set` is forgotten or counts on top.
///
/// A counter's `absolute` keeps the greatest value given and adds what was incremented; a
/// counter is given one or the other.
///
/// Registering a metric again gives the same one. One name may be a counter and a gauge;
/// they are two metrics.
///
/// # Fork and signals
///
/// Recording through a handle may be done in a signal handler. A child of `fork` goes on
/// with its parent's metrics.
#[derive(Clone, Default)]
pub struct Recorder {
    inside: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    counters: Family<Key, Arc<SharedCounter>>,
    gauges: Family<Key, Arc<SharedGauge>>,
    histograms: Family<Key, Arc<SharedHistogram>>,
    descriptions: Mutex<Vec<Description>>,
}

/// What a program has said of metrics of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The name.
    pub name: String,
    /// The unit, by its name in `metrics`.
    pub unit: Option<&'static str>,
    /// In words.
    pub text: String,
}

/// A metric and its value.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its labels, in the order in which they were given.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: Value,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Value {
    /// Of a counter.
    Counter(u64),
    /// Of a gauge.
    Gauge(f64),
    /// Of a histogram, in billionths.
    Histogram(HistogramSnapshot),
}

impl Recorder {
    /// A recorder without metrics. Its clones are the same recorder.
    #[must_use]
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// All metrics and their values, by name and labels.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Metric> {
        let inside = &self.inside;
        let counters = inside
            .counters
            .iter()
            .map(|(key, one)| (key, Value::Counter(one.sum())));
        let gauges = inside
            .gauges
            .iter()
            .map(|(key, one)| (key, Value::Gauge(one.value())));
        let histograms = inside.histograms.iter();
        let histograms = histograms.map(|(key, one)| (key, Value::Histogram(one.snapshot())));
        let all = counters.chain(gauges).chain(histograms);
        let mut metrics: Vec<Metric> = all
            .map(|(key, value)| Metric {
                name: key.name().to_owned(),
                labels: key
                    .labels()
                    .map(|label| (label.key().to_owned(), label.value().to_owned()))
                    .collect(),
                value,
            })
            .collect();
        metrics.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        metrics
    }

    /// What was said of metrics, in the order in which it first was.
    #[must_use]
    pub fn descriptions(&self) -> Vec<Description> {
        self.inside.descriptions().clone()
    }

    fn describe(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        let description = Description {
            name: name.as_str().to_owned(),
            unit: unit.map(|unit| unit.as_str()),
            text: text.into_owned(),
        };
        let mut all = self.inside.descriptions();
        match all.iter_mut().find(|known| known.name == description.name) {
            Some(known) => *known = description,
            None => all.push(description),
        }
    }
}

impl Inside {
    fn descriptions(&self) -> std::sync::MutexGuard<'_, Vec<Description>> {
        // A list of texts is whole whenever somebody panics.
        self.descriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(key, unit, description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(Arc::clone(self.inside.counters.get_or_create(key)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(Arc::clone(self.inside.gauges.get_or_create(key)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::from_arc(Arc::clone(self.inside.histograms.get_or_create(key)))
    }
}

/// Shows how many metrics there are.
impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("counters", &self.inside.counters.len())
            .field("gauges", &self.inside.gauges.len())
            .field("histograms", &self.inside.histograms.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, describe_counter, gauge, histogram, with_local_recorder};

    use super::kinds::BILLION;
    use super::*;

    fn value(recorder: &Recorder, name: &str) -> Value {
        let metrics = recorder.snapshot();
        let mut found = metrics.into_iter().filter(|metric| metric.name == name);
        let one = found.next().expect("a metric of that name");
        assert!(found.next().is_none(), "{name} twice");
        one.value
    }

    #[test]
    fn a_metric_that_is_registered_twice_is_one() {
        let recorder = Recorder::new();
        with_local_recorder(&recorder, || {
            let first = counter!("hits", "zone" => "a");
            let again = counter!("hits", "zone" => "a");
            let other = counter!("hits", "zone" => "b");
            first.increment(1);
            again.increment(2);
            other.increment(10);
        });
        let values: Vec<_> = recorder
            .snapshot()
            .into_iter()
            .map(|one| one.value)
            .collect();
        assert_eq!(values, [Value::Counter(3), Value::Counter(10)]);
    }

    #[test]
    fn gauges_are_set_raised_and_lowered_by_anything() {
        let recorder = Recorder::new();
        with_local_recorder(&recorder, || {
            let one = gauge!("level");
            one.increment(3.0);
            one.decrement(1.0);
            assert_eq!(value(&recorder, "level"), Value::Gauge(2.0));
            one.set(3.75);
            one.increment(1.0);
            one.decrement(0.25);
            assert_eq!(value(&recorder, "level"), Value::Gauge(4.5));
            one.set(-1e300);
            assert_eq!(value(&recorder, "level"), Value::Gauge(-1e300));
            one.set(0);
            one.decrement(2.0);
            assert_eq!(value(&recorder, "level"), Value::Gauge(-2.0));
        });
    }

    #[test]
    fn counters_take_absolute_values() {
        let recorder = Recorder::new();
        with_local_recorder(&recorder, || {
            let mirrored = counter!("mirrored");
            [10, 30, 20]
                .into_iter()
                .for_each(|seen| mirrored.absolute(seen));
            assert_eq!(value(&recorder, "mirrored"), Value::Counter(30));
        });
    }

    #[test]
    fn histograms_keep_fractions_and_count_what_is_off_scale() {
        let recorder = Recorder::new();
        with_local_recorder(&recorder, || {
            let latency = histogram!("latency");
            for seconds in [0.001, 0.002, 0.004, 1e30] {
                latency.record(seconds);
            }
            latency.record_many(0.002, 10);
            for off in [f64::NAN, -1.0, f64::NEG_INFINITY] {
                latency.record(off);
            }
            let Value::Histogram(seen) = value(&recorder, "latency") else {
                panic!("a histogram");
            };
            assert_eq!((seen.count(), seen.missed()), (14, 3));
            let median = seen.quantile(0.5).unwrap() as f64 / BILLION;
            assert!((median - 0.002).abs() <= 0.002 / 64.0, "{median}");
        });
    }

    #[test]
    fn the_last_description_stands() {
        let recorder = Recorder::new();
        with_local_recorder(&recorder, || {
            describe_counter!("hits", "once");
            describe_counter!("hits", Unit::Count, "twice");
        });
        let all = recorder.descriptions();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].text.as_str(), all[0].unit),
            ("twice", Some("count"))
        );
    }
}
