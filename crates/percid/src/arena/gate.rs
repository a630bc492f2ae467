//! A word of the process's arena that sections add to while its gate is open.
//!
//! # Place
//!
//! | value | the word is | added to by |
//! | --- | --- | --- |
//! | 0 | nowhere yet | nobody |
//! | `0aaa…`, from 2^29 on | at address `a << 3` of stripe 0 | sections, inline |
//! | `0iii…`, below 2^29 | word `i` of the arena | sections, out of line |
//! | `1…` | nowhere, and not wanted | nobody |
//!
//! # Gate
//!
//! | value | |
//! | --- | --- |
//! | 0 | closed |
//! | n | open: the word may be added to in stripes below `n`, which are open, too |
//!
//! For inline sections the gate is the limit that they check anyway, inside: it costs them
//! nothing. Sections out of line, by the arena's own limit, compare it with what they were
//! entered with. So who closes the gate and fences has all that was ever added in the
//! stripes, and is alone with them until it is opened again.
//!
//! A section whose id is not below `n` goes out of line, a time or two: `n` is raised there
//! to what the arena's limit has become. That may be done to any open gate, by anybody.
//! Before the add: after a put the gate may be gone with its object.

use core::sync::atomic::{AtomicU32, Ordering};

use percid_cid::{Source, backend, fences};
use percid_rseq::membarrier::{self, BarrierError};
use percid_rseq::section::{self, ATTEMPTS, Index, MmCid, WordAddress};
use percid_rseq::{Preserved, Refusal};

use super::frontier::Kind;
use super::gated::Gated;
use super::layout::{Layout, STRIPE_SHIFT};
use super::operation::Operation;
use super::process::{self, arena};

const NOT_WANTED: u32 = 1 << 31;

/// The lowest address of stripe 0, divided by 8: stripes lie at 4 GiB or above.
const LOWEST: u32 = 1 << 29;

const CLOSED: u32 = 0;

/// Open for sections out of line, which have another limit.
const OPEN: u32 = 1;

/// A word in every stripe, and whether sections may add to it.
pub(crate) struct Gate {
    place: AtomicU32,
    gate: AtomicU32,
}

impl Gate {
    /// Nowhere yet, and so closed.
    pub(crate) const fn new() -> Gate {
        Gate {
            place: AtomicU32::new(0),
            gate: AtomicU32::new(CLOSED),
        }
    }

    /// Where the word is. It stays there from the first opening of the gate on.
    // Ordering: Relaxed. Who goes there has acquired the open gate, before or in the
    // section; nobody else goes there.
    #[inline(always)]
    fn at(&self) -> u32 {
        self.place.load(Ordering::Relaxed)
    }

    /// Adds in a section by the arena's limit, if the gate is as it was.
    ///
    /// # Errors
    ///
    /// `Mismatch` if it is not; anything else says that there is no section to be had.
    fn add_out_of_line(&self, gate: u32, n: u64) -> Result<(), Refusal> {
        let (layout, index) = word(self.at()).ok_or(Refusal::Unsupported)?;
        let add = AddIf {
            flag: &self.gate,
            expected: gate,
            n,
        };
        // SAFETY: an open gate has an allocated word, which changes by sections only, or
        // by who has closed the gate, which the section checks, and fenced.
        unsafe { process::run(layout, index, &add) }
    }

    /// Lets sections of all stripes that are open by now add inline, if the gate is as it
    /// was; what it is now.
    fn raise(&self, gate: u32) -> u32 {
        let stripes = arena().published(Kind::Cid);
        if gate == CLOSED || !is_inline(self.at()) || stripes <= gate {
            return gate;
        }
        // Ordering: Release pairs with the Acquire of sections: the stripes are open.
        // A failure says that somebody else has raised or closed it: Acquire, as there.
        match self
            .gate
            .compare_exchange(gate, stripes, Ordering::Release, Ordering::Acquire)
        {
            Ok(_) => stripes,
            Err(now) => now,
        }
    }
}

impl Gated for Gate {
    fn is_new(&self) -> bool {
        // Who acts on it looks again under the lock of switches.
        self.at() == 0
    }

