//! One atomic for all threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::add::Adding;
use super::memory::{COUNTERS, Hoarding};
use super::sum::Summing;
use crate::Error;

const NAME: &str = "atomic_shared";

type Eight = [CachePadded<AtomicU64>; 8];

/// Each on a line of its own, or eight counters would be as slow as one.
#[derive(Default)]
pub(super) struct AtomicShared {
    counters: Eight,
}

impl AtomicShared {
    fn reset(&self) {
        let counters = self.counters.iter();
        counters.for_each(|one| one.store(0, Ordering::Relaxed));
    }
}

impl Adding for AtomicShared {
    const NAME: &'static str = NAME;

    type Way<'a> = &'a Eight;

    fn new(_: usize) -> Result<AtomicShared, Error> {
        Ok(AtomicShared::default())
    }

    fn reset(&self) {
        AtomicShared::reset(self);
    }

    fn way(&self, _: usize) -> &Eight {
        &self.counters
    }

    #[inline(always)]
    fn add<const WHICH: usize>(counters: &Eight) {
        counters[WHICH].fetch_add(1, Ordering::Relaxed);
    }

    fn total(&self, which: usize) -> u64 {
        self.counters[which].load(Ordering::Relaxed)
    }
}

impl Summing for AtomicShared {
    const NAME: &'static str = NAME;

    fn new(_: usize) -> Result<AtomicShared, Error> {
        Ok(AtomicShared::default())
    }

    fn reset(&self) {
        AtomicShared::reset(self);
    }

    fn add(&self, _: usize) {
        self.counters[0].fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.counters[0].load(Ordering::Relaxed)
    }
}

/// Packed: padding would cost memory, and here that is what counts.
pub(super) struct Hoard<const COUNT: usize = COUNTERS>(Vec<AtomicU64>);

impl<const COUNT: usize> Hoarding for Hoard<COUNT> {
    const NAME: &'static str = NAME;

    const COUNT: usize = COUNT;

    type Own = ();

    fn new() -> Result<Self, Error> {
        let mut counters = Vec::with_capacity(COUNT);
        counters.resize_with(COUNT, AtomicU64::default);
        Ok(Hoard(counters))
    }

    fn own(&self) {}

    fn add_to_all(&self, (): &()) {
        for counter in &self.0 {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn total(&self) -> u64 {
        let counters = self.0.iter();
        counters.map(|one| one.load(Ordering::Relaxed)).sum()
    }

    fn total_of(&self, (): &()) -> u64 {
        0
    }
}
