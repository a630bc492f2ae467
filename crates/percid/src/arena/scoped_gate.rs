//! A word of a domain that sections add to while its gate is open.
//!
//! The domain's ids are shared with others, so the gate is a word of its own that sections
//! compare inside. The word has its place from the start.
//!
//! The gate stands in the object that it counts, so what a section needs is copied out of it
//! before: see [`apart`](super::apart).

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use percid_cid::{Domain, fences};
use percid_rseq::membarrier::{self, BarrierError};
use percid_rseq::portable;

use super::ArenaError;
use super::gate::AddIf;
use super::gated::Gated;
use super::scoped::ScopedRun;

const NEW: u32 = 0;
const OPEN: u32 = 1;
const CLOSED: u32 = 2;

/// A word in every stripe of a domain, and whether sections may add to it.
pub(crate) struct ScopedGate {
    /// Only read. In a cell, since whoever has a reference to all this may see it freed.
    run: UnsafeCell<ScopedRun>,
    gate: AtomicU32,
}

// SAFETY: `run` is, and nothing changes it.
unsafe impl Sync for ScopedGate {}

impl ScopedGate {
    /// Closed.
    pub(crate) fn new(domain: &Domain) -> Result<ScopedGate, ArenaError> {
        Ok(ScopedGate {
            run: UnsafeCell::new(ScopedRun::new(domain, 1)?),
            gate: AtomicU32::new(NEW),
        })
    }

    /// Not to be kept over a section that may put the last reference.
    #[inline(always)]
    fn run(&self) -> &ScopedRun {
        // SAFETY: nothing changes it.
        unsafe { &*self.run.get() }
    }

    fn adding(&self, n: u64) -> AddIf<'_> {
        AddIf {
            flag: &self.gate,
            expected: OPEN,
            n,
        }
    }
}

impl Gated for ScopedGate {
    fn is_new(&self) -> bool {
        // Ordering: Relaxed. Who acts on it looks again under the lock of switches.
        self.gate.load(Ordering::Relaxed) == NEW
    }

    #[inline(always)]
    fn add(&self, n: u64) -> bool {
        // SAFETY: the word changes by sections only, or by who has closed the gate, which
        // the section checks, and fenced.
        unsafe { self.run().apart().run_once(&self.adding(n)) }.is_ok()
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) -> bool {
        let kept = self.run().kept();
        // SAFETY: as in `add`.
        unsafe { kept.run(&self.adding(n)) }.is_ok()
    }

    fn place(&self) -> bool {
        if !(self.run().has_sections() && fences()) {
            // Ordering: Relaxed. The lock orders switches.
            self.gate.store(CLOSED, Ordering::Relaxed);
            return false;
        }
        for stripe in self.run().stripes() {
            let word = &stripe.words()[0];
            // Ordering: Relaxed. The caller is alone with the words, and the gate's
            // Release hands the zeros on. Untouched pages stay so.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
        true
    }

    fn is_open(&self) -> bool {
        // Ordering: Relaxed. Exact only for who holds the lock of switches.
        self.gate.load(Ordering::Relaxed) == OPEN
    }

    // Ordering: Release pairs with the Acquire of the load in sections: the words are
    // zero, or as they were when it was closed.
    fn open(&self) {
        self.gate.store(OPEN, Ordering::Release);
    }

    // Ordering: Relaxed. The fence is a full barrier here and on every CPU.
    fn close(&self) {
        if !self.is_new() {
            self.gate.store(CLOSED, Ordering::Relaxed);
        }
    }

    fn fence(&self) -> Result<(), BarrierError> {
        membarrier::fence()
    }

    fn sum(&self) -> u64 {
        let words = self
            .run()
            .stripes()
            .map(|stripe| portable::load(&stripe.words()[0]));
        words.fold(0, u64::wrapping_add)
    }
}
