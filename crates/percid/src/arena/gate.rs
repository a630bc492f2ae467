//! A word of the process's arena that sections add to while its gate is open.
//!
//! # The gate
//!
//! One word of 64 bits, as [`Placed`] reads it: the high half says where the arena's word
//! is, the low half below which id sections may add to it inline.
//!
//! | high | low | the word is | added to by |
//! | --- | --- | --- | --- |
//! | 0 | 0 | nowhere yet | nobody |
//! | `0aaa…` | n | at address `a << 3` of stripe 0 | sections, inline, in stripes below `n` |
//! | `0aaa…` | 0 | there | nobody |
//! | `101i…` | 0 | word `i` of the arena | sections, out of line |
//! | `100i…` | 0 | there | nobody |
//! | `110…` | 0 | nowhere, and not wanted | nobody |
//!
//! For inline sections it is the limit that they check anyway, inside: the gate costs them
//! nothing, and they need no test for what they find. Sections out of line, by the arena's
//! own limit, compare the half that is open with what they were entered with. So who
//! closes the gate and fences has all that was ever added in the stripes, and is alone with
//! them until it is opened again.
//!
//! A section whose id is not below `n` goes out of line, a time or two: `n` is raised there
//! to what the arena's limit has become. That may be done to any open gate, by anybody.
//! Before the add: after a put the gate may be gone with its object.

use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_cid::{Source, backend, fences};
use percid_rseq::membarrier::{self, BarrierError};
use percid_rseq::section::{self, ATTEMPTS, Index, Placed, WordAddress};
use percid_rseq::{Preserved, Refusal};

use super::frontier::Kind;
use super::gated::Gated;
use super::layout::{Layout, STRIPE_SHIFT};
use super::operation::Operation;
use super::process::{self, arena};

const KIND: u32 = 0b111 << 29;
const OUT_OF_LINE: u32 = 0b100 << 29;
const OUT_OF_LINE_OPEN: u32 = 0b101 << 29;
const NOT_WANTED: u32 = 0b110 << 29;

/// A word in every stripe, and whether sections may add to it.
pub(crate) struct Gate(AtomicU64);

impl Gate {
    /// Nowhere yet, and so closed.
    pub(crate) const fn new() -> Gate {
        Gate(AtomicU64::new(At::NEW.packed()))
    }

    fn at(&self, ordering: Ordering) -> At {
        At::unpacked(self.0.load(ordering))
    }

    /// The half that says that the gate is open, and what it has to be then.
    fn open_half(&self, at: At) -> (&AtomicU32, u32) {
        let (half, expected) = if at.place & OUT_OF_LINE == 0 {
            (0, at.limit)
        } else {
            (1, at.place)
        };
        let first = ptr::from_ref(&self.0).cast::<AtomicU32>();
        // SAFETY: a half of a word that lives as long as this: the low one first, as on all
        // targets that have sections. Only sections load it.
        (unsafe { &*first.add(half) }, expected)
    }

    /// Adds in a section by the arena's limit, if the gate is as it was, and open.
    ///
    /// # Errors
    ///
    /// `Mismatch` if it is not as it was; anything else says that there is no section to be
    /// had.
    fn add_out_of_line(&self, at: At, n: u64) -> Result<(), Refusal> {
        let (layout, index) = at.word().ok_or(Refusal::Unsupported)?;
        let (flag, expected) = self.open_half(at);
        let add = AddIf { flag, expected, n };
        // SAFETY: an open gate has an allocated word, which changes by sections only, or
        // by who has closed the gate, which the section checks, and fenced.
        unsafe { process::run(layout, index, &add) }
    }

    /// Lets sections of all stripes that are open by now add inline, if the gate is as it
    /// was; what it is now.
    fn raise(&self, at: At) -> At {
        let limit = arena().published(Kind::Cid);
        if at.limit == 0 || limit <= at.limit {
            return at;
        }
        let raised = At { limit, ..at };
        // Ordering: Release pairs with the Acquire of sections: the stripes are open.
        // A failure says that somebody else has raised or closed it: Acquire, as there.
        match self.0.compare_exchange(
            at.packed(),
            raised.packed(),
            Ordering::Release,
            Ordering::Acquire,
        ) {
            Ok(_) => raised,
            Err(now) => At::unpacked(now),
        }
    }
}

impl Gated for Gate {
    fn is_new(&self) -> bool {
        // Ordering: Relaxed. Who acts on it looks again under the lock of switches.
        self.at(Ordering::Relaxed) == At::NEW
    }

