//! percid's counters in OpenTelemetry, by callbacks: the library needs to know nothing of
//! it, and counting costs what it costs without.
//!
//! ```text
//! cargo run --release --example opentelemetry
//! ```
//!
//! The idea to take home: an observable instrument asks when a reader collects, and a sum
//! is cheap then. No instrument is touched when something is counted.

use std::process::ExitCode;
use std::thread;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use percid::{Counter, Family, Gauge};

static JOBS: Family<&str, Counter> = Family::new();
static RUNNING: Gauge = Gauge::new();

/// Registers the metrics; they are asked whenever the provider's reader collects.
fn observe(provider: &SdkMeterProvider) {
    let meter = provider.meter("jobs");
    meter
        .u64_observable_counter("jobs.done")
        .with_description("Jobs that have ended")
        .with_callback(|observer| {
            for (kind, done) in &JOBS {
                observer.observe(done.sum(), &[KeyValue::new("kind", *kind)]);
            }
        })
        .build();
    meter
        .i64_observable_up_down_counter("jobs.running")
        .with_callback(|observer| observer.observe(RUNNING.sum(), &[]))
        .build();
}

fn work(threads: usize, jobs: u64) {
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                RUNNING.inc();
                for job in 0..jobs {
                    let kind = if job % 4 == 0 { "write" } else { "read" };
                    JOBS.get_or_create(&kind).inc();
                }
                RUNNING.dec();
            });
        }
    });
}

/// The points of all sums that were exported last, by name and attributes.
fn exported(exporter: &InMemoryMetricExporter) -> Result<Vec<(String, i128)>, OTelSdkError> {
    let mut points = Vec::new();
    for resource in exporter.get_finished_metrics()?.into_iter().rev().take(1) {
        let metrics = resource.scope_metrics().flat_map(|scope| scope.metrics());
        for metric in metrics {
            let mut point = |attributes: Vec<String>, value: i128| {
                points.push((format!("{}{}", metric.name(), attributes.concat()), value));
            };
            let text = |one: &KeyValue| format!(" {}={}", one.key, one.value);
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => sum.data_points().for_each(|one| {
                    point(one.attributes().map(text).collect(), one.value().into())
                }),
                AggregatedMetrics::I64(MetricData::Sum(sum)) => sum.data_points().for_each(|one| {
                    point(one.attributes().map(text).collect(), one.value().into())
                }),
                _ => {}
            }
        }
    }
    points.sort();
    Ok(points)
}

fn run(threads: usize, jobs: u64) -> Result<Vec<(String, i128)>, OTelSdkError> {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter.clone()).build())
        .build();
    observe(&provider);
    work(threads, jobs);
    provider.force_flush()?;
    let points = exported(&exporter)?;
    provider.shutdown()?;
    Ok(points)
}

fn main() -> ExitCode {
    match run(4, 100_000) {
        Ok(points) => {
            points
                .iter()
                .for_each(|(name, value)| println!("{name}: {value}"));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("opentelemetry: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_what_was_counted() {
        let points = run(3, 400).unwrap();
        let due = [
            ("jobs.done kind=read", 900),
            ("jobs.done kind=write", 300),
            ("jobs.running", 0),
        ];
        assert_eq!(points, due.map(|(name, value)| (name.to_owned(), value)));
    }
}
