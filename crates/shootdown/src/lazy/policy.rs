//! When and how idle references are taken away, and what that saved.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use percid::Counter;

/// Ways to make fewer fences, which interrupt every running thread. They compose; what each
/// of them [`Saved`] says [`ShootdownStats`]:
///
/// | way | a barrier is saved where | a visit of a slot is saved where |
/// | --- | --- | --- |
/// | [`switch_away`](Policy::switch_away) | no slot is left that may hold the object | its leaver has emptied it |
/// | [`batch`](Policy::batch) | another object of the batch, or of what quiesces with it, asks for one | nowhere: each object's slots are looked at |
/// | [`filter`](Policy::filter) | no slot that is looked at holds the object | it need not be marked, and looked at again |
/// | [`clear_bits`](Policy::clear_bits) | no slot is left that may hold the object | it was used for another one |
/// | [`quiesce`](Policy::quiesce) | somebody else has made one for a batch | nowhere, as of batches |
///
/// ```
/// use percid_shootdown::lazy::{LazyDomain, Policy};
///
/// let domain = LazyDomain::new(Policy::new().batch(16).switch_away(true));
/// # drop(domain);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub(super) switch_away: bool,
    pub(super) batch: u32,
    pub(super) filter: bool,
    pub(super) clear_bits: bool,
    pub(super) quiesce: u32,
    pub(super) check: bool,
}

impl Policy {
    /// One shootdown for each object, at once; slots are read before they are marked; bits
    /// are cleared where a slot is used again. In debug builds every object is checked.
    #[must_use]
    pub const fn new() -> Policy {
        Policy {
            switch_away: false,
            batch: 1,
            filter: true,
            clear_bits: true,
            quiesce: 0,
            check: cfg!(debug_assertions),
        }
    }

    /// Switch away on the last leave: a lease whose cell holds something else by now takes
    /// the object out of its slot, so that a shootdown does not find it there.
    ///
    /// Costs a store's mark on the old object.
    #[must_use]
    pub const fn switch_away(self, on: bool) -> Policy {
        Policy {
            switch_away: on,
            ..self
        }
    }

    /// Dying objects wait until there are `objects`, and share one fence;
    /// [`LazyDomain::flush`](super::LazyDomain::flush) does not wait.
    ///
    /// # Panics
    ///
    /// If `objects` is 0.
    #[must_use]
    pub const fn batch(self, objects: u32) -> Policy {
        assert!(objects > 0, "an empty batch");
        Policy {
            batch: objects,
            ..self
        }
    }

    /// Filter by reading slots: one that holds another object is not marked, and an object
    /// that no slot holds needs no fence.
    #[must_use]
    pub const fn filter(self, on: bool) -> Policy {
        Policy { filter: on, ..self }
    }

    /// Clear the mask on switch-away: a slot that is used for another object is taken out of
    /// the former one's mask, so that a shootdown does not visit it.
    #[must_use]
    pub const fn clear_bits(self, on: bool) -> Policy {
        Policy {
            clear_bits: on,
            ..self
        }
    }

    /// Quiesce without barriers: a batch that needs a fence is marked, and then waits for
    /// one that somebody else makes anyway: another domain's shootdown, a
    /// [`CopyCell`](crate::CopyCell), a grace period of a
    /// [`ReclaimDomain`](crate::ReclaimDomain). Whoever caches a value in the domain, or
    /// gives a cached one up, looks whether it has come. With more than `objects` that wait
    /// a fence is made all the same, and [`LazyDomain::flush`](super::LazyDomain::flush)
    /// makes one. 0: nothing waits.
    #[must_use]
    pub const fn quiesce(self, objects: u32) -> Policy {
        Policy {
            quiesce: objects,
            ..self
        }
    }

    /// After each shootdown look at every slot of every cid; then fill the dropped value
    /// with a pattern, keep its memory for a while, and look whether the pattern is still
    /// there. On in debug builds.
    ///
    /// # Panics
    ///
    /// A domain that finds a slot that leads to a dead object, or a written pattern,
    /// aborts the process: memory is corrupt.
    #[must_use]
    pub const fn check(self, on: bool) -> Policy {
        Policy { check: on, ..self }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::new()
    }
}

/// A policy that is read by all, and set where a home gets another domain: by then nobody
/// needs the former one, but a late nudge may read both mixed.
// Ordering: Relaxed, all: any mixture is sound.
#[derive(Default)]
pub(super) struct Policies {
    batch: AtomicU32,
    filter: AtomicBool,
    clear_bits: AtomicBool,
    quiesce: AtomicU32,
    check: AtomicBool,
}

impl Policies {
    pub(super) fn set(&self, policy: Policy) {
        self.batch.store(policy.batch, Ordering::Relaxed);
        self.filter.store(policy.filter, Ordering::Relaxed);
        self.clear_bits.store(policy.clear_bits, Ordering::Relaxed);
        self.quiesce.store(policy.quiesce, Ordering::Relaxed);
        self.check.store(policy.check, Ordering::Relaxed);
    }

