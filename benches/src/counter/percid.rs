//! percid's counters, in statics.

use percid::{Counter, Source, arena_stats, backend};

use super::add::Adding;
use super::memory::{COUNTERS, Hoarding};
use super::sum::Summing;
use crate::Error;

static EIGHT: [Counter; 8] = [const { Counter::new() }; 8];

static ONE: Counter = Counter::new();

pub(crate) struct Percid;

impl Adding for Percid {
    const NAME: &'static str = "percid";

    type Way<'a> = ();

    fn new(_: usize) -> Result<Percid, Error> {
        Ok(Percid)
    }

    fn reset(&self) {
        EIGHT.iter().for_each(|counter| _ = counter.take());
    }

    fn way(&self, _: usize) {}

    #[inline(always)]
    fn add<const WHICH: usize>((): ()) {
        EIGHT[WHICH].inc();
    }

    fn total(&self, which: usize) -> u64 {
        EIGHT[which].sum()
    }
}

impl Summing for Percid {
    const NAME: &'static str = "percid";

    fn new(_: usize) -> Result<Percid, Error> {
        Ok(Percid)
    }

    fn reset(&self) {
        let _ = ONE.take();
    }

    fn add(&self, _: usize) {
        ONE.inc();
    }

    fn sum(&self) -> u64 {
        ONE.sum()
    }
}

/// As many as are needed, wherever a program keeps them.
pub(super) struct Many(Vec<Counter>);

impl Many {
    pub(super) fn add_to_all(&self) {
        self.0.iter().for_each(Counter::inc);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(Counter::sum).sum()
    }
}

impl Many {
    /// So many, made one by one.
    pub(super) fn of<E>(count: usize, make: impl Fn() -> Result<Counter, E>) -> Result<Many, E> {
        let mut many = Vec::with_capacity(count);
        for _ in 0..count {
            many.push(make()?);
        }
        Ok(Many(many))
    }
}

pub(super) struct Hoard<const COUNT: usize = COUNTERS>(Many);

impl<const COUNT: usize> Hoarding for Hoard<COUNT> {
    const NAME: &'static str = "percid";

    const COUNT: usize = COUNT;

    type Own = ();

    /// With their places, as a program makes counters while it runs. Counters
    /// that two threads meet for the first time in the same instant cost up to
    /// eight bytes more: the place that the loser gives back has been written to.
    fn new() -> Result<Self, Error> {
        let counters = Many::of(COUNT, Counter::try_new);
        counters.map(Hoard).map_err(|why| Error::Arena {
            implementation: Self::NAME,
            why,
        })
    }

    fn own(&self) {}

    fn add_to_all(&self, (): &()) {
        self.0.add_to_all();
    }

    fn total(&self) -> u64 {
        self.0.total()
    }

    fn total_of(&self, (): &()) -> u64 {
        0
    }

    fn active_ids(&self) -> Option<u32> {
        let sections = backend().source != Source::Thread;
        sections.then(|| arena_stats().cid_stripes)
    }
}
