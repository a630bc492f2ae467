//! The examples of percid are the programs beside this file:
//!
//! | program | its one idea |
//! | --- | --- |
//! | `requests` | static counters that any thread adds to, checked against a sequential pass |
//!
//! Run one with `cargo run --release --example NAME`.
