//! A counter that stays within a limit.
//!
//! # Algorithm
//!
//! What the limit allows is *promised* to stripes in parts, before it is used: a stripe
//! with something left of its promise adds by itself, in one section.
//!
//! ```text
//! of a stripe   SPENT     what was added there, negated    sections
//!               PROMISED  what it was promised             sections
//!               REVOKED   what it was taken again, negated read-modify-writes of others
//! of all        free      the limit less all promises      read-modify-writes
//!               beside    what was added without a stripe  read-modify-writes
//! ```
//!
//! `SPENT + PROMISED + REVOKED` is what a stripe has left. Every section that changes one
//! of the first two keeps it between 0 and two parts.
//!
//! | step | does | in this order |
//! | --- | --- | --- |
//! | add | SPENT -= n | nothing else, if enough is left |
//! | fetch | free -= part; PROMISED += part | promised before it can be used |
//! | take away | SPENT += n | nothing else, unless too much would be left |
//! | return | PROMISED -= part; free += part | free only when nobody can use it |
//! | beside | free -= n; beside += n | as fetch |
//! | collect | REVOKED -= left; fence; REVOKED += what was used all the same; free += the rest | see below |
//!
//! While `free` is negative, because somebody exceeded the limit on demand or lowered it,
//! nothing is left in stripes, and what is taken away goes beside.
//!
//! So the sum of all that was added never exceeds the limit less `free`, and a step that
//! is cut in half, by a preemption or for ever, leaves it lower than it could be, never
//! higher.
//!
//! A section reads REVOKED at some time before it commits. After the fence every one that
//! read it before has committed, and all others see that nothing is left; so what the
//! stripe is short of then is what they used, and only the rest is free. Whoever collects
//! at the same time took another part of REVOKED, and each gives back of its own.
//!
//! The checker beside this file goes through every interleaving of two threads and two that
//! collect, and finds what is left out of the above.
//!
//! Where ids cannot be fenced nothing is promised to stripes: all goes beside.
//!
//! Sources: P. O'Neil, "The Escrow Transactional Method" (1986); the interface is
//! percpu_counter's of the Linux kernel.

#[cfg(all(test, not(loom)))]
mod checker;
mod promise;
mod stripe;

use core::cmp;
use core::fmt;
use core::sync::atomic::{AtomicI64, Ordering};

use percid_cid::Domain;
use percid_rseq::portable;

use crate::arena::{ArenaError, StripeRef};
use crate::room::Room;
use crate::scope::{Process, Scope};

use stripe::{SPENT, WORDS, is_of_cid};

/// What a stripe may hold back if nothing was chosen.
const BATCH: i64 = 1 << 10;

/// The greatest amount and limit: sums of a few stay far from the end of the numbers.
const MOST: i64 = 1 << 60;

/// A signed counter that stays within a limit, as long as it is asked to.
///
/// ```
/// use percid::BoundedCounter;
///
/// static BLOCKS: BoundedCounter = BoundedCounter::new(1_000);
///
/// assert!(BLOCKS.limited_add(900));
/// assert!(!BLOCKS.limited_add(101), "it would be 1,001");
/// assert!(BLOCKS.limited_add(100));
/// BLOCKS.sub(300);
/// assert_eq!(BLOCKS.sum(), 700);
/// assert!(BLOCKS.compare(800).is_lt());
/// ```
///
/// # Cost
///
/// [`limited_add`](BoundedCounter::limited_add), [`add`](BoundedCounter::add) and
/// [`sub`](BoundedCounter::sub) of up to half a batch: one section of three loads more
/// than a [`Counter`](crate::Counter)'s, and every half batch a few read-modify-writes.
/// Larger amounts are two read-modify-writes on a line that all threads share. Near the
/// limit, an addition that fits only with what other stripes hold back costs a fence of
/// all CPUs (microseconds); one that does not fit costs a `sum`.
///
/// [`read_approx`](BoundedCounter::read_approx): two loads. `sum`: one load for each active
/// cid. 32 bytes in each active cid's stripe and 384 in place.
///
/// # Shapes and units
///
/// Amounts, limits and batches are up to 2^60 in whatever is counted; sums that go beyond
/// 2^62 wrap.
///
/// # Panics
///
/// If an amount or a limit is out of that range.
///
/// # Fallback
///
/// Where sections do not work or cannot be fenced, all goes to atomics that all threads
/// share; exact, and slow under contention. So it does where there is no memory.
///
/// # Fork and signals
///
/// Every method may be called from a signal handler. A child of `fork` starts with its
/// parent's numbers. What other threads of the parent were moving at that instant, at most
/// a batch for each that was in the slow path, counts against the child's limit for ever.
pub struct BoundedCounter<S: Scope = Process> {
    room: Room<S>,
    /// Half a batch.
    part: i64,
    free: Free,
    beside: Beside,
}

