//! Which word a section works on: its address in stripe 0, and where the id comes
//! from.

use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::arch::Operations;

/// The address of a word in stripe 0.
///
/// Kept divided by 8, so that a structure whose stripe 0 lies below 32 GiB can
/// keep it in 4 bytes and a section needs no instruction more to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordAddress(pub(crate) usize);

impl WordAddress {
    /// The address of an aligned word.
    #[inline]
    #[must_use]
    pub fn new(word: *mut u64) -> WordAddress {
        debug_assert!(!word.is_null() && word.is_aligned(), "a word at {word:p}");
        WordAddress(word.expose_provenance() >> 3)
    }

    /// An address that was divided by 8; its memory was exposed.
    #[inline]
    #[must_use]
    pub const fn from_eighth(eighth: usize) -> WordAddress {
        WordAddress(eighth)
    }

    /// The word that stands so many words after this one.
    #[inline]
    #[must_use]
    pub const fn offset(self, words: usize) -> WordAddress {
        WordAddress(self.0 + words)
    }
}

/// Where a section finds its id: [`MmCid`], [`Placed`], [`Table`] or [`Cpu`].
#[allow(private_bounds, reason = "nobody else can write a section")]
pub trait Index: Operations {}

/// The kernel's concurrency id, below a limit.
#[derive(Clone, Copy, Debug)]
pub struct MmCid<'a> {
    /// Number of stripes that may be touched.
    ///
    /// Sections load it with acquire ordering. So a limit that is one structure's own is
    /// its gate, too: whoever stores 0 and then [fences](crate::membarrier::fence) has the
    /// words to itself, until it stores another number with release ordering.
    pub limit: &'a AtomicU32,
}

/// The kernel's concurrency id, below a limit that one word holds together with the place
/// of what sections work on: so that both change, and are loaded, at once.
///
/// The word is [`Placed::word`]. What an operation is given as an address counts from that
/// place: `WordAddress::from_eighth(3)` is its fourth word. The word is loaded with acquire
/// ordering: whoever stores another place and then [fences](crate::membarrier::fence) knows
/// that no section commits at the old one any more.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// 0 refuses every section.
    pub at: &'a AtomicU64,
}

impl Placed<'_> {
    /// What says: the first `limit` stripes, words from `place` on, which in stripe 0 is
    /// below 32 GiB.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[must_use]
    pub const fn word(limit: u32, place: WordAddress) -> u64 {
        assert!(place.0 <= u32::MAX as usize, "a place above 32 GiB");
        (place.0 as u64) << 32 | limit as u64
    }
}

/// The CPU number, below a limit.
#[derive(Clone, Copy, Debug)]
pub struct Cpu<'a> {
    /// Number of stripes that may be touched.
    pub limit: &'a AtomicU32,
}

/// The id that a table holds for the CPU. There is no limit: whoever puts an id in a slot
/// has opened its stripe.
///
/// ```
/// use core::sync::atomic::AtomicU64;
/// use percid_rseq::section::{self, SLOTS, Slot, Slots, Table, WordAddress};
///
/// // Of four CPUs, each has its own number as its id. A fifth has none.
/// static SLOTS_OF_FOUR: Slots = {
///     let mut slots = [const { Slot::new() }; SLOTS];
///     slots[0] = Slot::with_id(0);
///     slots[1] = Slot::with_id(1);
///     slots[2] = Slot::with_id(2);
///     slots[3] = Slot::with_id(3);
///     slots
/// };
/// static WORDS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
///
/// let word = WordAddress::new(WORDS[0].as_ptr());
/// let _ = percid_rseq::enter_thread();
/// let table = Table::new(&SLOTS_OF_FOUR);
/// // SAFETY: four words, 8 bytes apart, that sections only change.
/// let done = section::retry(|| unsafe { section::increment::<_, 3>(table, word) });
/// // Refused on a fifth CPU, and where there are no sections.
/// println!("{done:?}");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    #[allow(dead_code, reason = "read by the bodies of sections only")]
    pub(crate) slots: &'a Slots,
}

/// One slot of a table. Sections load the low half, as a signed number: `c + 1` is the id
/// `c`, and what is not above 0 is none. What the high half is, is its owner's affair.
///
/// Sections of eight CPUs read the same cache line. That costs when a slot changes, which
/// is when an id moves, and saves an instruction in every section.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Slot(pub AtomicU64);

impl Slot {
    /// Without an id.
    #[must_use]
    pub const fn new() -> Slot {
        Slot(AtomicU64::new(0))
    }

    /// With an id, below 2^31 - 1.
    #[must_use]
    pub const fn with_id(id: u32) -> Slot {
        Slot(AtomicU64::new(id as u64 + 1))
    }
}

/// Number of slots of a table: no kernel is built for more CPUs. One that were is refused
/// from there on, so a section needs no length. What no CPU reads takes no memory where
/// the table is mapped.
pub const SLOTS: usize = 8192;

/// The slots of a table, by CPU number.
pub type Slots = [Slot; SLOTS];

impl<'a> Table<'a> {
    /// A table of these slots.
    #[must_use]
    pub const fn new(slots: &'a Slots) -> Table<'a> {
        Table { slots }
    }

    /// A table that refuses every section: for who has none yet.
    #[must_use]
    pub const fn closed() -> Table<'static> {
        static CLOSED: Slots = [const { Slot::new() }; SLOTS];
        Table { slots: &CLOSED }
    }
}

impl Index for MmCid<'_> {}
impl Index for Placed<'_> {}
impl Index for Cpu<'_> {}
impl Index for Table<'_> {}
