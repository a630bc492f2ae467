//! Which word a section works on: its address in stripe 0, and where the id comes
//! from.

use core::marker::PhantomData;
use core::mem::offset_of;
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

/// The id that a table holds for the CPU, below a limit.
///
/// ```
/// use core::sync::atomic::{AtomicU32, AtomicU64};
/// use percid_rseq::section::{self, Slot, Table, TableHead, WordAddress};
///
/// /// A head, and a slot for each of four CPUs.
/// #[repr(C)]
/// struct FourCpus(TableHead, [Slot; 4]);
/// static TABLE: FourCpus = FourCpus(
///     TableHead { cpus: 4, limit: AtomicU32::new(4) },
///     // Every CPU has its own number as its id.
///     [Slot(AtomicU64::new(0)), Slot(AtomicU64::new(1)), Slot(AtomicU64::new(2)), Slot(AtomicU64::new(3))],
/// );
/// static WORDS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
///
/// // SAFETY: four slots follow the head, for ever.
/// let table = unsafe { Table::new((&raw const TABLE).cast()) };
/// let word = WordAddress::new(WORDS[0].as_ptr());
/// let _ = percid_rseq::enter_thread();
/// // SAFETY: four words, 8 bytes apart, that sections only change.
/// let done = section::retry(|| unsafe { section::increment::<_, 3>(table, word) });
/// // Refused on a fifth CPU, and where there are no sections.
/// println!("{done:?}");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    #[allow(dead_code, reason = "read by the bodies of sections only")]
    pub(crate) table: *const TableHead,
    life: PhantomData<&'a TableHead>,
}

/// What stands before the slots of a table.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct TableHead {
    /// Number of slots that follow.
    pub cpus: u32,
    /// Number of stripes that may be touched.
    pub limit: AtomicU32,
}

// Sections load both with one instruction.
const _: () = assert!(offset_of!(TableHead, cpus) == 0 && offset_of!(TableHead, limit) == 4);

/// One slot of a table, on a cache line of its own. Sections load the low half: an
/// id, or anything at or above the limit for "none".
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Slot(pub AtomicU64);

impl<'a> Table<'a> {
    /// A table at `head`.
    ///
    /// # Safety
    ///
    /// `head.cpus` slots follow `head` directly, and all live for `'a`.
    #[must_use]
    pub const unsafe fn new(head: *const TableHead) -> Table<'a> {
        Table {
            table: head,
            life: PhantomData,
        }
    }

    /// A table that refuses every section: for who has none yet.
    #[must_use]
    pub const fn closed() -> Table<'static> {
        static CLOSED: TableHead = TableHead {
            limit: AtomicU32::new(0),
            cpus: 0,
        };
        Table {
            table: &raw const CLOSED,
            life: PhantomData,
        }
    }
}

impl Index for MmCid<'_> {}
impl Index for Placed<'_> {}
impl Index for Cpu<'_> {}
impl Index for Table<'_> {}
