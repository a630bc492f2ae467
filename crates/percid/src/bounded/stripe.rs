//! A stripe's words, and what is done to them.

use core::sync::atomic::{AtomicU64, Ordering};

use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, portable};

use crate::arena::{Operation, StripeOwner, StripeRef};

/// The words of a stripe.
pub(super) const SPENT: usize = 0;
pub(super) const PROMISED: usize = 1;
pub(super) const REVOKED: usize = 2;
pub(super) const WORDS: u32 = 3;

/// Adds to one of the first two words, if what is left stays within `most`.
pub(super) struct Move<const WORD: usize> {
    pub(super) n: i64,
    pub(super) most: i64,
}

impl<const WORD: usize> Operation for Move<WORD> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        let (n, most) = (self.n.cast_unsigned(), self.most.cast_unsigned());
        // SAFETY: the caller's contract.
        unsafe { section::add_within::<I, SHIFT, WORD>(index, first, n, most) }
    }
}

/// What a stripe has left of what it was promised.
pub(super) fn left(stripe: &StripeRef<'_>) -> i64 {
    let load = |word: usize| portable::load(&stripe.words()[word]);
    let sum = load(SPENT).wrapping_add(load(PROMISED));
    sum.wrapping_add(load(REVOKED)).cast_signed()
}

/// Changes the word that no section writes.
pub(super) fn add_to(word: &AtomicU64, n: i64) {
    word.fetch_add(n.cast_unsigned(), Ordering::SeqCst);
}

pub(super) fn is_of_cid(stripe: &StripeRef<'_>) -> bool {
    matches!(stripe.owner(), StripeOwner::Cid(_))
}