/// On a line of its own: everybody in the slow path writes it, and nobody else looks.
#[repr(align(128))]
struct Free {
    /// What of the limit is not promised; negative if it was exceeded on demand.
    left: AtomicI64,
    limit: AtomicI64,
}

/// As [`Free`].
#[repr(align(128))]
struct Beside {
    sum: AtomicI64,
    /// What is neither free nor in a stripe at this moment.
    moving: AtomicI64,
}

impl BoundedCounter {
    /// A counter at zero that stays within `limit`, for a `static` or anywhere else.
    #[must_use]
    pub const fn new(limit: i64) -> BoundedCounter {
        BoundedCounter::with_batch(limit, BATCH)
    }

    /// A counter at zero that stays within `limit`, and each of whose stripes may hold
    /// back up to `batch` of it. Choose it a hundred times a usual amount: less makes the
    /// slow path frequent, more makes [`read_approx`](BoundedCounter::read_approx) coarse.
    #[must_use]
    pub const fn with_batch(limit: i64, batch: i64) -> BoundedCounter {
        BoundedCounter::on(Room::new(WORDS), limit, batch)
    }
}

impl BoundedCounter<Domain> {
    /// A counter at zero, sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use.
    pub fn in_domain(
        domain: &Domain,
        limit: i64,
        batch: i64,
    ) -> Result<BoundedCounter<Domain>, ArenaError> {
        let room = Room::in_domain(domain, WORDS)?;
        Ok(BoundedCounter::on(room, limit, batch))
    }
}

impl<S: Scope> BoundedCounter<S> {
    const fn on(room: Room<S>, limit: i64, batch: i64) -> BoundedCounter<S> {
        assert!(limit >= -MOST && limit <= MOST, "a limit beyond 2^60");
        assert!(batch >= 2 && batch <= MOST, "a batch is from 2 to 2^60");
        BoundedCounter {
            room,
            part: batch / 2,
            free: Free {
                left: AtomicI64::new(limit),
                limit: AtomicI64::new(limit),
            },
            beside: Beside {
                sum: AtomicI64::new(0),
                moving: AtomicI64::new(0),
            },
        }
    }