    #[inline(always)]
    fn add(&self, n: u64) -> bool {
        let place = self.at();
        if !is_inline(place) {
            return false;
        }
        let word = WordAddress::from_eighth(place as usize);
        let index = MmCid { limit: &self.gate };
        // SAFETY: an inline place is that of an allocated word. The gate, which is the
        // limit here, is 0 or a number of stripes that are open up to the word and are
        // never closed; it changes by sections only, or by who has closed the gate and
        // fenced.
        unsafe { section::add::<_, STRIPE_SHIFT>(index, word, n) }.is_ok()
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) -> bool {
        for _ in 0..ATTEMPTS {
            // Ordering: Acquire pairs with the Release of `open`: who sees the gate open
            // sees the place, and the pages that were opened for it.
            let gate = self.raise(self.gate.load(Ordering::Acquire));
            if gate == CLOSED {
                break;
            }
            match self.add_out_of_line(gate, n) {
                // Nothing of `self` is touched any more: it may have been a put.
                Ok(()) => return true,
                // Raised or closed meanwhile.
                Err(Refusal::Mismatch) => {}
                Err(_) => break,
            }
        }
        false
    }

    fn place(&self) -> bool {
        if let Some((layout, index)) = word(self.at()) {
            arena().clear(layout, index);
            return true;
        }
        let _errno = Preserved::new();
        let place = if is_possible() { in_arena() } else { None };
        // Ordering: Relaxed. The gate's Release hands it on.
        self.place
            .store(place.unwrap_or(NOT_WANTED), Ordering::Relaxed);
        place.is_some()
    }

    fn is_open(&self) -> bool {
        // Ordering: Relaxed. Exact only for who holds the lock of switches.
        self.gate.load(Ordering::Relaxed) != CLOSED
    }

    // Ordering: Release pairs with the Acquire of every load of the gate, inside sections
    // and before them: the words are zero, or as they were when it was closed.
    fn open(&self) {
        let gate = if is_inline(self.at()) {
            arena().published(Kind::Cid)
        } else {
            OPEN
        };
        debug_assert!(gate != CLOSED, "an inline place without an open stripe");
        self.gate.store(gate, Ordering::Release);
    }

    // Ordering: Relaxed. The fence is a full barrier here and on every CPU.
    fn close(&self) {
        self.gate.store(CLOSED, Ordering::Relaxed);
    }

    fn fence(&self) -> Result<(), BarrierError> {
        membarrier::fence()
    }

    fn sum(&self) -> u64 {
        word(self.at()).map_or(0, |(layout, index)| arena().total(layout, index))
    }
}

/// The add, by whatever ids there are.
pub(super) struct AddIf<'a> {
    pub(super) flag: &'a AtomicU32,
    pub(super) expected: u32,
    pub(super) n: u64,
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
        if let Some((layout, index)) = word(*self.place.get_mut()) {
            arena().free(layout, index);
        }
    }
}

/// Whether sections are entered with the place as their address.
#[inline(always)]
fn is_inline(place: u32) -> bool {
    place.cast_signed() >= LOWEST.cast_signed()
}

/// The word at a place.
fn word(place: u32) -> Option<(Layout<STRIPE_SHIFT>, u32)> {
    if place == 0 || place & NOT_WANTED != 0 {
        return None;
    }
    let layout = arena()
        .layout()
        .expect("a gate with a word comes after the reservation");
    let index = if is_inline(place) {
        place - layout.eighth(0)
    } else {
        place
    };
    Some((layout, index))
}

/// The place of a fresh word.
fn in_arena() -> Option<u32> {
    let (layout, index) = arena().allocate().ok()?;
    // Inline sections are by mm_cid, which would be 0 for every thread where the kernel
    // keeps none. Their gate is a number of open stripes, and so there has to be one.
    let inline = layout.low
        && backend().source == Source::MmCid
        && (arena().published(Kind::Cid) > 0 || arena().activate(layout, Kind::Cid, 0));
    Some(if inline { layout.eighth(index) } else { index })
}

/// Whether there are sections and fences here. Without a fence a gate could never be
/// closed, so none is opened.
pub(super) fn is_possible() -> bool {
    matches!(backend().source, Source::MmCid | Source::Table) && fences()
}
