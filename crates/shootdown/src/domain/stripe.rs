//! What a domain has in each stripe, and the sections that touch it.
//!
//! ```text
//! of a cid:     | 8 seats | 8 seats, bag of the first phase | 8 seats, bag of the second phase |
//! of a thread:  | readers of the first phase | readers of the second phase |
//! ```
//!
//! A phase is the distance of its bag from the start, in bytes. It is chosen in one of two
//! ways, for good when the domain opens:
//!
//! | where | what sections load | a reader's seat is | what is retired goes to |
//! | --- | --- | --- | --- |
//! | the kernel keeps ids | the [`Part`](percid::Part): limit, place and phase in one load | one of the eight of its phase | the bag behind them |
//! | elsewhere, and in domains of ids | the phase, or 0 while they may not enter | one of the first eight, marked with the phase | the bag at that distance |

use core::sync::atomic::{AtomicU64, Ordering};

use percid::{Operation, Room, StripeOwner, StripeRef};
use percid_rseq::Refusal;
use percid_rseq::section::{self, Index, WordAddress};

use super::retired::Retired;
use crate::counted;

/// Seats: readers of a cid that may be inside at once without a read-modify-write. One line.
pub(super) const SEATS: u32 = 8;

/// Words of a domain in a stripe: as many as a room has, for the larger the bags, the fewer
/// the fences.
pub(super) const WORDS: u32 = if cfg!(debug_assertions) {
    128
} else {
    Room::LONGEST
};

/// Words of a phase: its seats and its bag. Whole lines.
const PART: u32 = (WORDS - SEATS) / 2 / SEATS * SEATS;

/// Words of a bag for what was retired, two each, behind its length.
pub(super) const CAPACITY: u32 = (PART - SEATS - 1) & !1;

/// A phase.
pub(super) const FIRST: u64 = (SEATS + SEATS) as u64 * 8;
pub(super) const SECOND: u64 = FIRST + PART as u64 * 8;

/// The first word of what a phase has.
pub(super) fn part_of(phase: u64) -> u32 {
    phase as u32 / 8 - SEATS
}

/// Where the bag is of the phase that the part leads to: behind the seats.
pub(super) static BEHIND: AtomicU64 = AtomicU64::new(SEATS as u64 * 8);

/// The phase that follows.
pub(super) fn other(phase: u64) -> u64 {
    FIRST + SECOND - phase
}

/// The count of a phase in a stripe of threads.
pub(super) fn count_of(phase: u64) -> usize {
    usize::from(phase == SECOND)
}

/// Takes a free seat of the phase that the part leads to.
pub(super) struct Seat;

impl Operation for Seat {
    type Output = *mut u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        // SAFETY: the caller's contract; a seat that is taken is its guard's.
        unsafe { section::claim_any::<I, SHIFT, SEATS>(index, first) }
    }
}

/// The phase that is chosen, or 0 while sections may not enter: takes a free seat in it.
///
/// It is an operation itself, for one that is made on the stack is stored there each time.
pub(super) struct Chosen(pub(super) AtomicU64);

impl Operation for Chosen {
    type Output = *mut u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        // SAFETY: the caller's contract; a seat that is taken is its guard's.
        unsafe { section::claim_first::<I, SHIFT>(index, first, SEATS, &self.0) }
    }
}

/// Puts an object in the bag of the phase that is chosen at that moment.
#[derive(Clone, Copy)]
pub(super) struct Retire<'a> {
    /// The distance of the bag.
    pub(super) chosen: &'a AtomicU64,
    /// Words.
    pub(super) capacity: u32,
    pub(super) object: u64,
    pub(super) destroy: u64,
}

impl Operation for Retire<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract; both bags lie in the room, with `CAPACITY`
        // words each, which `capacity` is at most. Who collects one has fenced.
        unsafe {
            section::array_push_pair::<I, SHIFT>(
                index,
                first,
                self.chosen,
                self.capacity,
                self.object,
                self.destroy,
            )
        }
    }
}

