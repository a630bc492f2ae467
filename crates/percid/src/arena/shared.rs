//! An arena: one reservation, made at the first use, words that come and go, and
//! stripes that open as they are needed.
//!
//! Everything here is lock-free and asks the system directly, so that a counter
//! may be used for the first time in a signal handler: racing threads each do the
//! whole step, and the first to publish wins.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_cid::{THREAD_STRIPES, possible_cids, thread_stripe};
use percid_rseq::{Preserved, portable};

use super::free_list::FreeList;
use super::frontier::{Frontier, Kind, Open};
use super::layout::{GRANULE, Layout, Stripe};
use super::{ArenaError, ledger, reservation};
use crate::os;
use crate::stack::Stack;

/// Words of the longest run.
pub(crate) const LONGEST_RUN: u32 = 1 << LONGEST;

/// log2 of the same.
const LONGEST: u32 = 12;

/// Runs of so many words and more start on a cache line.
const LINE: u32 = 8;

/// An arena in stripes of `1 << SHIFT` bytes.
pub(super) struct Arena<const SHIFT: u32> {
    /// `Layout::pack`; 0: not reserved yet.
    layout: AtomicU64,
    frontier: Frontier,
    free: FreeList,
    /// Runs of 2, 4, ... words that were used before.
    runs: [Stack; LONGEST as usize],
    /// How often a stripe could not be opened.
    refusals: AtomicU32,
    /// Whether stripe 0 should lie where handles can be addresses.
    low: bool,
}

impl<const SHIFT: u32> Arena<SHIFT> {
    pub(super) const fn new(low: bool) -> Self {
        Arena {
            layout: AtomicU64::new(0),
            frontier: Frontier::new(),
            free: FreeList::new(1),
            runs: [const { Stack::new() }; LONGEST as usize],
            refusals: AtomicU32::new(0),
            low,
        }
    }

    /// The number of stripes of cids that are open, for a section to compare with.
    #[inline(always)]
    pub(super) fn limit(&self) -> &AtomicU32 {
        self.frontier.stripes(Kind::Cid).as_atomic()
    }

    /// The layout, once it is reserved.
    // Ordering: Acquire pairs with the Release in `reserve`; the number says it
    // all, but the kernel's mapping was made before it was published.
    #[inline]
    pub(super) fn layout(&self) -> Option<Layout<SHIFT>> {
        Layout::unpack(self.layout.load(Ordering::Acquire))
    }

