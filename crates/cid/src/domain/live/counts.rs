//! What happened in a domain so far.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What happened in a domain so far. Racy: each number by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainStats {
    /// Ids put into a slot that had none.
    pub acquisitions: u64,
    /// Ids that were marked and proved to be in use.
    pub rescues: u64,
    /// Ids exchanged for lower ones.
    pub moves: u64,
    /// Ids taken along to another CPU.
    pub handovers: u64,
    /// Ids taken from somebody else, for none was free.
    pub steals: u64,
    /// Idle ids, or ids above the bound, that were freed.
    pub reclaims: u64,
    /// Times that the slots were gone through.
    pub scans: u64,
    /// Fences of one CPU or of all.
    pub fences: u64,
    /// Fences that the kernel refused. Nothing was taken then.
    pub fences_refused: u64,
    /// Sections that were found aborted and tried again.
    pub aborts: u64,
    /// Operations that were done on the fallback.
    pub fallbacks: u64,
    /// The highest id there ever was.
    pub highest_id: Option<u32>,
    /// Threads that have joined.
    pub joined: u32,
    /// Bytes of the table.
    pub table_bytes: usize,
}

/// The numbers while they are counted.
// Ordering: Relaxed, all of them: each is a number by itself.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) acquisitions: AtomicU64,
    pub(super) rescues: AtomicU64,
    pub(super) moves: AtomicU64,
    pub(super) handovers: AtomicU64,
    pub(super) steals: AtomicU64,
    pub(super) reclaims: AtomicU64,
    pub(super) scans: AtomicU64,
    pub(super) fences: AtomicU64,
    pub(super) fences_refused: AtomicU64,
    pub(super) aborts: AtomicU64,
    pub(super) fallbacks: AtomicU64,
    /// One more than the highest id.
    highest: AtomicU32,
}

impl Counts {
    pub(super) const fn new() -> Counts {
        Counts {
            acquisitions: AtomicU64::new(0),
            rescues: AtomicU64::new(0),
            moves: AtomicU64::new(0),
            handovers: AtomicU64::new(0),
            steals: AtomicU64::new(0),
            reclaims: AtomicU64::new(0),
            scans: AtomicU64::new(0),
            fences: AtomicU64::new(0),
            fences_refused: AtomicU64::new(0),
            aborts: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            highest: AtomicU32::new(0),
        }
    }

    pub(super) fn saw(&self, cid: u32) {
        self.highest.fetch_max(cid + 1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, joined: u32, table_bytes: usize) -> DomainStats {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        DomainStats {
            acquisitions: get(&self.acquisitions),
            rescues: get(&self.rescues),
            moves: get(&self.moves),
            handovers: get(&self.handovers),
            steals: get(&self.steals),
            reclaims: get(&self.reclaims),
            scans: get(&self.scans),
            fences: get(&self.fences),
            fences_refused: get(&self.fences_refused),
            aborts: get(&self.aborts),
            fallbacks: get(&self.fallbacks),
            highest_id: self.highest.load(Ordering::Relaxed).checked_sub(1),
            joined,
            table_bytes,
        }
    }
}

/// One more.
pub(super) fn count(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}
