//! A word of the process's arena that sections add to while its gate is open.
//!
//! # The gate
//!
//! | value | the word is | added to by |
//! | --- | --- | --- |
//! | 0 | nowhere yet | nobody |
//! | `0aaa…`, from 2^29 on | at address `a << 3` of stripe 0 | sections, inline |
//! | `0iii…`, below 2^29 | word `i` of the arena | sections, out of line |
//! | `1…` | what the other bits say; nowhere, and not wanted, for none | nobody |
//!
//! A section checks the gate inside, against the value that it was entered with. So who
//! closes the gate and fences has all that was ever added in the stripes, and is alone
//! with them until it is opened again.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use percid_cid::{Source, backend};
use percid_rseq::membarrier::{self, BarrierError};
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Preserved, Refusal};

use super::gated::Gated;
use super::layout::{Layout, STRIPE_SHIFT};
use super::operation::Operation;
use super::process::{self, arena};

const CLOSED: u32 = 1 << 31;

/// The lowest address of stripe 0, divided by 8: stripes lie at 4 GiB or above.
const LOWEST: u32 = 1 << 29;

/// A word in every stripe, and whether sections may add to it.
pub(crate) struct Gate(AtomicU32);

impl Gate {
    /// Nowhere yet, and so closed.
    pub(crate) const fn new() -> Gate {
        Gate(AtomicU32::new(0))
    }
}

impl Gated for Gate {
    fn is_new(&self) -> bool {
        // Ordering: Relaxed. Who acts on it looks again under the lock of switches.
        self.0.load(Ordering::Relaxed) == 0
    }

    // Ordering: Acquire pairs with the Release of `open`: who sees the gate open sees
    // the pages that were opened for it.
    #[inline(always)]
    fn add(&self, n: u64) -> bool {
        let gate = self.0.load(Ordering::Acquire);
        if gate.cast_signed() < LOWEST.cast_signed() {
            return false;
        }
        let word = WordAddress::from_eighth(gate as usize);
        // SAFETY: the word of an open gate is allocated; stripes below the limit are open
        // up to it, are never closed, and change by sections only, or by who has closed
        // the gate, which the section checks, and fenced.
        unsafe { section::add_if::<_, STRIPE_SHIFT>(process::index(), word, &self.0, gate, n) }
            .is_ok()
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) -> bool {
        // Ordering: Acquire, as `add`.
        let gate = self.0.load(Ordering::Acquire);
        match word(gate) {
            Some((layout, index)) if gate & CLOSED == 0 => {
                let add = AddIf {
                    flag: &self.0,
                    expected: gate,
                    n,
                };
                // SAFETY: as in `add`.
                unsafe { process::run(layout, index, &add) }.is_ok()
            }
            _ => false,
        }
    }

    fn place(&self) -> bool {
        // Ordering: Relaxed, here and below: the lock orders switches.
        let gate = self.0.load(Ordering::Relaxed);
        if let Some((layout, index)) = word(gate) {
            arena().clear(layout, index);
            return true;
        }
        let _errno = Preserved::new();
        let handle = if is_possible() { in_arena() } else { None };
        self.0
            .store(CLOSED | handle.unwrap_or(0), Ordering::Relaxed);
        handle.is_some()
    }

    fn is_open(&self) -> bool {
        // Ordering: Relaxed. Exact only for who holds the lock of switches.
        let gate = self.0.load(Ordering::Relaxed);
        gate != 0 && gate & CLOSED == 0
    }

    // Ordering: Release pairs with the Acquire of every load of the gate, inside sections
    // and before them: the words are zero, or as they were when it was closed.
    fn open(&self) {
        let gate = self.0.load(Ordering::Relaxed);
        debug_assert!(gate & !CLOSED != 0, "a gate without a word");
        self.0.store(gate & !CLOSED, Ordering::Release);
    }

    // Ordering: Relaxed. The fence is a full barrier here and on every CPU.
    fn close(&self) {
        let gate = self.0.load(Ordering::Relaxed);
        if gate != 0 {
            self.0.store(gate | CLOSED, Ordering::Relaxed);
        }
    }

    fn fence(&self) -> Result<(), BarrierError> {
        membarrier::fence()
    }

    fn sum(&self) -> u64 {
        // Ordering: Relaxed. Only who holds the lock of switches changes which word it is.
        word(self.0.load(Ordering::Relaxed))
            .map_or(0, |(layout, index)| arena().total(layout, index))
    }
}

/// The add, by whatever ids the process has.
struct AddIf<'a> {
    flag: &'a AtomicU32,
    expected: u32,
    n: u64,
}

impl Operation for AddIf<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::add_if::<I, SHIFT>(index, first, self.flag, self.expected, self.n) }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some((layout, index)) = word(*self.0.get_mut()) {
            arena().free(layout, index);
        }
    }
}

/// The word of a gate, open or closed.
fn word(gate: u32) -> Option<(Layout<STRIPE_SHIFT>, u32)> {
    let handle = gate & !CLOSED;
    if handle == 0 {
        return None;
    }
    let layout = arena()
        .layout()
        .expect("a gate with a word comes after the reservation");
    let index = if handle < LOWEST {
        handle
    } else {
        handle - layout.eighth(0)
    };
    Some((layout, index))
}

/// A handle to a fresh word.
fn in_arena() -> Option<u32> {
    let (layout, index) = arena().allocate().ok()?;
    // The inline section is by mm_cid, which would be 0 for every thread where the kernel
    // keeps none.
    let inline = layout.low && backend().source == Source::MmCid;
    Some(if inline { layout.eighth(index) } else { index })
}

/// Whether there are sections and fences here. Without a fence a gate could never be
/// closed, so none is opened.
fn is_possible() -> bool {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;
    static FENCES: AtomicU8 = AtomicU8::new(UNKNOWN);
    if !matches!(backend().source, Source::MmCid | Source::Table) {
        return false;
    }
    // Ordering: Relaxed. Whoever does not see it asks again.
    match FENCES.load(Ordering::Relaxed) {
        UNKNOWN => {
            let works = membarrier::fence().is_ok();
            FENCES.store(if works { YES } else { NO }, Ordering::Relaxed);
            works
        }
        known => known == YES,
    }
}