    pub(super) fn reserve(&self) -> Result<Layout<SHIFT>, ArenaError> {
        if let Some(layout) = self.layout() {
            return Ok(layout);
        }
        let mine = match reservation::reserve(possible_cids(), THREAD_STRIPES, self.low) {
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
                // SAFETY: made above, and nobody has seen it.
                unsafe { os::release(mine.base(), mine.reserved()) };
                Ok(Layout::unpack(first).unwrap_or(mine))
            }
        }
    }

    /// A word that reads zero in every stripe.
    pub(super) fn allocate(&self) -> Result<(Layout<SHIFT>, u32), ArenaError> {
        let layout = self.reserve()?;
        // SAFETY: the ledger is open up to every word that was ever allocated.
        let link = |index| unsafe { layout.word(Stripe::Ledger, index) };
        if let Some(index) = self.free.pop(link) {
            // Ordering: Relaxed. Whoever publishes the index publishes the zero.
            link(index).store(0, Ordering::Relaxed);
            return Ok((layout, index));
        }
        let prepare = |index: u32| {
            self.frontier
                .lengthen(granules(index, Layout::<SHIFT>::BYTES), &Memory(layout))
        };
        match self.free.fresh(Layout::<SHIFT>::WORDS, prepare) {
            Ok(Some(index)) => Ok((layout, index)),
            Ok(None) => Err(ArenaError::Full {
                words: Layout::<SHIFT>::WORDS - 1,
            }),
            Err(os_error) => Err(ArenaError::NoMemory { os_error }),
        }
    }

    /// Consecutive words that read zero in every stripe.
    pub(super) fn allocate_run(&self, words: u32) -> Result<(Layout<SHIFT>, u32), ArenaError> {
        let Some(class) = class(words) else {
            return Err(ArenaError::TooLong {
                words,
                most: LONGEST_RUN,
            });
        };
        let Some(runs) = self.runs.get((class as usize).wrapping_sub(1)) else {
            return self.allocate();
        };
        let layout = self.reserve()?;
        // SAFETY: the ledger is open up to every word that was ever allocated.
        let link = |index| unsafe { layout.word(Stripe::Ledger, index) };
        let words = 1 << class;
        if let Some(index) = runs.pop(link) {
            self.free.count(words);
            // Ordering: Relaxed. Whoever publishes the index publishes the zero.
            link(index).store(0, Ordering::Relaxed);
            return Ok((layout, index));
        }
        let prepare = |last: u32| {
            self.frontier
                .lengthen(granules(last, Layout::<SHIFT>::BYTES), &Memory(layout))
        };
        match self
            .free
            .fresh_run(words, words.min(LINE), Layout::<SHIFT>::WORDS, prepare)
        {
            Ok(Some(run)) => {
                for passed in run.passed {
                    self.free.push(passed, link(passed));
                }
                Ok((layout, run.first))
            }
            Ok(None) => Err(ArenaError::Full {
                words: Layout::<SHIFT>::WORDS - 1,
            }),
            Err(os_error) => Err(ArenaError::NoMemory { os_error }),
        }
    }

    /// Gives a run back that nobody uses any more.
    pub(super) fn free_run(&self, layout: Layout<SHIFT>, first: u32, words: u32) {
        let class = class(words).expect("it was allocated");
        let Some(runs) = self.runs.get((class as usize).wrapping_sub(1)) else {
            return self.free(layout, first);
        };
        let words = 1 << class;
        for index in first..first + words {
            self.clear(layout, index);
            // SAFETY: the ledger is open up to every word that was ever allocated.
            let shared = unsafe { layout.word(Stripe::Ledger, index) };
            // Ordering: Relaxed, as in `clear`.
            shared.store(0, Ordering::Relaxed);
        }
        // SAFETY: as above.
        runs.push_chain(first, unsafe { layout.word(Stripe::Ledger, first) });
        self.free.uncount(words);
    }

    /// How large it is.
    pub(super) fn stats(&self) -> ArenaStats {
        ArenaStats {
            reserved: self.layout().map_or(0, |layout| layout.reserved()),
            cid_stripes: self.frontier.stripes(Kind::Cid).get(),
            thread_stripes: self.frontier.stripes(Kind::Thread).get(),
            words: self.free.used(),
            standby_words: 0,
        }
    }

    /// Gives a word back that nobody has used: who lost the race to a counter's
    /// first use. Touches no memory if it can be helped.
    pub(super) fn give_back_unused(&self, layout: Layout<SHIFT>, index: u32) {
        if !self.free.unfresh(index) {
            self.free(layout, index);
        }
    }

    /// Gives a word back that nobody uses any more.
    pub(super) fn free(&self, layout: Layout<SHIFT>, index: u32) {
        self.clear(layout, index);
        // SAFETY: the ledger is open up to every word that was ever allocated.
        self.free
            .push(index, unsafe { layout.word(Stripe::Ledger, index) });
    }

    /// Zeroes a word in every stripe, by its only user.
    pub(super) fn clear(&self, layout: Layout<SHIFT>, index: u32) {
        for word in self.words(layout, index) {
            // Ordering: Relaxed. The caller is the only user, and hands the zeros on.
            // Reading first keeps untouched pages untouched.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Adds to the word of the thread's stripe.
    pub(super) fn add_by_thread(&self, layout: Layout<SHIFT>, index: u32, n: u64) {
        let stripe = Stripe::Thread(self.thread_stripe());
        // SAFETY: an allocated word in an open stripe.
        portable::add(unsafe { layout.word(stripe, index) }, n);
    }

    /// The stripe of the calling thread, open.
    #[inline(always)]
    pub(super) fn thread_stripe(&self) -> u32 {
        let stripe = thread_stripe();
        // No more are ever open than the layout has.
        if stripe < self.published(Kind::Thread) {
            return stripe;
        }
        self.thread_stripe_slow(stripe)
    }

    #[cold]
    #[inline(never)]
    fn thread_stripe_slow(&self, mut stripe: u32) -> u32 {
        let layout = self.layout().expect("there are words, so it is reserved");
        let threads = self.frontier.stripes(Kind::Thread);
        if stripe >= layout.threads {
            stripe %= layout.threads;
        }
        if stripe >= threads.get() && !self.activate(layout, Kind::Thread, stripe) {
            // Open since the word was allocated, for it was announced before.
            stripe = 0;
            threads.publish(1);
        }
        stripe
    }

    /// Opens stripes up to and including `stripe`. Where the system has refused
    /// before, this asks less and less often.
    pub(super) fn activate(&self, layout: Layout<SHIFT>, kind: Kind, stripe: u32) -> bool {
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
    fn words(&self, layout: Layout<SHIFT>, index: u32) -> impl Iterator<Item = &AtomicU64> {
        let cids = (0..self.published(Kind::Cid)).map(Stripe::Cid);
        let threads = (0..self.published(Kind::Thread)).map(Stripe::Thread);
        // SAFETY: an allocated word in published stripes.
        cids.chain(threads)
            .map(move |stripe| unsafe { layout.word(stripe, index) })
    }

    /// Number of stripes that are open up to every word that was allocated.
    #[inline(always)]
    pub(super) fn published(&self, kind: Kind) -> u32 {
        self.frontier.stripes(kind).get()
    }

    /// All that was ever added to a word.
    pub(super) fn total(&self, layout: Layout<SHIFT>, index: u32) -> u64 {
        self.words(layout, index)
            .map(portable::load)
            .fold(0, u64::wrapping_add)
    }

    /// What was added to a word and not taken.
    pub(super) fn sum(&self, layout: Layout<SHIFT>, index: u32) -> u64 {
        // SAFETY: an allocated word; the ledger is open up to it.
        let taken = unsafe { layout.word(Stripe::Ledger, index) };
        ledger::untaken(taken, || self.total(layout, index))
    }

    /// Leaves a value as what was added to a word and not taken.
    pub(super) fn set(&self, layout: Layout<SHIFT>, index: u32, value: u64) {
        // SAFETY: an allocated word; the ledger is open up to it.
        let taken = unsafe { layout.word(Stripe::Ledger, index) };
        ledger::set(taken, || self.total(layout, index), value);
    }

    /// Takes what was added to a word and not taken.
    pub(super) fn take(&self, layout: Layout<SHIFT>, index: u32) -> u64 {
        // SAFETY: an allocated word; the ledger is open up to it.
        let taken = unsafe { layout.word(Stripe::Ledger, index) };
        ledger::take(taken, || self.total(layout, index))
    }
}

impl<const SHIFT: u32> Drop for Arena<SHIFT> {
    /// Only a domain's arena ever goes, with the domain.
    fn drop(&mut self) {
        if let Some(layout) = Layout::<SHIFT>::unpack(*self.layout.get_mut()) {
            // SAFETY: this was its last user.
            unsafe { os::release(layout.base(), layout.reserved()) };
        }
    }
}

/// Granules that hold a word and everything before it, growing by doubling.
fn granules(index: u32, stripe: usize) -> u32 {
    let needed = (index as usize * 8 + 8).div_ceil(GRANULE);
    needed.next_power_of_two().min(stripe / GRANULE) as u32
}

/// log2 of the room that a run of so many words takes; `None` if it is too long.
fn class(words: u32) -> Option<u32> {
    (1..=LONGEST_RUN)
        .contains(&words)
        .then(|| words.next_power_of_two().trailing_zeros())
}

/// The reservation, as the frontier opens it.
struct Memory<const SHIFT: u32>(Layout<SHIFT>);

impl<const SHIFT: u32> Open for Memory<SHIFT> {
    type Error = i32;

    fn open(&self, kind: Kind, stripes: Range<u32>, length: u32) -> Result<(), i32> {
        let bytes = length as usize * GRANULE;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: stripes of the reservation, no further than they reach.
        let open = |stripe| unsafe { os::open(self.0.stripe(stripe), bytes) };
        match kind {
            Kind::Cid => stripes.map(Stripe::Cid).try_for_each(open),
            Kind::Thread => {
                open(Stripe::Ledger)?;
                stripes.map(Stripe::Thread).try_for_each(open)
            }
        }
    }
}

/// How large an arena is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaStats {
    /// Address space, in bytes; 0 before the first use. Not memory.
    pub reserved: usize,
    /// Stripes that cids have used: the highest one and all below.
    pub cid_stripes: u32,
    /// Stripes that threads without sections have used.
    pub thread_stripes: u32,
    /// Words in use: one for each counter; rooms take a power of two.
    pub words: u32,
    /// Counters that could not have a word in the arena and count on shared ones.
    pub standby_words: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_take_a_power_of_two() {
        let classes = [0, 1, 2, 3, 8, 9, LONGEST_RUN, LONGEST_RUN + 1].map(class);
        let expected = [
            None,
            Some(0),
            Some(1),
            Some(2),
            Some(3),
            Some(4),
            Some(LONGEST),
            None,
        ];
        assert_eq!(classes, expected);
    }

    #[test]
    fn runs_come_back_zeroed_to_those_of_their_length() {
        let arena = Arena::<20>::new(false);
        let (layout, first) = arena.allocate_run(9).expect("memory");
        assert!(first.is_multiple_of(LINE));
        assert_eq!(arena.stats().words, 16);
        let stripe = Stripe::Thread(arena.thread_stripe());
        // SAFETY: words of the run, in an open stripe and in the ledger.
        let word = |index| unsafe { layout.word(stripe, first + index) };
        // SAFETY: as above.
        let shared = |index| unsafe { layout.word(Stripe::Ledger, first + index) };
        word(8).store(7, Ordering::Relaxed);
        shared(8).store(7, Ordering::Relaxed);
        let (_, other) = arena.allocate_run(16).expect("memory");
        assert_ne!(first, other);
        arena.free_run(layout, first, 9);
        assert_eq!(arena.allocate_run(12).expect("memory").1, first);
        let all = (0..16).flat_map(|index| [word(index), shared(index)]);
        assert!(
            all.into_iter()
                .all(|word| word.load(Ordering::Relaxed) == 0)
        );
        // What the alignment passed over serves as single words.
        let (_, single) = arena.allocate().expect("memory");
        assert!(single < first);
    }

    #[test]
    fn granules_hold_their_word_and_double() {
        const STRIPE: usize = 1 << 25;
        let words = (GRANULE / 8) as u32;
        assert_eq!(granules(1, STRIPE), 1);
        assert_eq!(granules(words - 1, STRIPE), 1);
        assert_eq!(granules(words, STRIPE), 2);
        assert_eq!(granules(2 * words, STRIPE), 4);
        assert_eq!(granules((1 << 22) - 1, STRIPE) as usize * GRANULE, STRIPE);
    }
}
