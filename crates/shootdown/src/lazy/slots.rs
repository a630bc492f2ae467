//! The slots of every cid, and the sections that take and leave them.

use core::sync::atomic::{AtomicU64, Ordering};

use percid::{ArenaError, Operation, Room, StripeOwner};
use percid_rseq::Refusal;
use percid_rseq::section::{self, Index, WordAddress};

use super::object::{EXACT, Header};
use super::protocol::{NONE, Object, Slot, TOMB};

/// Slots of a stripe.
pub(super) const WAYS: usize = 4;

/// Words of a slot, in this order.
pub(super) const ACTIVE: usize = 0;
pub(super) const DYING: usize = 1;
pub(super) const POINTER: usize = 2;
/// Links the slots that wait to be left.
pub(super) const LINK: usize = 3;
const WORDS: usize = 4;

/// The slots of a domain.
pub(super) struct Slots {
    room: Room,
}

/// Takes the slot of a way if it holds this.
struct Hit(usize, u64);

impl Operation for Hit {
    type Output = *mut u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        // SAFETY: a slot of the room: `active` is changed from 0 by this section only, and
        // the others by holders, and by shootdowns behind their fence.
        unsafe { section::hit::<I, SHIFT>(index, first.offset(self.0 * WORDS), self.1) }
    }
}

/// What the slot of a way holds.
struct Peek(usize);

impl Operation for Peek {
    type Output = u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<u64, Refusal> {
        // SAFETY: a word of the room.
        unsafe { section::load::<I, SHIFT>(index, first.offset(self.0 * WORDS + POINTER)) }
    }
}

/// Leaves a slot, wherever it is.
struct Leave(WordAddress);

impl Operation for Leave {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        _: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: a slot that the caller of `Slots::leave` has taken.
        unsafe { section::leave(index, self.0) }
    }
}

impl Slots {
    pub(super) fn new() -> Result<Slots, ArenaError> {
        Ok(Slots {
            room: Room::try_new((WAYS * WORDS) as u32)?,
        })
    }

    /// Takes the current cid's slot of a way if it is idle, unmarked, and holds `object`.
    #[inline(always)]
    pub(super) fn hit(&self, way: usize, object: u64) -> Option<Slot> {
        debug_assert!(way < WAYS);
        // SAFETY: a way of the room; `Hit` says what changes its words.
        let slot = unsafe { self.room.run(&Hit(way, object)) };
        slot.ok().map(|slot| Slot(slot.expose_provenance() as u64))
    }

    /// What the current cid's slot of a way holds, just now.
    pub(super) fn peek(&self, way: usize) -> Option<u64> {
        // SAFETY: a way of the room.
        unsafe { self.room.run(&Peek(way)) }.ok()
    }

    /// Leaves a slot.
    ///
    /// # Errors
    ///
    /// [`Refusal::Mismatch`] if it is marked. Anything else: this thread can run no
    /// section now.
    ///
    /// # Safety
    ///
    /// The caller holds it.
    #[inline(always)]
    pub(super) unsafe fn leave(&self, slot: Slot) -> Result<(), Refusal> {
        let address = WordAddress::from_eighth(slot.0 as usize / 8);
        // SAFETY: the caller holds it.
        unsafe { self.room.run(&Leave(address)) }
    }

    /// A word of a slot.
    pub(super) fn word(&self, slot: Slot, word: usize) -> &AtomicU64 {
        let first = core::ptr::with_exposed_provenance_mut::<u64>(slot.0 as usize);
        // SAFETY: slots are named by their addresses, and stripes are never closed while
        // the room is there.
        unsafe { AtomicU64::from_ptr(first.add(word)) }
    }

    /// The slots of all cids, by their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, Slot)> {
        let stripes = self.room.stripes();
        stripes.flat_map(|stripe| {
            let cid = match stripe.owner() {
                StripeOwner::Cid(cid) => Some(cid),
                _ => None,
            };
            let words = stripe.words();
            cid.into_iter().flat_map(move |cid| {
                (0..WAYS).map(move |way| {
                    let first = words[way * WORDS].as_ptr().expose_provenance();
                    (cid * WAYS as u32 + way as u32, Slot(first as u64))
                })
            })
        })
    }

    /// The number of a slot.
    pub(super) fn number(&self, slot: Slot) -> u32 {
        let found = self.all().find(|&(_, other)| other == slot);
        found.expect("a slot of this domain").0
    }

    /// The next slot in the mask of an object, after one.
    pub(super) fn in_mask(&self, object: &Header, after: Option<Slot>) -> Option<Slot> {
        let mut all = self.all();
        if let Some(after) = after {
            all.by_ref().find(|&(_, slot)| slot == after);
        }
        all.find(|&(number, _)| {
            let (word, bit) = place(number);
            // Ordering: Acquire pairs with the Release of `set`.
            object.mask[word].load(Ordering::Acquire) & bit != 0
        })
        .map(|(_, slot)| slot)
    }

    // Ordering: Release, and the count that is given back afterwards orders it for the
    // shootdown.
    pub(super) fn set(&self, object: &Header, slot: Slot) {
        let (word, bit) = place(self.number(slot));
        if object.mask[word].load(Ordering::Relaxed) & bit == 0 {
            object.mask[word].fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// Whether the slot had a bit to itself.
    pub(super) fn clear(&self, object: &Header, slot: Slot) -> bool {
        let number = self.number(slot);
        let (word, bit) = place(number);
        if number < EXACT {
            object.mask[word].fetch_and(!bit, Ordering::AcqRel);
        }
        number < EXACT
    }

    /// Whether a slot leads to an object that nobody reaches any more.
    ///
    /// A holder may be about to replace such a pointer, so `active` is looked at first.
    // Ordering: Acquire. Whoever took the pointer away has lowered the object's count of
    // marks afterwards, which the caller has acquired.
    pub(super) fn lead_to(&self, object: Object) -> bool {
        self.all().any(|(_, slot)| {
            let [active, dying, pointer] =
                [ACTIVE, DYING, POINTER].map(|word| self.word(slot, word).load(Ordering::Acquire));
            pointer == object.0 && active == 0 || dying == object.0
        })
    }

    /// In a child of `fork`, whose shootdown's thread is gone: takes its marks away. The
    /// objects they were for are leaked.
    pub(super) fn lift_marks(&self) {
        for (_, slot) in self.all() {
            let dying = self.word(slot, DYING);
            // Ordering: Relaxed: there is one thread.
            let mark = dying.load(Ordering::Relaxed);
            if mark == TOMB {
                self.word(slot, POINTER).store(NONE, Ordering::Relaxed);
            }
            if mark != NONE {
                dying.store(NONE, Ordering::Relaxed);
            }
        }
    }
}

/// The word and the bit of a slot's number in a mask.
fn place(number: u32) -> (usize, u64) {
    let bit = number.min(EXACT);
    (bit as usize / 64, 1 << (bit % 64))
}
