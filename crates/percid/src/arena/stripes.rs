//! The stripes of some words, as who reads or repairs them sees them.

use core::marker::PhantomData;
use core::sync::atomic::AtomicU64;

use super::frontier::Kind;
use super::layout::{Layout, Stripe};
use super::shared::Arena;

/// Whose stripe it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StripeOwner {
    /// A cid's: its words change by sections.
    Cid(u32),
    /// That of threads without sections, which may be several: its words change by single
    /// read-modify-writes.
    Thread(u32),
    /// Nobody's: words that all threads share.
    Shared,
}

/// The words of a [`Room`](crate::Room) in one stripe.
#[derive(Clone, Copy, Debug)]
pub struct StripeRef<'a> {
    owner: StripeOwner,
    words: &'a [AtomicU64],
}

impl<'a> StripeRef<'a> {
    /// # Safety
    ///
    /// The stripe is open up to the last word, and the arena and the words stay for `'a`.
    #[inline]
    pub(super) unsafe fn new<const SHIFT: u32>(
        layout: Layout<SHIFT>,
        stripe: Stripe,
        first: u32,
        words: u32,
    ) -> StripeRef<'a> {
        // SAFETY: the caller's contract; everybody treats them as atomic words.
        let words = unsafe { layout.words(stripe, first, words) };
        let owner = match stripe {
            Stripe::Cid(cid) => StripeOwner::Cid(cid),
            Stripe::Thread(thread) => StripeOwner::Thread(thread),
            Stripe::Ledger => StripeOwner::Shared,
        };
        StripeRef { owner, words }
    }

    /// Whose it is.
    #[inline]
    #[must_use]
    pub fn owner(&self) -> StripeOwner {
        self.owner
    }

    /// Its words, by the room's numbers.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &'a [AtomicU64] {
        self.words
    }
}

/// The stripes that may hold something: those of cids, then those of threads.
#[derive(Clone, Debug)]
pub struct Stripes<'a> {
    /// Address of the first word in the stripe of cid 0.
    base: usize,
    shift: u32,
    words: u32,
    cids: u32,
    threads: u32,
    /// Where the stripes of threads begin.
    reserved: u32,
    next: u32,
    life: PhantomData<&'a AtomicU64>,
}

impl Stripes<'_> {
    /// None at all.
    pub(super) fn none() -> Self {
        Stripes {
            base: 0,
            shift: 0,
            words: 0,
            cids: 0,
            threads: 0,
            reserved: 0,
            next: 0,
            life: PhantomData,
        }
    }

    /// # Safety
    ///
    /// The words are allocated in the arena, and both stay for as long as this.
    pub(super) unsafe fn new<const SHIFT: u32>(
        arena: &Arena<SHIFT>,
        layout: Layout<SHIFT>,
        first: u32,
        words: u32,
    ) -> Self {
        Stripes {
            base: layout.stripe(Stripe::Cid(0)) + first as usize * 8,
            shift: SHIFT,
            words,
            cids: arena.published(Kind::Cid),
            threads: arena.published(Kind::Thread),
            reserved: layout.cids,
            next: 0,
            life: PhantomData,
        }
    }
}

impl<'a> Iterator for Stripes<'a> {
    type Item = StripeRef<'a>;

    fn next(&mut self) -> Option<StripeRef<'a>> {
        let (owner, place) = if self.next < self.cids {
            (StripeOwner::Cid(self.next), self.next)
        } else {
            let thread = self.next - self.cids;
            if thread >= self.threads {
                return None;
            }
            (StripeOwner::Thread(thread), self.reserved + thread)
        };
        self.next += 1;
        let address = self.base + ((place as usize) << self.shift);
        let first = core::ptr::with_exposed_provenance(address);
        // SAFETY: published stripes are open up to every word that was allocated, and
        // everybody treats them as atomic words; they stay for as long as this.
        let words = unsafe { core::slice::from_raw_parts(first, self.words as usize) };
        Some(StripeRef { owner, words })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.cids + self.threads - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Stripes<'_> {}