    #[inline(always)]
    fn add(&self, n: u64) -> bool {
        let index = Placed { at: &self.0 };
        // SAFETY: below a limit that is not 0 the place is that of an allocated word, in
        // stripes that are open up to it and are never closed; it changes by sections
        // only, or by who has closed the gate, which the section checks, and fenced.
        unsafe { section::add::<_, STRIPE_SHIFT>(index, WordAddress::from_eighth(0), n) }.is_ok()
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) -> bool {
        for _ in 0..ATTEMPTS {
            // Ordering: Acquire pairs with the Release of `open`: who sees the gate open
            // sees the pages that were opened for the word.
            let at = self.raise(self.at(Ordering::Acquire));
            if !at.is_open() {
                break;
            }
            match self.add_out_of_line(at, n) {
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
        // Ordering: Relaxed, here and below: the lock orders switches, and the Release of
        // `open` hands on what they did.
        if let Some((layout, index)) = self.at(Ordering::Relaxed).word() {
            arena().clear(layout, index);
            return true;
        }
        let _errno = Preserved::new();
        let place = if is_possible() { in_arena() } else { None };
        let at = At {
            place: place.unwrap_or(NOT_WANTED),
            limit: 0,
        };
        self.0.store(at.packed(), Ordering::Relaxed);
        place.is_some()
    }

    fn is_open(&self) -> bool {
        // Ordering: Relaxed. Exact only for who holds the lock of switches.
        self.at(Ordering::Relaxed).is_open()
    }

    // Ordering: Release pairs with the Acquire of every load of the gate, inside sections
    // and before them: the words are zero, or as they were when it was closed.
    fn open(&self) {
        let at = self.at(Ordering::Relaxed).opened();
        debug_assert!(at.is_open(), "a gate without a word, or without a stripe");
        self.0.store(at.packed(), Ordering::Release);
    }

    // Ordering: Relaxed. The fence is a full barrier here and on every CPU.
    fn close(&self) {
        let at = self.at(Ordering::Relaxed).closed();
        self.0.store(at.packed(), Ordering::Relaxed);
    }

    fn fence(&self) -> Result<(), BarrierError> {
        membarrier::fence()
    }

    fn sum(&self) -> u64 {
        let word = self.at(Ordering::Relaxed).word();
        word.map_or(0, |(layout, index)| arena().total(layout, index))
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
        if let Some((layout, index)) = At::unpacked(*self.0.get_mut()).word() {
            arena().free(layout, index);
        }
    }
}

/// What a gate says.
#[derive(Clone, Copy, PartialEq, Eq)]
struct At {
    place: u32,
    limit: u32,
}

impl At {
    const NEW: At = At { place: 0, limit: 0 };

    const fn packed(self) -> u64 {
        Placed::word(self.limit, WordAddress::from_eighth(self.place as usize))
    }

    const fn unpacked(at: u64) -> At {
        At {
            place: (at >> 32) as u32,
            limit: at as u32,
        }
    }

    fn is_open(self) -> bool {
        self.limit != 0 || self.place & KIND == OUT_OF_LINE_OPEN
    }

    /// The same word with its gate open.
    fn opened(self) -> At {
        match self.place & KIND {
            OUT_OF_LINE => At {
                place: self.place & !KIND | OUT_OF_LINE_OPEN,
                limit: 0,
            },
            OUT_OF_LINE_OPEN | NOT_WANTED => self,
            _ => At {
                limit: arena().published(Kind::Cid),
                ..self
            },
        }
    }

    /// The same word with its gate closed.
    fn closed(self) -> At {
        let place = match self.place & KIND {
            OUT_OF_LINE_OPEN => self.place & !KIND | OUT_OF_LINE,
            _ => self.place,
        };
        At { place, limit: 0 }
    }

    /// The word, open or closed.
    fn word(self) -> Option<(Layout<STRIPE_SHIFT>, u32)> {
        if self.place == 0 || self.place & KIND == NOT_WANTED {
            return None;
        }
        let layout = arena()
            .layout()
            .expect("a gate with a word comes after the reservation");
        let index = if self.place & OUT_OF_LINE == 0 {
            self.place - layout.eighth(0)
        } else {
            self.place & !KIND
        };
        Some((layout, index))
    }
}

/// The place of a fresh word.
fn in_arena() -> Option<u32> {
    let (layout, index) = arena().allocate().ok()?;
    // Inline sections are by mm_cid, which would be 0 for every thread where the kernel
    // keeps none. Their gate is a number of open stripes, and so there has to be one.
    let inline = layout.low
        && backend().source == Source::MmCid
        && (arena().published(Kind::Cid) > 0 || arena().activate(layout, Kind::Cid, 0));
    Some(if inline {
        layout.eighth(index)
    } else {
        OUT_OF_LINE | index
    })
}

/// Whether there are sections and fences here. Without a fence a gate could never be
/// closed, so none is opened.
pub(super) fn is_possible() -> bool {
    matches!(backend().source, Source::MmCid | Source::Table) && fences()
}
