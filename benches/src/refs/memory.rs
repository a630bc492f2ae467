//! Resident memory of many references.
//!
//! What is measured is what counting takes beside the objects that are counted: the
//! objects themselves, with the 32 bytes of each `Ref` that stands in them, and the word
//! that each `Arc` holds, are taken off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use percid::{Ref, Source, arena_stats, backend};

use crate::Error;
use crate::counter::memory::{self, COUNTERS, Hoarding};
use crate::suite::Fresh;

pub(super) use crate::counter::memory::THREADS;

/// Many of percid's.
pub(super) const PERCID: Fresh = Fresh {
    name: Refs::NAME,
    measure: || Ok(memory::measure::<Refs>()? - size_of::<Ref>() as f64),
};

/// Many of `Arc`'s.
pub(super) const ARC: Fresh = Fresh {
    name: Arcs::NAME,
    measure: || Ok(memory::measure::<Arcs>()? - size_of::<u64>() as f64),
};

static RELEASES: AtomicU64 = AtomicU64::new(0);

fn released() {
    RELEASES.fetch_add(1, Ordering::Relaxed);
}

/// As a table of objects would hold them.
struct Refs(Vec<Ref>);

impl Hoarding for Refs {
    const NAME: &'static str = "percid";

    type Own = ();

    fn new() -> Result<Refs, Error> {
        Ok(Refs(
            (0..COUNTERS).map(|_| Ref::new(released as fn())).collect(),
        ))
    }

    fn own(&self) {}

    fn add_to_all(&self, (): &()) {
        self.0.iter().for_each(Ref::get);
    }

    /// References that were got: each count is ended, and put until it is released.
    fn total(&self) -> u64 {
        let mut got = 0;
        for count in &self.0 {
            if count.kill().is_err() {
                return 0;
            }
            while !count.is_zero() {
                count.put();
                got += 1;
            }
        }
        let all = RELEASES.load(Ordering::Relaxed) == COUNTERS as u64;
        if all { got } else { 0 }
    }

    fn total_of(&self, (): &()) -> u64 {
        0
    }

    fn active_ids(&self) -> Option<u32> {
        let sections = backend().source != Source::Thread;
        sections.then(|| arena_stats().cid_stripes)
    }
}

/// Each in an allocation of its own, with its object.
struct Arcs(Vec<Arc<u64>>);

impl Hoarding for Arcs {
    const NAME: &'static str = "arc";

    type Own = ();

    fn new() -> Result<Arcs, Error> {
        Ok(Arcs((0..COUNTERS).map(|_| Arc::new(0)).collect()))
    }

    fn own(&self) {}

    fn add_to_all(&self, (): &()) {
        for one in &self.0 {
            std::mem::forget(Arc::clone(one));
        }
    }

    fn total(&self) -> u64 {
        let counts = self.0.iter().map(|one| Arc::strong_count(one) as u64 - 1);
        counts.sum()
    }

    fn total_of(&self, (): &()) -> u64 {
        0
    }
}
