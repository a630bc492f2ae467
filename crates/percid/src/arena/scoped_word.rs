//! A word of a domain.

use core::sync::atomic::AtomicU64;

use percid_cid::Domain;
use percid_rseq::{portable, section};

use super::layout::DOMAIN_SHIFT;
use super::operation::Add;
use super::scoped::ScopedRun;
use super::{ArenaError, ledger};

/// A word in every stripe of a domain.
pub(crate) struct ScopedWord(ScopedRun);

impl ScopedWord {
    pub(crate) fn new(domain: &Domain) -> Result<ScopedWord, ArenaError> {
        Ok(ScopedWord(ScopedRun::new(domain, 1)?))
    }

    /// Adds 1.
    #[inline]
    pub(crate) fn increment(&self) {
        // SAFETY: an allocated word, or a closed table; the domain opens a stripe before its
        // id is in a slot, and closes none, and they change by sections only.
        let added = unsafe { section::increment::<_, DOMAIN_SHIFT>(self.0.ids, self.0.first) };
        if added.is_err() {
            self.add_slow(1);
        }
    }

    /// Adds `n`, wrapping.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // SAFETY: as in `increment`.
        let added = unsafe { section::add::<_, DOMAIN_SHIFT>(self.0.ids, self.0.first, n) };
        if added.is_err() {
            self.add_slow(n);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) {
        let mut done = None;
        // SAFETY: as in `increment`.
        unsafe { self.0.run_slow(&Add(n), &mut done) };
        if done.is_none() {
            let stripe = self
                .0
                .fallback()
                .expect("it has had its place from the start");
            portable::add(&stripe.words()[0], n);
        }
    }

    /// What was added and not taken; racy while others add.
    pub(crate) fn sum(&self) -> u64 {
        ledger::untaken(self.taken(), || self.total())
    }

    /// Takes what was added and not taken.
    pub(crate) fn take(&self) -> u64 {
        ledger::take(self.taken(), || self.total())
    }

    /// Leaves a value as what was added and not taken.
    pub(crate) fn set(&self, value: u64) {
        ledger::set(self.taken(), || self.total(), value);
    }

    fn taken(&self) -> &AtomicU64 {
        &self
            .0
            .shared()
            .expect("it has had its place from the start")[0]
    }

    fn total(&self) -> u64 {
        let words = self
            .0
            .stripes()
            .map(|stripe| portable::load(&stripe.words()[0]));
        words.fold(0, u64::wrapping_add)
    }
}
