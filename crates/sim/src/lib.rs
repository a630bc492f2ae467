//! Schedulers and concurrency-id policies in simulated time.
//!
//! What does a policy for compact concurrency ids cost on a machine with 224 CPUs, or
//! with 8,192? How high do its ids get, and do they stay where their memory is cached?
//! This runs the policies of Linux from 6.3 on, the patches between, and percid's own
//! `Domain` on a simulated scheduler, and counts.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`Machine`] | CPUs in L3 groups in nodes |
//! | [`Kind`] | what the threads do; or a [`Trace`] of a real run |
//! | [`Name`] | the policies |
//! | [`Costs`] | what each step takes: stated, and changeable |
//! | [`Scenario`] | one run of these, from one seed |
//! | [`Report`] | what it was like |
//! | [`lineage`] | all policies beside the published figures |
//!
//! # Example
//!
//! ```
//! use percid_sim::{Kind, Machine, Name, Scenario};
//!
//! let mut scenario = Scenario::new(Machine::flat(16)?, Kind::Roaming);
//! scenario.sizes.duration = 150_000_000;
//! let filled = scenario.run(Name::V6)?;
//! let compact = scenario.run(Name::Strict)?;
//! assert_eq!((filled.ids.highest, compact.ids.highest), (16, 1));
//! # Ok::<(), percid_sim::Error>(())
//! ```
//!
//! # What it is not
//!
//! A model of costs by cache lines, not of a processor; and no check of the machines: a
//! policy's step is done at once, and the interleavings within one are the business of
//! the checker in percid-cid.

mod bill;
mod costs;
mod cpu_set;
mod dice;
mod engine;
mod error;
pub mod lineage;
mod machine;
mod observer;
pub mod policy;
mod report;
mod scenario;
mod stage;
mod trace;
mod workload;
mod world;

pub use bill::{Bill, Line, Lock, Part, Tally, Time};
pub use costs::{Cost, CostError, Costs};
pub use cpu_set::{CpuSet, CpuSetError};
pub use error::Error;
pub use machine::{Distance, MOST_CPUS, Machine, MachineError};
pub use observer::{WINDOW, Window};
pub use policy::Name;
pub use report::{Ids, Report, Shares};
pub use scenario::{MOST_DURATION, MOST_THREADS, Scenario};
pub use trace::{Trace, TraceError, TraceFault};
pub use workload::{Kind, Sizes, Spec, Step, Workload};
pub use world::{NONE, Process, Thread, World};
