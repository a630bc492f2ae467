//! percid's counters without sections: what every other kernel gets.

use percid::Counter;

use super::add::Adding;
use super::memory::{COUNTERS, Hoarding};
use super::percid::Many;
use super::sum::Summing;
use crate::Error;

const NAME: &str = "percid_fallback";

fn counter() -> Result<Counter, Error> {
    Counter::try_on_fallback().map_err(|why| Error::Arena {
        implementation: NAME,
        why,
    })
}

pub(super) struct PercidFallback {
    counters: Vec<Counter>,
}

impl PercidFallback {
    fn with(counters: usize) -> Result<PercidFallback, Error> {
        let counters = (0..counters).map(|_| counter()).collect::<Result<_, _>>()?;
        Ok(PercidFallback { counters })
    }

    fn reset(&self) {
        self.counters.iter().for_each(|counter| _ = counter.take());
    }
}

impl Adding for PercidFallback {
    const NAME: &'static str = NAME;

    type Way<'a> = &'a [Counter; 8];

    fn new(_: usize) -> Result<PercidFallback, Error> {
        PercidFallback::with(8)
    }

    fn reset(&self) {
        PercidFallback::reset(self);
    }

    fn way(&self, _: usize) -> &[Counter; 8] {
        self.counters.first_chunk().expect("made with eight")
    }

    #[inline(always)]
    fn add<const WHICH: usize>(eight: &[Counter; 8]) {
        eight[WHICH].inc();
    }

    fn total(&self, which: usize) -> u64 {
        self.counters[which].sum()
    }
}

impl Summing for PercidFallback {
    const NAME: &'static str = NAME;

    fn new(_: usize) -> Result<PercidFallback, Error> {
        PercidFallback::with(1)
    }

    fn reset(&self) {
        PercidFallback::reset(self);
    }

    fn add(&self, _: usize) {
        self.counters[0].inc();
    }

    fn sum(&self) -> u64 {
        self.counters[0].sum()
    }
}

pub(super) struct Hoard(Many);

impl Hoarding for Hoard {
    const NAME: &'static str = NAME;

    type Own = ();

    fn new() -> Result<Hoard, Error> {
        Many::of(COUNTERS, counter).map(Hoard)
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
}
