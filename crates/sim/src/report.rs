//! What a run was like, in numbers.

use serde::Serialize;

use crate::bill::{Part, Tally, Time};
use crate::machine::Machine;
use crate::observer::{Locality, Observer, Window};

/// What a run was like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The workload, or the trace.
    pub workload: String,
    /// The policy.
    pub policy: &'static str,
    /// The machine.
    pub machine: Machine,
    /// Of the workload: the most threads that lived at once in the process whose ids
    /// were looked at.
    pub threads: u32,
    /// The seed; 0 for a trace.
    pub seed: u64,
    /// Simulated time.
    pub duration: Time,
    /// CPU time that was not idle.
    pub busy: Time,
    /// Times that a thread was switched to.
    pub turns: u64,
    /// Counts and times of all processes.
    pub tally: Tally,
    /// What follows from them.
    pub shares: Shares,
    /// The ids of the process.
    pub ids: Ids,
}

/// Shares of the busy time, and counts per switch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shares {
    /// Handling ids, waiting included.
    pub ids: f64,
    /// Waiting for locks of ids, until they are handed over.
    pub lock_wait: f64,
    /// Getting an id at a switch.
    pub get: f64,
    /// Hooks of migrations.
    pub migrate: f64,
    /// Periodic scans.
    pub scan: f64,
    /// What interrupted CPUs lost.
    pub stalled: f64,
    /// Atomic read-modify-writes per switch.
    pub rmws: f64,
    /// Lock acquisitions per switch.
    pub locks: f64,
    /// Full barriers per switch.
    pub barriers: f64,
    /// Barriers across CPUs per switch.
    pub fences: f64,
    /// Nanoseconds for ids per switch.
    pub nanoseconds: f64,
    /// Nanoseconds of getting an id, per thread that was switched to.
    pub nanoseconds_get: f64,
}

/// The ids of one process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ids {
    /// One more than the highest.
    pub highest: u32,
    /// The largest that `min(threads, allowed CPUs)` was.
    pub bound: u32,
    /// Mean of distinct ids in a window of 100 ms.
    pub mean_distinct: f64,
    /// The most ids that were taken at the end of a window.
    pub most_held: u32,
    /// Share of the running time under an id at or above the bound of that moment.
    pub over_bound: f64,
    /// Share of the running time without an id.
    pub without: f64,
    /// Share of turns under an id whose last CPU is the same.
    pub same_cpu: f64,
    /// The same for L3 groups.
    pub same_l3: f64,
    /// As `same_cpu`, of threads that come back after 100 ms or more.
    pub same_cpu_after_pause: f64,
    /// The same for L3 groups.
    pub same_l3_after_pause: f64,
    /// Times that a thread came back after such a pause.
    pub pauses: u64,
    /// The windows.
    pub windows: Vec<Window>,
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

impl Shares {
    pub(crate) fn new(tally: &Tally, busy: Time, turns: u64) -> Shares {
        let per_switch = |count| share(count, tally.switches);
        Shares {
            ids: share(tally.id_time(), busy),
            lock_wait: share(tally.lock_wait, busy),
            get: share(tally.of(Part::Get), busy),
            migrate: share(tally.of(Part::Migrate), busy),
            scan: share(tally.of(Part::Scan), busy),
            stalled: share(tally.stalled, busy),
            rmws: per_switch(tally.rmws),
            locks: per_switch(tally.locks),
            barriers: per_switch(tally.barriers),
            fences: per_switch(tally.fences),
            nanoseconds: per_switch(tally.id_time()),
            nanoseconds_get: share(tally.of(Part::Get), turns),
        }
    }
}

impl Ids {
    pub(crate) fn new(observer: &Observer) -> Ids {
        let windows = observer.windows.clone();
        let distinct: u64 = windows.iter().map(|it| u64::from(it.distinct)).sum();
        let of = |locality: Locality, same: u64| share(same, locality.times);
        let (all, paused) = (observer.locality, observer.after_pause);
        Ids {
            highest: observer.highest.map_or(0, |id| id + 1),
            bound: observer.highest_bound,
            mean_distinct: share(distinct, windows.len() as u64),
            most_held: windows.iter().map(|it| it.held).max().unwrap_or(0),
            over_bound: share(observer.over, observer.ran_for),
            without: share(observer.without, observer.ran_for),
            same_cpu: of(all, all.same_cpu),
            same_l3: of(all, all.same_l3),
            same_cpu_after_pause: of(paused, paused.same_cpu),
            same_l3_after_pause: of(paused, paused.same_l3),
            pauses: paused.times,
            windows,
        }
    }
}
