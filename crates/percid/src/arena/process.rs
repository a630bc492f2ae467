//! The process's arena: one reservation, made at the first use, kept to the end.
//!
//! Everything here is lock-free and asks the system directly, so that a counter
//! may be used for the first time in a signal handler: racing threads each do the
//! whole step, and the first to publish wins.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_cid::{THREAD_STRIPES, possible_cids, thread_stripe};
use percid_rseq::section::MmCid;
use percid_rseq::{Preserved, Refusal, enter_thread, portable, section, thread_ids};

use super::free_list::FreeList;
use super::frontier::{Frontier, Kind, Open};
use super::layout::{GRANULE, Layout, STRIPE_BYTES, STRIPE_SHIFT, STRIPE_WORDS, Stripe};
use super::{ArenaError, ledger, os, reservation, standby};

static ARENA: Arena = Arena {
    layout: AtomicU64::new(0),
    frontier: Frontier::new(),
    free: FreeList::new(1),
    refusals: AtomicU32::new(0),
};

pub(super) struct Arena {
    /// `Layout::pack`; 0: not reserved yet.
    layout: AtomicU64,
    frontier: Frontier,
    free: FreeList,
    /// How often a stripe could not be opened.
    refusals: AtomicU32,
}

/// The process's arena.
#[inline(always)]
pub(super) fn arena() -> &'static Arena {
    &ARENA
}

impl Arena {
    /// Where sections find their stripe.
    #[inline(always)]
    pub(super) fn index(&self) -> MmCid<'_> {
        MmCid {
            limit: self.frontier.stripes(Kind::Cid).as_atomic(),
        }
    }

    /// The layout, once it is reserved.
    // Ordering: Acquire pairs with the Release in `reserve`; the number says it
    // all, but the kernel's mapping was made before it was published.
    pub(super) fn layout(&self) -> Option<Layout> {
        Layout::unpack(self.layout.load(Ordering::Acquire))
    }

    fn reserve(&self) -> Result<Layout, ArenaError> {
        if let Some(layout) = self.layout() {
            return Ok(layout);
        }
        let mine = match reservation::reserve(possible_cids(), THREAD_STRIPES) {
            Ok(mine) => mine,
            // Perhaps refused because somebody else has just had it.
            Err(why) => return self.layout().ok_or(why),
        };
        // Stripe 0 of threads is open wherever words are: the last resort.
        self.frontier.stripes(Kind::Thread).announce(1);
        match self
            .layout
            .compare_exchange(0, mine.pack(), Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(mine),
            Err(first) => {
                os::release(mine.base(), mine.reserved());
                Ok(Layout::unpack(first).unwrap_or(mine))
            }
        }
    }

    /// A word that reads zero in every stripe.
    pub(super) fn allocate(&self) -> Result<(Layout, u32), ArenaError> {
        let layout = self.reserve()?;
        // SAFETY: the ledger is open up to every word that was ever allocated.
        let link = |index| unsafe { layout.word(Stripe::Ledger, index) };
        if let Some(index) = self.free.pop(link) {
            // Ordering: Relaxed. Whoever publishes the index publishes the zero.
            link(index).store(0, Ordering::Relaxed);
            return Ok((layout, index));
        }
        let prepare = |index: u32| self.frontier.lengthen(granules(index), &Memory(layout));
        match self.free.fresh(STRIPE_WORDS, prepare) {
            Ok(Some(index)) => Ok((layout, index)),
            Ok(None) => Err(ArenaError::Full {
                words: STRIPE_WORDS - 1,
            }),
            Err(os_error) => Err(ArenaError::NoMemory { os_error }),
        }
    }

    /// Gives a word back that nobody has used: who lost the race to a counter's
    /// first use. Touches no memory if it can be helped.
    pub(super) fn give_back_unused(&self, layout: Layout, index: u32) {
        if !self.free.unfresh(index) {
            self.free(layout, index);
        }
    }

    /// Gives a word back that nobody uses any more.
    pub(super) fn free(&self, layout: Layout, index: u32) {
        for word in self.words(layout, index) {
            // Ordering: Relaxed. The caller is the last user; the free list hands
            // the zeros on. Reading first keeps untouched pages untouched.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
        // SAFETY: the ledger is open up to every word that was ever allocated.
        self.free
            .push(index, unsafe { layout.word(Stripe::Ledger, index) });
    }

    /// Adds to the word of the current cid, or of the thread where that fails.
    pub(super) fn add(&self, layout: Layout, index: u32, n: u64) {
        for _ in 0..section::ATTEMPTS {
            // SAFETY: an allocated word; stripes below the limit are open up to
            // it, are never closed, and change by sections only.
            let outcome =
                unsafe { section::add::<_, STRIPE_SHIFT>(self.index(), layout.first(index), n) };
            let go_on = match outcome {
                Ok(()) => return,
                Err(Refusal::Aborted) => true,
                Err(Refusal::NotRegistered) => enter_thread().is_ok(),
                Err(Refusal::BeyondLimit) => self.activate_current_cid(layout),
                Err(_) => false,
            };
            if !go_on {
                break;
            }
        }
        self.add_by_thread(layout, index, n);
    }

    /// Adds to the word of the thread's stripe.
    pub(super) fn add_by_thread(&self, layout: Layout, index: u32, n: u64) {
        let threads = self.frontier.stripes(Kind::Thread);
        let mut stripe = thread_stripe();
        if stripe >= layout.threads {
            stripe %= layout.threads;
        }
        if stripe >= threads.get() && !self.activate(layout, Kind::Thread, stripe) {
            // Open since the word was allocated, for it was announced before.
            stripe = 0;
            threads.publish(1);
        }
        // SAFETY: an allocated word in an open stripe.
        portable::add(unsafe { layout.word(Stripe::Thread(stripe), index) }, n);
    }

    fn activate_current_cid(&self, layout: Layout) -> bool {
        // Only a hint: the thread may have another id by now. Then the section
        // says so again.
        let cid = thread_ids().map_or(u32::MAX, |ids| ids.mm_cid);
        cid < layout.cids && self.activate(layout, Kind::Cid, cid)
    }

    /// Opens stripes up to and including `stripe`. Where the system has refused
    /// before, this asks less and less often.
    fn activate(&self, layout: Layout, kind: Kind, stripe: u32) -> bool {
        // Ordering: Relaxed. A number to be patient by.
        let refusals = self.refusals.load(Ordering::Relaxed);
        if refusals > 0 && !refusals.is_power_of_two() && !refusals.is_multiple_of(4096) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let _errno = Preserved::new();
        let activated = self.frontier.activate(kind, stripe + 1, &Memory(layout));
        match activated {
            Ok(()) => self.refusals.store(0, Ordering::Relaxed),
            Err(_) => drop(self.refusals.fetch_add(1, Ordering::Relaxed)),
        }
        activated.is_ok()
    }

    /// The word in every stripe that may hold something.
    // Ordering: `get` is an Acquire: stripes below the limit are open.
    fn words(&self, layout: Layout, index: u32) -> impl Iterator<Item = &'static AtomicU64> {
        let cids = (0..self.frontier.stripes(Kind::Cid).get()).map(Stripe::Cid);
        let threads = (0..self.frontier.stripes(Kind::Thread).get()).map(Stripe::Thread);
        // SAFETY: an allocated word in published stripes.
        cids.chain(threads)
            .map(move |stripe| unsafe { layout.word(stripe, index) })
    }

    /// All that was ever added to a word.
    fn total(&self, layout: Layout, index: u32) -> u64 {
        self.words(layout, index)
            .map(portable::load)
            .fold(0, u64::wrapping_add)
    }

    /// What was added to a word and not taken.
    pub(super) fn sum(&self, layout: Layout, index: u32) -> u64 {
        // SAFETY: an allocated word; the ledger is open up to it.
        let taken = unsafe { layout.word(Stripe::Ledger, index) };
        ledger::untaken(taken, || self.total(layout, index))
    }

    /// Takes what was added to a word and not taken.
    pub(super) fn take(&self, layout: Layout, index: u32) -> u64 {
        // SAFETY: an allocated word; the ledger is open up to it.
        let taken = unsafe { layout.word(Stripe::Ledger, index) };
        ledger::take(taken, || self.total(layout, index))
    }
}

