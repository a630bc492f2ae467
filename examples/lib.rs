//! The examples of percid are the programs beside this file:
//!
//! | program | its one idea |
//! | --- | --- |
//! | `metrics_server` | an HTTP server whose metrics are statics, scraped under load |
//! | `opentelemetry` | counters that OpenTelemetry asks by callbacks |
//! | `connections` | a server whose connections keep their configuration, and which ends when they have |
//! | `allocator` | a global allocator on pools: this repository's benchmarks run on it |
//! | `requests` | static counters that any thread adds to, checked against a sequential pass |
//! | `stack` | Treiber's stack: a guard makes compare-and-exchange on pointers right |
//! | `queue` | the queue of Michael and Scott: both ends may look at a node that is gone |
//! | `map` | a hash map whose buckets are replaced, without a line that is unsafe |
//! | `routes` | a table swapped under threads, and under tasks that wait inside their guards |
//! | `tenants` | settings that requests lease without counting, and that go when they are replaced |
//!
//! Run one with `cargo run --release --example NAME`.
