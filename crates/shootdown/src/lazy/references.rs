//! An object's references: how many are counted, and where it may be cached.
//!
//! ```text
//! alone    count is what the caller gives back, and no slot has ever cached it
//! show     count is 1, and no cell has ever had it: plain stores.  else count += BIAS - 1
//! hide     count -= BIAS - 1
//! drop     alone: it was the last one.  else count -= given; it was the last one at 0
//! upgrade  count += 1, unless it is 0
//! cache    by a count: cached = true; mask |= the slot's bit; count -= 1
//! clear    mask &= all others: who holds the slot, and has found the object there
//! the last one is gone and the mask is 0: free it.  else it is shot down
//! ```
//!
//! Who has a count keeps the object alive; so does a lease by a slot, which has none. So a
//! count can come from nowhere as long as a slot has the object: `cached` and `shown` say
//! whether that may be, and are looked at *after* the count, which orders them.
//!
//! In atomics alone, so that loom checks it, and that each rule here is needed.

use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};

/// What a cell's own reference counts for: more than the readers that there can be, so
/// that the count is not zero before those that counted themselves outside are counted in.
pub(crate) const BIAS: u64 = 1 << 32;

/// Slots that have a bit of their own; the last bit stands for all others.
const EXACT: u32 = 64 * WORDS as u32 - 1;

/// A slot has cached the object.
const CACHED: u8 = 1;

/// A leaver has emptied a slot of it.
#[cfg(not(loom))]
const EMPTIED: u8 = 2;

const WORDS: usize = if cfg!(loom) { 1 } else { 2 };

/// Which rules hold: all, except in the mutants that loom's tests define to see that it
/// finds them.
pub(crate) trait Rules: 'static {
    /// The count is looked at before what says whether a count may come from nowhere.
    const COUNT_FIRST: bool = true;
    /// Pairs with [`GIVE`](Rules::GIVE): what was done under the references that went.
    const SHOW: Ordering = Acquire;
    /// Pairs with [`CACHED`](Rules::CACHED): who cached the object is counted, or seen.
    const ALONE: Ordering = Acquire;
    /// What is alone is what was never cached, not what is in no slot just now.
    const NEVER_CACHED: bool = true;
    /// The last one sees what was done under all others.
    const GIVE: Ordering = AcqRel;
    /// The object is not touched after that.
    const GIVES_LAST: bool = true;
    /// From who caches the object, by the count that it gives back, to who gives the last.
    const CACHED: Ordering = AcqRel;
    /// From who has used the object in a slot to who frees it.
    const CLEAR: Ordering = AcqRel;
    const UNMASKED: Ordering = Acquire;
    /// A count of zero stays.
    const SPARES_ZERO: bool = true;
    /// A cell's word says that what it holds has been lent out: by a reader that counts it,
    /// and by who puts an object there that others have.
    const LENDS: bool = true;
    const SHOWS_LENT: bool = true;
    /// A reader of a cell finds the object that was published.
    const COUNT_OUTSIDE: Ordering = AcqRel;
    /// From who has counted to who takes the object out of the cell.
    const COUNTED: Ordering = AcqRel;
    const REPLACE: Ordering = AcqRel;
}

/// Every rule holds.
pub(crate) struct Sound;

impl Rules for Sound {}

/// Ends the process where a count, as it was, is half of what there is room for: references
/// that are forgotten again and again, as of `Arc`.
fn in_range(count: u64) {
    if count > u64::MAX / 2 {
        std::process::abort();
    }
}

/// The references of an object.
#[repr(C)]
pub(crate) struct References<R = Sound> {
    /// Counted references, and [`BIAS`] for each cell.
    pub(super) count: AtomicU64,
    /// Marks that are to be resolved, and 1 for the shootdown, whose lock goes with it.
    pub(crate) pending: AtomicU32,
    /// Whether leases are to take the object out of their slots: its cell has given it up.
    pub(crate) stale: AtomicBool,
    /// Whether a cell has ever held it.
    shown: AtomicBool,
    /// Whether a slot has ever cached it: not 0. Bits of the mask go, this stays.
    cached: AtomicU8,
    /// Bytes of the allocation before the object: here is room for it.
    pub(crate) before: u8,
    /// The slots that may hold it, by number.
    mask: [AtomicU64; WORDS],
    rules: PhantomData<R>,
}

impl<R: Rules> References<R> {
    /// One counted reference.
    pub(crate) fn new(before: u8) -> References<R> {
        References {
            count: AtomicU64::new(1),
            pending: AtomicU32::new(1),
            stale: AtomicBool::new(false),
            shown: AtomicBool::new(false),
            cached: AtomicU8::new(0),
            before,
            mask: core::array::from_fn(|_| AtomicU64::new(0)),
            rules: PhantomData,
        }
    }

    /// One more; the caller has one.
    // Ordering: Relaxed, as Arc: nobody needs to see it before what the caller does next.
    pub(crate) fn clone_one(&self) {
        in_range(self.count.fetch_add(1, Relaxed));
    }

    /// One more, by a lease, unless the last one is gone: the shootdown has begun.
    // Ordering: Relaxed, as a clone: the lease has what it needs.
    pub(crate) fn upgrade(&self) -> bool {
        let more = |count| (count > 0 || !R::SPARES_ZERO).then_some(count + 1);
        self.count
            .fetch_update(Relaxed, Relaxed, more)
            .map(in_range)
            .is_ok()
    }

