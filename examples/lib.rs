//! The examples of percid are the programs beside this file:
//!
//! | program | its one idea |
//! | --- | --- |
//! | `metrics_server` | an HTTP server whose metrics are statics, scraped under load |
//! | `opentelemetry` | counters that OpenTelemetry asks by callbacks |
//! | `requests` | static counters that any thread adds to, checked against a sequential pass |
//!
//! Run one with `cargo run --release --example NAME`.