    pub(super) fn batch(&self) -> u32 {
        self.batch.load(Ordering::Relaxed)
    }

    pub(super) fn filters(&self) -> bool {
        self.filter.load(Ordering::Relaxed)
    }

    pub(super) fn clears_bits(&self) -> bool {
        self.clear_bits.load(Ordering::Relaxed)
    }

    pub(super) fn quiesce(&self) -> u32 {
        self.quiesce.load(Ordering::Relaxed)
    }

    pub(super) fn checks(&self) -> bool {
        self.check.load(Ordering::Relaxed)
    }
}

/// What a domain has done so far.
///
/// ```
/// use percid_shootdown::lazy::{LazyDomain, Policy};
///
/// let domain = LazyDomain::new(Policy::new());
/// let cell = domain.cell(1);
/// cell.store(domain.share(2));
/// let stats = domain.stats();
/// assert_eq!((stats.made, stats.freed), (2, 1));
/// assert_eq!((stats.never_cached, stats.barriers), (1, 0), "nobody has loaded it");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShootdownStats {
    /// Objects made.
    pub made: u64,
    /// Objects whose value was dropped.
    pub freed: u64,
    /// Loads that were not served by a slot.
    pub misses: u64,
    /// Of these, leases that stayed counted: every way was in use, or there are no
    /// sections here.
    pub counted: u64,
    /// Batches that were shot down.
    pub shootdowns: u64,
    /// Fences that they made or shared.
    pub barriers: u64,
    /// Fences that were refused.
    pub refused: u64,
    /// Slots that were looked at before they were marked.
    pub visits: u64,
    /// Slots that were marked.
    pub marks: u64,
    /// Times that a mark was left to the holder of a lease.
    pub left_to_holders: u64,
    /// Objects that no slot had ever cached: freed by their last count.
    pub never_cached: u64,
    /// Objects that asked for a fence: as many as there were [`barriers`](Self::barriers),
    /// and as batches and quiescing saved, where none was refused and none waits.
    pub asked: u64,
    /// Saved by [`batch`](Policy::batch).
    pub saved_by_batch: Saved,
    /// Saved by [`filter`](Policy::filter).
    pub saved_by_filter: Saved,
    /// Saved by [`clear_bits`](Policy::clear_bits).
    pub saved_by_clear_bits: Saved,
    /// Saved by [`switch_away`](Policy::switch_away).
    pub saved_by_switch_away: Saved,
    /// Saved by [`quiesce`](Policy::quiesce).
    pub saved_by_quiesce: Saved,
}

/// What one of the ways of a [`Policy`] has saved.
///
/// ```
/// use percid_shootdown::lazy::{LazyDomain, Policy, Saved};
///
/// let domain = LazyDomain::new(Policy::new().batch(8));
/// assert_eq!(domain.stats().saved_by_batch, Saved::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// Fences: one for each object that asked for none, for this reason, or for none of its
    /// own.
    pub barriers: u64,
    /// Visits of slots.
    pub visits: u64,
}

/// The counters behind [`Saved`].
#[derive(Default)]
pub(super) struct Savings {
    pub(super) barriers: Counter,
    pub(super) visits: Counter,
}

/// What is behind a field of [`ShootdownStats`].
trait Counted {
    type Count;

    fn count(&self) -> Self::Count;

    fn since(now: Self::Count, then: Self::Count) -> Self::Count;
}

impl Counted for Counter {
    type Count = u64;

    fn count(&self) -> u64 {
        self.sum()
    }

    fn since(now: u64, then: u64) -> u64 {
        now - then
    }
}

impl Counted for Savings {
    type Count = Saved;

    fn count(&self) -> Saved {
        Saved {
            barriers: self.barriers.sum(),
            visits: self.visits.sum(),
        }
    }

    fn since(now: Saved, then: Saved) -> Saved {
        Saved {
            barriers: now.barriers - then.barriers,
            visits: now.visits - then.visits,
        }
    }
}

macro_rules! counts {
    ($($name:ident: $behind:ty),* $(,)?) => {
        /// The counters behind [`ShootdownStats`].
        #[derive(Default)]
        pub(super) struct Counts {
            $(pub(super) $name: $behind,)*
        }

        impl Counts {
            pub(super) fn stats(&self) -> ShootdownStats {
                ShootdownStats { $($name: self.$name.count(),)* }
            }
        }

        impl ShootdownStats {
            /// What was done since.
            pub(super) fn since(self, then: ShootdownStats) -> ShootdownStats {
                ShootdownStats { $($name: <$behind>::since(self.$name, then.$name),)* }
            }
        }
    };
}

counts! {
    made: Counter,
    freed: Counter,
    misses: Counter,
    counted: Counter,
    shootdowns: Counter,
    barriers: Counter,
    refused: Counter,
    visits: Counter,
    marks: Counter,
    left_to_holders: Counter,
    never_cached: Counter,
    asked: Counter,
    saved_by_batch: Savings,
    saved_by_filter: Savings,
    saved_by_clear_bits: Savings,
    saved_by_switch_away: Savings,
    saved_by_quiesce: Savings,
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