    /// The caller's reference becomes a cell's; whether it is the only one that there is and
    /// was.
    pub(crate) fn show(&self) -> bool {
        // The count first: whoever has shown it meanwhile, and given that back, was counted
        // then, or is seen to have shown it.
        let early = !R::COUNT_FIRST && !self.shown.load(Relaxed);
        // Ordering: Acquire, as `Rules::SHOW` says.
        let alone = self.count.load(R::SHOW) == 1;
        if alone && (early || !self.shown.load(Relaxed)) {
            // Nobody else has a reference, and no cell has ever lent one out.
            self.shown.store(true, Relaxed);
            self.count.store(BIAS, Relaxed);
            true
        } else {
            self.shown.store(true, Relaxed);
            // Ordering: Relaxed: counted already.
            in_range(self.count.fetch_add(BIAS - 1, Relaxed));
            false
        }
    }

    /// A cell's reference becomes the caller's.
    // Ordering: Relaxed: one is left.
    pub(crate) fn hide(&self) {
        self.count.fetch_sub(BIAS - 1, Relaxed);
    }

    /// Gives so much of an object's count back; whether that was the last of it. Otherwise
    /// others may free it at once: it is named by a pointer, for a reference that is passed
    /// promises that it stays.
    ///
    /// # Safety
    ///
    /// The caller's count.
    pub(crate) unsafe fn give_back(references: NonNull<Self>, given: u64) -> bool {
        let references = references.as_ptr();
        // SAFETY: counted, so alive up to the end of this block.
        let (count, cached, mask) = unsafe {
            (
                &(*references).count,
                &(*references).cached,
                &(*references).mask,
            )
        };
        // If nothing else is counted, and no slot has ever had it, then nobody else has a
        // reference to count from. The mask does not say that: a lease may be upgraded and
        // its slot's bit cleared after the count was looked at.
        let never = || match R::NEVER_CACHED {
            true => cached.load(Relaxed) == 0,
            false => is_empty(mask, R::UNMASKED),
        };
        // Ordering: Acquire, as `Rules::ALONE` says.
        if count.load(R::ALONE) == given && never() {
            return true;
        }
        let last = count.fetch_sub(given, R::GIVE) == given;
        if !R::GIVES_LAST {
            count.load(Relaxed);
        }
        last
    }

    /// Gives the reference back by which a slot has cached the object; whether that was the
    /// last one. The slot has it from here on: it stays until that is left.
    pub(crate) fn give_cached_back(&self) -> bool {
        self.count.fetch_sub(1, R::CACHED) == 1
    }

    /// A slot caches it, by a count that is given back afterwards.
    // Ordering: Relaxed; and the count that is given back orders it. So does Release for who
    // looks for the slots by the mask.
    pub(crate) fn cache(&self, slot: u32) {
        if self.cached.load(Relaxed) == 0 {
            self.cached.store(CACHED, Relaxed);
        }
        let (word, bit) = place(slot);
        if self.mask[word].load(Relaxed) & bit == 0 {
            self.mask[word].fetch_or(bit, AcqRel);
        }
    }

    /// The slot's bit goes, if it has one to itself. The object may be gone then.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, and found there the object, unmarked.
    // Ordering: Release pairs with `is_in_no_mask`.
    pub(crate) unsafe fn clear(references: NonNull<Self>, slot: u32) {
        let (word, bit) = place(slot);
        if has_own_bit(slot) {
            // SAFETY: alive as long as the bit is set and the slot is held.
            let word = unsafe { &(*references.as_ptr()).mask[word] };
            word.fetch_and(!bit, R::CLEAR);
        }
    }

    /// A leaver is about to empty a slot of it: for statistics.
    // Ordering: Relaxed: a slot has cached it, so this stays what it was for others.
    #[cfg(not(loom))]
    pub(crate) fn note_emptied(&self) {
        if self.cached.load(Relaxed) & EMPTIED == 0 {
            self.cached.fetch_or(CACHED | EMPTIED, Relaxed);
        }
    }

    /// Whether a slot has ever cached it, as who saw its count fall to zero may ask.
    #[cfg(not(loom))]
    pub(crate) fn was_cached(&self) -> bool {
        self.cached.load(Relaxed) != 0
    }

    /// Whether a leaver has emptied a slot of it, as may be asked then, too.
    #[cfg(not(loom))]
    pub(crate) fn was_emptied(&self) -> bool {
        self.cached.load(Relaxed) & EMPTIED != 0
    }

    /// Whether the slot may hold it.
    // Ordering: Acquire pairs with the Release of `cache`.
    pub(crate) fn is_in_mask(&self, slot: u32) -> bool {
        let (word, bit) = place(slot);
        self.mask[word].load(Acquire) & bit != 0
    }

    /// Whether no slot is left that may have it, as who saw its count fall to zero may ask.
    // Ordering: Acquire pairs with the AcqRel of `clear`: who cleared the bit has used the
    // object before. The words change by read-modify-writes only, so a 0 that is read
    // synchronizes with every clear before it.
    pub(crate) fn is_in_no_mask(&self) -> bool {
        is_empty(&self.mask, R::UNMASKED)
    }

    /// The object is freed: from here on nobody may touch this, and loom sees who does.
    #[cfg(loom)]
    pub(crate) fn end(&mut self) {
        self.count.with_mut(|_| ());
        self.mask.iter_mut().for_each(|word| word.with_mut(|_| ()));
    }
}

fn is_empty(mask: &[AtomicU64; WORDS], order: Ordering) -> bool {
    mask.iter().all(|word| word.load(order) == 0)
}

/// Whether the slot with a number has a bit of its own.
pub(crate) fn has_own_bit(number: u32) -> bool {
    number < EXACT
}

/// The word and the bit of a slot's number in a mask.
fn place(number: u32) -> (usize, u64) {
    let bit = number.min(EXACT);
    (bit as usize / 64, 1 << (bit % 64))
}
