//! Fences that many callers share.
//!
//! # Algorithm
//!
//! Two numbers. Who makes a fence takes the next number from `started` *before* the
//! system call, and raises `finished` to it after. Who needs one takes a *point* of
//! time, which is what `started` says, and is served by every fence whose number is
//! greater: it began later.
//!
//! ```text
//! needs a fence                        makes fence n
//!   ... what must be seen ...            n = ++started            (1)
//!   fence (SeqCst)                       the kernel's fence
//!   point = started                      finished = max(finished, n)
//!   finished > point: served
//! ```
//!
//! If `n > point` the load of the point came before (1) in the order of `started`, so
//! what the caller did before its point is seen by everything after (1): on each CPU,
//! by all that runs after the kernel interrupted it there.
//!
//! A caller that finds a fence which began after its point waits for that one, a while;
//! then it makes its own. So nobody depends on a thread that was preempted, that was
//! refused, or that a child of `fork` does not have. Checked in `loom`, with the
//! shortcuts that do not hold: a fence that counts although it began before the point,
//! and one that counts before it has ended.

use core::fmt;

use percid_rseq::membarrier::{self, BarrierError};

use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::spin_once;

/// Looks at a fence of another thread before making one's own: some tens of
/// microseconds, which is as long as one takes.
const PATIENCE: u32 = if cfg!(loom) { 2 } else { 2048 };

/// A point of time, for fences to begin after. Later ones are greater.
///
/// ```
/// use percid_shootdown::Barriers;
///
/// let points = [Barriers::process().point(), Barriers::process().point()];
/// assert!(points[0] <= points[1]);
/// if Barriers::process().wait_for_one_that_started_after(points[1]).is_ok() {
///     // Whoever took an earlier one is served, too.
///     assert!(points.iter().all(|&point| Barriers::process().has_served(point)));
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point(u64);

/// Fences that many callers share: one that *began* after what a caller did serves that
/// caller, whoever made it.
///
/// ```
/// use percid_shootdown::Barriers;
///
/// // ... unlink something ...
/// let point = Barriers::process().point();
/// if Barriers::process().wait_for_one_that_started_after(point).is_ok() {
///     // No section that began before the unlinking can still commit.
/// }
/// ```
///
/// # Cost
///
/// A point is a full fence and a load. A wait is nothing, if another thread's fence
/// served meanwhile; otherwise one system call: 0.3 microseconds when no other thread
/// of the process runs, about 10 when one does, and it stops each of those for about
/// half of that.
///
/// # Fork and signals
///
/// May be used in signal handlers: nothing here waits for a thread longer than for its
/// fence. A child of `fork` goes on with the numbers of its parent.
pub struct Barriers {
    started: AtomicU64,
    finished: AtomicU64,
}

#[cfg(not(loom))]
static PROCESS: Barriers = Barriers {
    started: AtomicU64::new(0),
    finished: AtomicU64::new(0),
};

impl Barriers {
    /// The process's fences.
    #[cfg(not(loom))]
    #[inline]
    #[must_use]
    pub fn process() -> &'static Barriers {
        &PROCESS
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Barriers {
        Barriers {
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        }
    }

    /// Now: fences that begin from here on see what the caller has done.
    // Ordering: the fence pairs with the read-modify-write in `make`: store mine, fence,
    // load `started` here; `started`, the kernel's fence, and whatever readers load after
    // it there. Both cannot miss each other.
    #[must_use]
    pub fn point(&self) -> Point {
        fence(Ordering::SeqCst);
        Point(self.started.load(Ordering::Relaxed))
    }

    /// Whether a fence that began after `point` has ended.
    // Ordering: Acquire pairs with the Release in `make`: what sections that committed
    // before that fence stored is visible here.
    #[must_use]
    pub fn has_served(&self, point: Point) -> bool {
        self.finished.load(Ordering::Acquire) > point.0
    }

    /// Waits until a fence that began after `point` has ended: another thread's, or one
    /// that it makes itself. On return every section of the process that began before
    /// the point has committed or aborted, and every thread has passed a full memory
    /// barrier since.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the fence. Nothing is ordered then: reclaim nothing.
    pub fn wait_for_one_that_started_after(&self, point: Point) -> Result<(), BarrierError> {
        self.wait_or_make(point, membarrier::fence)
    }

    /// Fences made, and asked for, so far: what sharing saves is the difference.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    pub(crate) fn wait_or_make<E>(
        &self,
        point: Point,
        make: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut turn = 0;
        // Ordering: Relaxed: only says whether waiting may be worth it.
        while turn < PATIENCE && self.started.load(Ordering::Relaxed) > point.0 {
            if self.has_served(point) {
                return Ok(());
            }
            spin_once(turn);
            turn += 1;
        }
        if self.has_served(point) {
            return Ok(());
        }
        self.make(make)
    }

    fn make<E>(&self, make: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        // Ordering: SeqCst pairs with the fence in `point`, and the kernel's fence that
        // follows is a full one.
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        make()?;
        // Ordering: Release, as `has_served` says.
        self.finished.fetch_max(number, Ordering::AcqRel);
        Ok(())
    }
}

impl fmt::Debug for Barriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barriers")
            .field("made", &self.made())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn barriers() -> Barriers {
        Barriers {
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        }
    }

    fn make(barriers: &Barriers, point: Point) -> bool {
        let mut made = false;
        let outcome = barriers.wait_or_make(point, || {
            made = true;
            Ok::<(), ()>(())
        });
        assert_eq!(outcome, Ok(()));
        made
    }

    #[test]
    fn one_fence_serves_all_points_before_it() {
        let barriers = barriers();
        let points = [barriers.point(), barriers.point()];
        assert!(!barriers.has_served(points[0]));
        assert!(make(&barriers, points[1]));
        assert!(!make(&barriers, points[0]), "served already");
        let later = barriers.point();
        assert!(!barriers.has_served(later));
        assert!(make(&barriers, later));
        assert_eq!(barriers.made(), 2);
    }

    #[test]
    fn a_refused_fence_serves_nobody() {
        let barriers = barriers();
        let point = barriers.point();
        assert_eq!(barriers.wait_or_make(point, || Err(7)), Err(7));
        assert!(!barriers.has_served(point));
        // One that began after the point and never ends is not waited for for ever.
        assert!(make(&barriers, point));
    }

    #[test]
    fn the_process_has_fences_where_the_kernel_does() {
        let barriers = Barriers::process();
        let point = barriers.point();
        let outcome = barriers.wait_for_one_that_started_after(point);
        assert_eq!(outcome.is_ok(), membarrier::fence().is_ok());
        assert_eq!(outcome.is_ok(), barriers.has_served(point));
    }
}
