//! The slots of every cid, and the sections that take and leave them.

use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use percid::{
    ArenaError, Counter, Domain, Operation, Place, Room, Source, StripeOwner, Stripes, backend,
};
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, membarrier};

use super::home::Home;
use super::object::{Header, named};
use super::protocol::{NONE, Object, Slot};
use super::references::{References, has_own_bit};

/// Slots of a stripe.
pub(super) const WAYS: usize = 4;

/// Words of a slot, from where it begins: that is the first of its four words, or the
/// second, if who leaves it has more to do than that (`LOOK`).
pub(super) const ACTIVE: usize = 0;
pub(super) const POINTER: usize = 1;
const WORDS: usize = 4;

/// The last one of the four is the home's name.
const HOME: u64 = 24;
const BYTES: u64 = 32;

/// Set in the address of a slot that begins with its second word. It stands for more to
/// do than to leave: also in what is no slot at all (`COUNTED`).
pub(super) const LOOK: u64 = 8;

/// In the place of a slot: a counted reference.
pub(super) const COUNTED: Slot = Slot(LOOK);

/// The slots of a domain.
pub(super) struct Slots {
    room: Ids,
    /// The word of its four that a slot begins with.
    begins: usize,
    /// Whether objects are cached at all: sections and fences are to be had.
    caches: bool,
}

// Made by one thread, and given back by another.
const _: fn() = || {
    fn by_any_thread<T: Send + Sync>() {}
    by_any_thread::<Slots>();
};

/// By whose ids.
enum Ids {
    Process(Room),
    Domain(Room<Domain>),
}

impl Ids {
    /// # Safety
    ///
    /// As [`Room::run`].
    #[inline(always)]
    unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        // SAFETY: the caller's contract.
        unsafe {
            match self {
                Ids::Process(room) => room.run(operation),
                Ids::Domain(room) => room.run(operation),
            }
        }
    }

    fn stripes(&self) -> Stripes<'_> {
        match self {
            Ids::Process(room) => room.stripes(),
            Ids::Domain(room) => room.stripes(),
        }
    }
}

const WORDS_OF_ALL: u32 = (WAYS * WORDS) as u32;

/// Registers for the fence, too, before anybody waits for one. That it aborts sections is
/// not asked: a take that it does not abort commits later, and finds the mark. See "Why a
/// hit is safe".
fn fences() -> bool {
    membarrier::fence().is_ok()
}

/// Takes the slot at a word.
struct Take(usize);

impl Operation for Take {
    type Output = *mut u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        // SAFETY: the first word of a slot in the room: changed from 0 by this section
        // only, and back to 0 by its holder.
        unsafe { section::claim::<I, SHIFT>(index, first.offset(self.0), 1) }
    }
}

/// What a word holds.
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
        unsafe { section::load::<I, SHIFT>(index, first.offset(self.0)) }
    }
}

impl Slot {
    /// Takes the current cid's slot at a place, if it is idle and nothing disturbs that.
    #[inline(always)]
    pub(super) fn take(place: Place) -> Option<Slot> {
        // SAFETY: a word of a home's room. The process's are never given back. Those of a
        // domain of ids, which may be `Domain::process()`, are there as long as the home has
        // handles, and who loads has one: the cell. `Take` says what changes the word.
        let slot = unsafe { place.run_once(&Take(0)) };
        slot.ok().map(|slot| Slot(slot.expose_provenance() as u64))
    }

    #[inline(always)]
    pub(super) fn word(self, word: usize) -> &'static AtomicU64 {
        let first = core::ptr::with_exposed_provenance_mut::<u64>(self.0 as usize);
        // SAFETY: slots are named by their addresses. Neither stripes nor the slots of homes
        // are ever given back, but for those of a domain of ids, when nobody comes any more:
        // see `Home`.
        unsafe { AtomicU64::from_ptr(first.add(word)) }
    }

    /// What it holds.
    // Ordering: Acquire pairs with the Release of who installed it. It comes after the
    // section's commit in the program, and the fence of a shootdown keeps it there.
    #[inline(always)]
    pub(super) fn pointer(self) -> u64 {
        compiler_fence(Ordering::SeqCst);
        self.word(POINTER).load(Ordering::Acquire)
    }

    /// Leaves it, and then looks at what it holds: from here on it may be somebody else's.
    ///
    /// # Safety
    ///
    /// The caller holds it.
    // Ordering: Release pairs with the Acquire of the next section that takes it, and with
    // that of a shootdown that finds it idle. The look must come after the store: the
    // compiler keeps it there, and the fence of a shootdown does for the CPU.
    #[inline(always)]
    pub(super) unsafe fn leave(self) -> u64 {
        self.word(ACTIVE).store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        self.word(POINTER).load(Ordering::Relaxed)
    }

    /// Leaves it, and touches it no more. From here on it may be somebody else's, or gone.
    ///
    /// # Safety
    ///
    /// The caller holds it.
    // Ordering: as `leave`; what the caller looks at then is elsewhere, and must come after.
    pub(super) unsafe fn depart(self) {
        self.word(ACTIVE).store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }

    /// The home of a slot that holds something.
    pub(super) fn home(self) -> Option<&'static Home> {
        let address = self.0 & !(BYTES - 1) | HOME;
        // Ordering: Relaxed: it was stored before the pointer, and never changes.
        let name = Slot(address).word(0).load(Ordering::Relaxed);
        // SAFETY: what `belongs_to` stored.
        (name != NONE).then(|| unsafe { Home::at(name) })
    }

    /// Says whose it is.
    pub(super) fn belongs_to(self, home: &Home) {
        let address = self.0 & !(BYTES - 1) | HOME;
        Slot(address).word(0).store(home.name(), Ordering::Relaxed);
    }
}