/// The seats at a word.
fn seats(words: &[AtomicU64], at: u32) -> &[AtomicU64] {
    &words[at as usize..][..SEATS as usize]
}

/// Whether no reader of the phase is in a stripe.
// Ordering: Acquire pairs with the Release of a guard's drop. A seat that a section has
// taken anew is loaded as another value: that section loaded the 0 with acquire ordering
// before it stored (x86: every load; aarch64: `ldar`), so what the last reader did is before
// it on every CPU.
pub(super) fn is_left(stripe: &StripeRef<'_>, phase: u64) -> bool {
    let words = stripe.words();
    match stripe.owner() {
        StripeOwner::Cid(_) => {
            let is_free = |seat: &AtomicU64| seat.load(Ordering::Acquire) == 0;
            let is_other = |seat: &AtomicU64| seat.load(Ordering::Acquire) != phase;
            seats(words, part_of(phase)).iter().all(is_free) && seats(words, 0).iter().all(is_other)
        }
        _ => counted::is_left(&words[count_of(phase)]),
    }
}

/// Readers in a stripe, at this moment.
pub(super) fn readers(stripe: &StripeRef<'_>) -> u64 {
    let words = stripe.words();
    match stripe.owner() {
        StripeOwner::Cid(_) => [0, part_of(FIRST), part_of(SECOND)]
            .into_iter()
            .flat_map(|at| seats(words, at))
            .filter(|seat| seat.load(Ordering::Relaxed) != 0)
            .count() as u64,
        _ => words[..2]
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum(),
    }
}

/// Number of objects in the bag of a phase.
pub(super) fn bagged(stripe: &StripeRef<'_>, phase: u64) -> usize {
    match stripe.owner() {
        StripeOwner::Cid(_) => {
            let len = stripe.words()[phase as usize / 8].load(Ordering::Relaxed);
            len as u32 as usize / 2
        }
        _ => 0,
    }
}

/// Takes what is in the bag of a phase and leaves it empty.
///
/// # Safety
///
/// No section can push to that bag: another phase has been chosen, and a fence since then
/// has succeeded; or there are no sections. One thread at a time.
// Ordering: Relaxed. The fence came between the sections and this, and the next choice of
// this phase, which is a Release, between this and the next sections.
pub(super) unsafe fn collect(stripe: &StripeRef<'_>, phase: u64, into: &mut Vec<Retired>) {
    let count = bagged(stripe, phase);
    if count == 0 {
        return;
    }
    let (len, slots) = stripe.words()[phase as usize / 8..]
        .split_first()
        .expect("a bag has a length");
    into.reserve(count);
    for pair in slots[..2 * count].chunks_exact(2) {
        let [object, destroy] = [0, 1].map(|half| pair[half].load(Ordering::Relaxed) as usize);
        into.push(Retired {
            object: core::ptr::with_exposed_provenance_mut(object),
            // SAFETY: `retire_with` put the address of such a function here.
            destroy: unsafe {
                core::mem::transmute::<*const (), unsafe fn(*mut u8)>(
                    core::ptr::with_exposed_provenance(destroy),
                )
            },
        });
    }
    len.store(0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bags_do_not_overlap() {
        assert_eq!(other(FIRST), SECOND);
        assert_eq!(other(SECOND), FIRST);
        assert!(part_of(FIRST) >= SEATS);
        assert!(FIRST / 8 + 1 + u64::from(CAPACITY) <= u64::from(part_of(SECOND)));
        assert!(SECOND / 8 + 1 + u64::from(CAPACITY) <= u64::from(WORDS));
        assert_eq!(
            u64::from(part_of(FIRST)) * 8 + BEHIND.load(Ordering::Relaxed),
            FIRST
        );
        assert_eq!(
            u64::from(part_of(SECOND)) * 8 + BEHIND.load(Ordering::Relaxed),
            SECOND
        );
        assert!(CAPACITY.is_multiple_of(2));
        assert_ne!(count_of(FIRST), count_of(SECOND));
    }
}
