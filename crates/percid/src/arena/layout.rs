//! Where the words are.
//!
//! ```text
//! base
//! |-- stripe of cid 0 --|-- cid 1 --| ... |-- thread 0 --| ... |-- ledger --|
//! |                     |                 |                    |
//! 0                Layout::BYTES          cids                 cids + threads
//! ```
//!
//! Word `i` stands at the same place of every stripe. Sections write the stripes
//! of cids, threads without sections those of threads by read-modify-writes. The
//! ledger's word belongs to nobody's shard: it holds what was taken from a
//! counter, or, while the word is free, the next free word.

use core::sync::atomic::AtomicU64;

use percid_rseq::section::WordAddress;

/// log2 of a stripe's address space in the process's arena: room for four million
/// words; not memory.
pub(crate) const STRIPE_SHIFT: u32 = 25;

/// The same in a domain's: 131 thousand words, for there may be thousands of domains.
pub(crate) const DOMAIN_SHIFT: u32 = 20;

/// The unit in which stripes grow: at least a page, wherever this runs.
pub(crate) const GRANULE: usize = 64 << 10;

/// A reservation and how it is divided, in stripes of `1 << SHIFT` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout<const SHIFT: u32> {
    base: usize,
    /// Stripes for cids.
    pub(crate) cids: u32,
    /// Stripes for threads; at least one.
    pub(crate) threads: u32,
    /// Whether addresses in stripe 0, divided by 8, fit in 31 bits.
    pub(crate) low: bool,
}

/// Which stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stripe {
    Cid(u32),
    Thread(u32),
    Ledger,
}

impl<const SHIFT: u32> Layout<SHIFT> {
    /// Address space of one stripe.
    pub(super) const BYTES: usize = 1 << SHIFT;

    /// Words of a stripe.
    pub(super) const WORDS: u32 = (Self::BYTES / 8) as u32;

    pub(super) fn new(base: usize, cids: u32, threads: u32, low: bool) -> Self {
        Layout {
            base,
            cids,
            threads,
            low,
        }
    }

    /// Address space of a reservation with so many stripes.
    pub(super) fn bytes(cids: u32, threads: u32) -> usize {
        (cids as usize + threads as usize + 1) << SHIFT
    }

    pub(super) fn reserved(&self) -> usize {
        Self::bytes(self.cids, self.threads)
    }

    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// Address of a stripe's first byte.
    #[inline]
    pub(super) fn stripe(&self, stripe: Stripe) -> usize {
        let place = match stripe {
            Stripe::Cid(cid) => cid,
            Stripe::Thread(thread) => self.cids + thread,
            Stripe::Ledger => self.cids + self.threads,
        };
        self.base + ((place as usize) << SHIFT)
    }

    /// Word `index` of stripe 0, where sections count from.
    #[inline]
    pub(super) fn first(&self, index: u32) -> WordAddress {
        WordAddress::from_eighth(self.base / 8 + index as usize)
    }

    /// The number, in its stripe, of the word at an address; nothing outside of the stripes.
    pub(super) fn index_of(&self, address: usize) -> Option<u32> {
        let distance = address.checked_sub(self.base)?;
        let in_stripe = distance & (Self::BYTES - 1);
        (distance < self.reserved()).then_some((in_stripe / 8) as u32)
    }

    /// Whether an address is that of one of so many words from `first` on, in any stripe.
    pub(super) fn has_at(&self, word: *const AtomicU64, first: u32, words: u32) -> bool {
        self.index_of(word.addr())
            .is_some_and(|index| (first..first + words).contains(&index))
    }

    /// The same as a handle; only if the layout is `low`.
    pub(super) fn eighth(&self, index: u32) -> u32 {
        debug_assert!(self.low);
        (self.base / 8) as u32 + index
    }

    /// A word.
    ///
    /// # Safety
    ///
    /// The stripe is open up to this word, and the reservation stays for as long as the
    /// word is used.
    #[inline]
    pub(crate) unsafe fn word<'a>(&self, stripe: Stripe, index: u32) -> &'a AtomicU64 {
        let address = self.stripe(stripe) + index as usize * 8;
        // SAFETY: the reservation stays for so long, the caller says that this
        // part of it is open, and everybody treats it as atomic words.
        unsafe { AtomicU64::from_ptr(core::ptr::with_exposed_provenance_mut(address)) }
    }

    /// Consecutive words.
    ///
    /// # Safety
    ///
    /// As [`word`](Layout::word), for all of them.
    #[inline]
    pub(super) unsafe fn words<'a>(
        &self,
        stripe: Stripe,
        first: u32,
        count: u32,
    ) -> &'a [AtomicU64] {
        let address = self.stripe(stripe) + first as usize * 8;
        let first = core::ptr::with_exposed_provenance(address);
        // SAFETY: as in `word`; words of a stripe are consecutive.
        unsafe { core::slice::from_raw_parts(first, count as usize) }
    }

    /// As one number for a static: the base in granules, and the stripes.
    pub(super) fn pack(&self) -> u64 {
        assert!(self.base.is_multiple_of(GRANULE) && self.threads <= THREADS_MASK);
        ((self.base / GRANULE) as u64) << 32
            | u64::from(self.low) << 31
            | u64::from(self.threads) << CID_BITS
            | u64::from(self.cids)
    }

    /// The inverse of `pack`; `None` for 0.
    #[inline]
    pub(super) fn unpack(packed: u64) -> Option<Self> {
        (packed != 0).then_some(Layout {
            base: (packed >> 32) as usize * GRANULE,
            low: packed >> 31 & 1 != 0,
            threads: (packed >> CID_BITS) as u32 & THREADS_MASK,
            cids: packed as u32 & ((1 << CID_BITS) - 1),
        })
    }
}

const CID_BITS: u32 = 17;
const THREADS_MASK: u32 = (1 << (31 - CID_BITS)) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_survives_packing() {
        for (base, cids, threads, low) in [
            (4 << 30, 2, 64, true),
            (0x7fff_ffff_0000, 1 << 16, 1, false),
            (0xffff_ffff_0000, 1, 64, false),
        ] {
            let layout = Layout::<STRIPE_SHIFT>::new(base, cids, threads, low);
            assert_eq!(Layout::unpack(layout.pack()), Some(layout));
        }
        assert_eq!(Layout::<STRIPE_SHIFT>::unpack(0), None);
    }

    #[test]
    fn stripes_do_not_overlap() {
        let layout = Layout::<STRIPE_SHIFT>::new(4 << 30, 3, 2, true);
        let starts: Vec<usize> = [
            Stripe::Cid(0),
            Stripe::Cid(2),
            Stripe::Thread(0),
            Stripe::Thread(1),
            Stripe::Ledger,
        ]
        .map(|stripe| (layout.stripe(stripe) - layout.base()) >> STRIPE_SHIFT)
        .to_vec();
        assert_eq!(starts, [0, 2, 3, 4, 5]);
        assert_eq!(layout.reserved() >> STRIPE_SHIFT, 6);
        let word = |stripe| layout.stripe(stripe) + 7 * 8;
        assert_eq!(layout.index_of(word(Stripe::Cid(0))), Some(7));
        assert_eq!(layout.index_of(word(Stripe::Thread(1))), Some(7));
        assert_eq!(layout.index_of(layout.base() - 8), None);
        assert_eq!(layout.index_of(layout.base() + layout.reserved()), None);
    }
}