    /// What a stripe may hold back.
    #[must_use]
    pub fn batch(&self) -> i64 {
        2 * self.part
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> i64 {
        self.free.limit.load(Ordering::Relaxed)
    }

    /// Adds `n` if the sum stays within the limit; whether it did.
    ///
    /// With nobody else at work it refuses exactly what would exceed the limit. It never
    /// exceeds it, whoever is at work; see [`add`](BoundedCounter::add) for what does. It
    /// may refuse although there is room only where others add, take away or collect at
    /// the same time.
    #[inline]
    #[must_use = "nothing is added if it is refused"]
    pub fn limited_add(&self, n: u64) -> bool {
        let small = (1..=self.part.unsigned_abs()).contains(&n);
        small && self.change::<SPENT>(-n.cast_signed()).is_ok() || self.limited_add_slow(n)
    }

    #[cold]
    #[inline(never)]
    fn limited_add_slow(&self, n: u64) -> bool {
        assert!(n <= MOST.unsigned_abs(), "an amount beyond 2^60");
        if n == 0 {
            return self.compare(self.limit()).is_le();
        }
        self.add_promised(n.cast_signed())
    }

    /// Adds `n`, and exceeds the limit if it has to. Then nothing fits until enough was
    /// taken away. What a thread was moving to its stripe, or took away there, in that very
    /// moment still does: half a batch at most.
    #[inline]
    pub fn add(&self, n: i64) {
        let small = n.unsigned_abs() <= self.part.unsigned_abs();
        // What is taken away above the limit is for nobody.
        let local = small && (n >= 0 || !self.is_exceeded());
        if !(local && self.change::<SPENT>(-n).is_ok()) {
            self.add_slow(n);
        }
    }

    /// Takes `n` away.
    #[inline]
    pub fn sub(&self, n: i64) {
        self.add(-n);
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: i64) {
        assert!((-MOST..=MOST).contains(&n), "an amount beyond 2^60");
        if n < 0 {
            self.take_away(-n);
        } else if !self.add_promised(n) {
            // Ordering: AcqRel, as in `promise`.
            let left = self
                .free
                .left
                .fetch_sub(n, Ordering::AcqRel)
                .wrapping_sub(n);
            if left < 0 {
                // Nobody shall go on from what was promised before.
                self.collect();
            }
            self.beside.sum.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Changes the limit. If the sum is above it, nothing fits until enough was taken away.
    pub fn set_limit(&self, limit: i64) {
        assert!((-MOST..=MOST).contains(&limit), "a limit beyond 2^60");
        let before = self.free.limit.swap(limit, Ordering::AcqRel);
        // Ordering: as `promise`.
        let more = limit - before;
        let left = self
            .free
            .left
            .fetch_add(more, Ordering::AcqRel)
            .wrapping_add(more);
        if left < 0 {
            self.collect();
        }
    }

    /// The sum of what was added and not taken away.
    ///
    /// Exact for all that happened before; what runs at the same time is seen or not.
    #[must_use]
    pub fn sum(&self) -> i64 {
        let spent = |stripe: StripeRef<'_>| portable::load(&stripe.words()[SPENT]).cast_signed();
        let stripes = self.room.stripes().filter(is_of_cid).map(spent);
        // Ordering: Acquire pairs with the Release of `take_away`.
        let beside = self.beside.sum.load(Ordering::Acquire);
        stripes.fold(beside, i64::wrapping_sub)
    }

    /// About the sum: not less, and more by at most a [`batch`](BoundedCounter::batch) for
    /// each active id, and half a batch for each thread that is moving something at this
    /// moment. While the limit is changed it may be off by the change. Two loads, however
    /// many ids there are.
    #[must_use]
    pub fn read_approx(&self) -> i64 {
        // Ordering: Acquire pairs with the AcqRel of every change: what was moving before
        // is known to be.
        let limit = self.free.limit.load(Ordering::Acquire);
        limit.wrapping_sub(self.free.left.load(Ordering::Acquire))
    }

    /// How the sum compares with a number: by [`read_approx`](BoundedCounter::read_approx)
    /// where that is enough, by [`sum`](BoundedCounter::sum) otherwise.
    #[must_use]
    pub fn compare(&self, with: i64) -> cmp::Ordering {
        let moving = || self.beside.moving.load(Ordering::Acquire);
        let before = moving();
        let approx = self.read_approx();
        if approx < with {
            return cmp::Ordering::Less;
        }
        let ids = self.room.stripes().filter(is_of_cid).count() as i64;
        let doubt = self.batch().saturating_mul(ids);
        let doubt = doubt.saturating_add(before.max(moving()));
        if approx.saturating_sub(doubt) > with {
            return cmp::Ordering::Greater;
        }
        self.sum().cmp(&with)
    }
}

/// Shows sum and limit.
impl<S: Scope> fmt::Debug for BoundedCounter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedCounter")
            .field("sum", &self.sum())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}