/// Granules that hold a word and everything before it, growing by doubling.
fn granules(index: u32) -> u32 {
    let needed = (index as usize * 8 + 8).div_ceil(GRANULE);
    needed.next_power_of_two().min(STRIPE_BYTES / GRANULE) as u32
}

/// The reservation, as the frontier opens it.
struct Memory(Layout);

impl Open for Memory {
    type Error = i32;

    fn open(&self, kind: Kind, stripes: Range<u32>, length: u32) -> Result<(), i32> {
        let bytes = length as usize * GRANULE;
        if bytes == 0 {
            return Ok(());
        }
        let open = |stripe| os::open(self.0.stripe(stripe), bytes);
        match kind {
            Kind::Cid => stripes.map(Stripe::Cid).try_for_each(open),
            Kind::Thread => {
                open(Stripe::Ledger)?;
                stripes.map(Stripe::Thread).try_for_each(open)
            }
        }
    }
}

/// How large the process's arena is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaStats {
    /// Address space, in bytes; 0 before the first use. Not memory.
    pub reserved: usize,
    /// Stripes that cids have used: the highest one and all below.
    pub cid_stripes: u32,
    /// Stripes that threads without sections have used.
    pub thread_stripes: u32,
    /// Words in use, one for each counter.
    pub words: u32,
    /// Counters that could not have a word in the arena and count on shared ones.
    pub standby_words: u32,
}

/// How large the process's arena is at this moment.
///
/// ```
/// let counter = percid::Counter::new();
/// counter.inc();
/// assert!(percid::arena_stats().words + percid::arena_stats().standby_words >= 1);
/// ```
#[must_use]
pub fn arena_stats() -> ArenaStats {
    ArenaStats {
        reserved: ARENA.layout().map_or(0, |layout| layout.reserved()),
        cid_stripes: ARENA.frontier.stripes(Kind::Cid).get(),
        thread_stripes: ARENA.frontier.stripes(Kind::Thread).get(),
        words: ARENA.free.used(),
        standby_words: standby::used(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn granules_hold_their_word_and_double() {
        let words = (GRANULE / 8) as u32;
        assert_eq!(granules(1), 1);
        assert_eq!(granules(words - 1), 1);
        assert_eq!(granules(words), 2);
        assert_eq!(granules(2 * words), 4);
        assert_eq!(granules(STRIPE_WORDS - 1) as usize * GRANULE, STRIPE_BYTES);
    }
}