impl Slots {
    /// By the process's ids; whether who leaves one looks at its object before.
    pub(super) fn new(looks: bool) -> Result<Slots, ArenaError> {
        let sections = backend().source != Source::Thread;
        Ok(Slots {
            room: Ids::Process(Room::try_new(WORDS_OF_ALL)?),
            begins: usize::from(looks),
            caches: sections && fences(),
        })
    }

    /// By a domain's. Who leaves one looks at its home.
    pub(super) fn in_domain(ids: &Domain) -> Result<Slots, ArenaError> {
        let sections = [ids.source(), backend().source];
        Ok(Slots {
            room: Ids::Domain(Room::in_domain(ids, WORDS_OF_ALL)?),
            begins: 1,
            caches: !sections.contains(&Source::Thread) && fences(),
        })
    }

    #[inline]
    pub(super) fn caches(&self) -> bool {
        self.caches
    }

    /// The word that the slot of a way begins with.
    #[inline]
    pub(super) fn first(&self, way: usize) -> usize {
        way % WAYS * WORDS + self.begins
    }

    /// Where sections find the slots at a word.
    pub(super) fn place(&self, first: usize) -> Place {
        match &self.room {
            Ids::Process(room) => room.place(first as u32),
            Ids::Domain(room) => room.place(first as u32),
        }
    }

    /// Takes the current cid's slot at a word, if it is idle; the first time by this cid, too.
    #[inline(always)]
    pub(super) fn take(&self, first: usize) -> Option<Slot> {
        // SAFETY: a word of the room; `Take` says what changes it.
        let slot = unsafe { self.room.run(&Take(first)) };
        slot.ok().map(|slot| Slot(slot.expose_provenance() as u64))
    }

    /// What the current cid's slot at a word holds, just now.
    pub(super) fn peek(&self, first: usize) -> Option<u64> {
        // SAFETY: a word of the room.
        unsafe { self.room.run(&Peek(first + POINTER)) }.ok()
    }

    /// The slots of all cids, by their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, Slot)> {
        let stripes = self.room.stripes();
        let begins = self.begins;
        stripes.flat_map(move |stripe| {
            let cid = match stripe.owner() {
                StripeOwner::Cid(cid) => Some(cid),
                _ => None,
            };
            let words = stripe.words();
            cid.into_iter().flat_map(move |cid| {
                (0..WAYS).map(move |way| {
                    let first = words[way * WORDS + begins].as_ptr().expose_provenance();
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
        all.find(|&(number, _)| object.references.is_in_mask(number))
            .map(|(_, slot)| slot)
    }

    /// The slot caches the object.
    pub(super) fn set(&self, object: &Header, slot: Slot) {
        object.references.cache(self.number(slot));
    }

    /// The slot's bit goes, if it has one to itself: that is counted before, for the object
    /// may be gone then.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, and found there the object, unmarked.
    pub(super) unsafe fn clear(&self, object: Object, slot: Slot, cleared: &Counter) {
        let number = self.number(slot);
        if has_own_bit(number) {
            cleared.inc();
        }
        // SAFETY: the caller's contract.
        unsafe { References::clear(Header::references(named(object)), number) };
    }

    /// Whether a slot leads to an object that nobody reaches any more.
    ///
    /// A holder may be about to replace such a pointer, so `active` is looked at first.
    // Ordering: Acquire, as who has found the slot idle.
    pub(super) fn lead_to(&self, object: Object) -> bool {
        self.all().any(|(_, slot)| {
            let [active, pointer] =
                [ACTIVE, POINTER].map(|word| slot.word(word).load(Ordering::Acquire));
            pointer == object.0 && active == 0 || pointer == object.marked()
        })
    }
}
