//! An atomic for each thread, on a cache line of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::add::Adding;
use super::memory::{COUNTERS, Hoarding};
use super::sum::Summing;
use crate::Error;

const NAME: &str = "atomic_padded";

type Eight = [CachePadded<AtomicU64>; 8];

/// One shard for each thread.
pub(super) struct AtomicPadded {
    shards: Vec<Eight>,
}

impl AtomicPadded {
    fn reset(&self) {
        let counters = self.shards.iter().flatten();
        counters.for_each(|one| one.store(0, Ordering::Relaxed));
    }

    fn total(&self, which: usize) -> u64 {
        let shards = self.shards.iter();
        shards
            .map(|eight| eight[which].load(Ordering::Relaxed))
            .sum()
    }
}

impl Adding for AtomicPadded {
    const NAME: &'static str = NAME;

    type Way<'a> = &'a Eight;

    fn new(threads: usize) -> Result<AtomicPadded, Error> {
        let shards = (0..threads).map(|_| Eight::default()).collect();
        Ok(AtomicPadded { shards })
    }

    fn reset(&self) {
        AtomicPadded::reset(self);
    }

    fn way(&self, thread: usize) -> &Eight {
        &self.shards[thread]
    }

    #[inline(always)]
    fn add<const WHICH: usize>(shard: &Eight) {
        shard[WHICH].fetch_add(1, Ordering::Relaxed);
    }

    fn total(&self, which: usize) -> u64 {
        AtomicPadded::total(self, which)
    }
}

impl Summing for AtomicPadded {
    const NAME: &'static str = NAME;

    fn new(threads: usize) -> Result<AtomicPadded, Error> {
        Adding::new(threads)
    }

    fn reset(&self) {
        AtomicPadded::reset(self);
    }

    fn add(&self, thread: usize) {
        self.shards[thread][0].fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        AtomicPadded::total(self, 0)
    }
}

pub(super) struct Hoard;

impl Hoarding for Hoard {
    const NAME: &'static str = NAME;

    type Own = Vec<CachePadded<AtomicU64>>;

    fn new() -> Result<Hoard, Error> {
        Ok(Hoard)
    }

    fn own(&self) -> Self::Own {
        let mut shard = Vec::with_capacity(COUNTERS);
        shard.resize_with(COUNTERS, Default::default);
        shard
    }

    fn add_to_all(&self, shard: &Self::Own) {
        for counter in shard {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn total(&self) -> u64 {
        0
    }

    fn total_of(&self, shard: &Self::Own) -> u64 {
        shard.iter().map(|one| one.load(Ordering::Relaxed)).sum()
    }
}
