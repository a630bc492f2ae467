//! The workloads of percid beside their peers, and how they are measured: shared
//! by the `percid` program and the criterion benches.
//!
//! | part | its one idea |
//! | --- | --- |
//! | [`suite`] | suites, cases, implementations; what a workload is |
//! | [`measure`] | verified first, then timed in turns |
//! | [`plan`] | which measurements make up a run |
//! | [`record`] | a run as JSON |
//! | [`compare`] | the ratios that sum a run up |
//! | [`machine`] | what the figures depend on |
//! | [`counter`] | the counter and its peers |
//! | [`metrics`] | histograms, gauges, labels and shared files |
//! | [`section`] | single operations in sections |
//! | [`reclaim`] | reading what others replace, beside other ways to reclaim |
//! | [`refs`] | references by cid and `Arc` |
//! | [`lock`] | locks in objects, and where they are placed |
//! | [`cid`] | the kernel's ids and a domain's |
//! | [`pool`] | pools and allocators |
//!
//! A further suite is a folder beside `counter`: one trait for each of its
//! workloads, one file for each peer, and a line in [`suite::SUITES`]; the program,
//! its report and the tests find it there. Its criterion bench is a file of three
//! lines, as `benches/benches/counter.rs` is, and its entry in `Cargo.toml`.

pub mod cid;
pub mod compare;
pub mod counter;
pub mod cpus;
mod error;
pub mod lock;
pub mod machine;
pub mod measure;
pub mod metrics;
pub mod plan;
pub mod pool;
pub mod reclaim;
pub mod record;
pub mod refs;
mod resident;
pub mod section;
pub mod suite;
mod tally;
mod team;

pub use error::Error;
