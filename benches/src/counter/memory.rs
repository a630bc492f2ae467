//! Resident memory of many counters.
//!
//! Two threads on two CPUs add to all of them at the same time, so that two ids
//! are really active. All that appears between the first counter's making and the
//! last addition counts: handles, shards, and what is spent once per process.

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::error::expect;
use crate::resident::resident;
use crate::suite::Fresh;
use crate::team::{Member, together};
use crate::{Error, cpus};

/// How many counters.
pub(crate) const COUNTERS: usize = 100_000;

/// How many are many.
pub(super) const MILLION: usize = 1_000_000;

/// Threads that add to them.
pub(crate) const THREADS: usize = 2;

/// Times that each thread adds to all of them, at least and at most.
const PASSES: std::ops::RangeInclusive<u64> = 4..=64;

/// Many counters.
pub(crate) trait Hoarding: Sized + Send + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// How many.
    const COUNT: usize = COUNTERS;

    /// What a thread has for itself.
    type Own;

    /// [`COUNT`](Hoarding::COUNT) of them.
    fn new() -> Result<Self, Error>;

    /// A thread's own part.
    fn own(&self) -> Self::Own;

    /// Adds 1 to each.
    fn add_to_all(&self, own: &Self::Own);

    /// What was added to all of them, as far as the shared part knows.
    fn total(&self) -> u64;

    /// The rest, by a thread's own part.
    fn total_of(&self, own: &Self::Own) -> u64;

    /// Ids that are active, where an implementation knows.
    fn active_ids(&self) -> Option<u32> {
        None
    }
}

/// The implementation for the case `memory`.
pub(super) const fn of<H: Hoarding>() -> Fresh {
    Fresh {
        name: H::NAME,
        measure: measure::<H>,
    }
}

/// What the two threads share.
struct Scene<H> {
    cpus: Vec<usize>,
    counters: OnceLock<H>,
    /// How many of the threads hold a low id.
    compact: AtomicU32,
    enough: AtomicBool,
}

pub(crate) fn measure<H: Hoarding>() -> Result<f64, Error> {
    let scene: Scene<H> = Scene {
        cpus: cpus::allowed(),
        counters: OnceLock::new(),
        compact: AtomicU32::new(0),
        enough: AtomicBool::new(false),
    };
    let mut grown = 0;
    let threads = together(
        THREADS,
        |member| scene.work(member, Some(&mut grown)),
        |member| scene.work(member, None),
    )?;
    let passes: u64 = threads.iter().map(|thread| thread.passes).sum();
    let own: u64 = threads.iter().map(|thread| thread.own).sum();
    let shared = scene.counters.get().map_or(0, H::total);
    expect(H::NAME, own.wrapping_add(shared), passes * H::COUNT as u64)?;
    Ok(grown as f64 / H::COUNT as f64)
}

/// What one thread has done.
struct Passed {
    passes: u64,
    own: u64,
}

impl<H: Hoarding> Scene<H> {
    /// The thread with a place for the result leads.
    fn work(&self, member: &Member<'_>, grown: Option<&mut u64>) -> Result<Passed, Error> {
        let leads = grown.is_some();
        let apart = self.cpus.len() >= THREADS && cpus::pin(self.cpus[member.number]);
        self.wait_for_low_ids(member)?;
        let mut before = 0;
        if leads {
            // The first reading brings the reader's own memory.
            resident().map_err(Error::Resident)?;
            before = resident().map_err(Error::Resident)?;
            let counters = H::new()?;
            self.counters.get_or_init(|| counters);
        }
        member.wait()?;
        let counters = self.counters.get().ok_or(Error::Abandoned)?;
        let own = counters.own();
        let mut passes = 0;
        while !self.enough.load(Ordering::Relaxed) {
            member.wait()?;
            counters.add_to_all(black_box(&own));
            passes += 1;
            member.wait()?;
            if leads {
                let active = counters.active_ids();
                let enough = passes >= *PASSES.start()
                    && active.is_none_or(|active| !apart || active >= THREADS as u32);
                // Ordering: Relaxed. The barrier orders it.
                self.enough
                    .store(enough || passes >= *PASSES.end(), Ordering::Relaxed);
            }
            member.wait()?;
        }
        if let Some(grown) = grown {
            let now = resident().map_err(Error::Resident)?;
            *grown = now.saturating_sub(before);
            if let Some(active) = counters.active_ids().filter(|_| apart)
                && active != THREADS as u32
            {
                return Err(Error::OtherIds { active });
            }
        }
        member.wait()?;
        let own = counters.total_of(&own);
        Ok(Passed { passes, own })
    }

    /// The process's first thread may have run elsewhere before it was pinned,
    /// and the kernel takes up to some tenths of a second to notice that a lower
    /// id is free again. Waits for that, but not for ever.
    fn wait_for_low_ids(&self, member: &Member<'_>) -> Result<(), Error> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let registered = percid_rseq::enter_thread().is_ok();
        let start = Instant::now();
        loop {
            member.wait()?;
            let low = percid_rseq::thread_ids().is_none_or(|ids| ids.mm_cid < THREADS as u32);
            let patient = member.number > 0 || start.elapsed() < PATIENCE;
            // Ordering: Relaxed, here and below. The barrier orders it.
            if low || !registered || !patient {
                self.compact.fetch_add(1, Ordering::Relaxed);
            }
            member.wait()?;
            let compact = self.compact.load(Ordering::Relaxed);
            member.wait()?;
            if compact >= THREADS as u32 {
                return Ok(());
            }
            self.compact.store(0, Ordering::Relaxed);
        }
    }
}
