//! The words of a magazine in one stripe, and the sections on them.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::portable::{self, TOP, claimable};
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, section::retry};

use crate::arena::{Operation, StripeOwner, StripeRef};
use crate::room::Room;
use crate::scope::Scope;

/// The length, and the gate. First of all words, so that sections need not add anything to
/// where their room is.
pub(super) const HEADER: usize = 0;
/// The first slot.
pub(super) const SLOTS: usize = 1;

/// Words after the slots, by number from the first of them: see [`Magazine::control`].
pub(super) const CONTROL: usize = 6;
/// Times that the magazine was refilled.
pub(super) const REFILLS: usize = 0;
/// Times that it was flushed.
pub(super) const FLUSHES: usize = 1;
/// The process of who works on the gate; 0: nobody.
pub(super) const CLAIM: usize = 2;
/// The gate to open with again, [`STOPPED`], [`CLOSING`]; 0: as the gate says.
pub(super) const STATE: usize = 3;
/// What it looked like when last looked at, and since when.
pub(super) const SEEN: usize = 4;
pub(super) const SEEN_AT: usize = 5;

/// Words of a stripe that are not slots.
pub(super) const BESIDE: usize = SLOTS + CONTROL;

/// In `STATE`: stays closed.
pub(super) const STOPPED: u64 = 1 << 32;
/// In `STATE`: who holds control is closing it.
pub(super) const CLOSING: u64 = 1 << 33;

/// Whether a state keeps a gate shut.
pub(super) fn is_stopped(state: u64) -> bool {
    state & STOPPED != 0
}

/// Declares a section by its body.
macro_rules! operations {
    ($($(#[$docs:meta])* $name:ident$(($($field:ty),*))? -> $output:ty
        = |$self:ident, $index:ident, $first:ident| $body:expr;)*) => {$(
        $(#[$docs])*
        #[derive(Clone, Copy)]
        pub(super) struct $name$(($(pub(super) $field),*))?;

        impl Operation for $name {
            type Output = $output;

            #[inline(always)]
            unsafe fn run<I: Index, const SHIFT: u32>(
                &self,
                $index: I,
                $first: WordAddress,
            ) -> Result<$output, Refusal> {
                let $self = self;
                // SAFETY: the caller's contract; what is behind pointers is said where they
                // are made.
                unsafe { $body }
            }
        }
    )*};
}

operations! {
    Pop -> u64 = |_all, index, first|
        section::gated_pop::<I, SHIFT>(index, first.offset(HEADER));
    Push(u64) -> () = |all, index, first|
        section::gated_push::<I, SHIFT>(index, first.offset(HEADER), all.0);
    /// Pops up to so many to where there is room for them.
    PopBatch(*mut u64, u32) -> u32 = |all, index, first|
        section::gated_pop_batch::<I, SHIFT>(index, first.offset(HEADER), all.0, all.1);
    /// Pushes up to so many of those there.
    PushBatch(*const u64, u32) -> u32 = |all, index, first|
        section::gated_push_batch::<I, SHIFT>(index, first.offset(HEADER), all.0, all.1);
    /// Counts in a word.
    Count(usize) -> () = |all, index, first|
        section::increment::<I, SHIFT>(index, first.offset(all.0));
    /// Loads a word.
    Load(usize) -> u64 = |all, index, first|
        section::load::<I, SHIFT>(index, first.offset(all.0));
    /// Claims the stripe for a process, by that word.
    Claim(usize, u64) -> *mut u64 = |all, index, first|
        section::claim::<I, SHIFT>(index, first.offset(all.0), all.1);
}

/// A magazine, seen from outside.
#[derive(Clone, Copy)]
pub(super) struct Magazine<'a> {
    pub(super) words: &'a [AtomicU64],
    pub(super) cid: Option<u32>,
}

impl<'a> Magazine<'a> {
    #[inline]
    pub(super) fn of(stripe: StripeRef<'a>) -> Magazine<'a> {
        Magazine {
            words: stripe.words(),
            cid: match stripe.owner() {
                StripeOwner::Cid(cid) => Some(cid),
                _ => None,
            },
        }
    }

    /// A word that is neither header nor slot.
    pub(super) fn control(&self, which: usize) -> &'a AtomicU64 {
        &self.words[self.words.len() - CONTROL + which]
    }

    /// The length and the gate, by halves, as sections access them.
    fn halves(&self) -> [&'a AtomicU32; 2] {
        let header = self.words[HEADER].as_ptr().cast::<AtomicU32>();
        let order = if cfg!(target_endian = "little") {
            [0, 1]
        } else {
            [1, 0]
        };
        // SAFETY: the two halves of an aligned word that lives as long as the stripe; in
        // the stripes of cids everybody accesses them by halves.
        order.map(|half| unsafe { &*header.add(half) })
    }

    /// The length, for who reads it or has closed the gate and fenced.
    pub(super) fn len(&self) -> &'a AtomicU32 {
        self.halves()[0]
    }

    /// The gate, for who holds control.
    pub(super) fn gate(&self) -> &'a AtomicU32 {
        self.halves()[1]
    }

    /// How many words it holds, at this moment.
    // Ordering: Relaxed. A number.
    pub(super) fn held(&self) -> u32 {
        let held = match self.cid {
            Some(_) => self.len().load(Ordering::Relaxed),
            None => self.words[HEADER].load(Ordering::Relaxed) as u32,
        };
        held.min((self.words.len() - BESIDE) as u32)
    }

    /// A number that is another one when the magazine was used, most of the time.
    pub(super) fn stamp(&self) -> u64 {
        let [refills, flushes] =
            [REFILLS, FLUSHES].map(|word| self.control(word).load(Ordering::Relaxed));
        refills.wrapping_add(flushes) << 16 ^ u64::from(self.held())
    }

    /// Its header, for the portable body.
    #[inline]
    pub(super) fn header(&self) -> *mut u64 {
        // From the whole slice: the slots follow.
        self.words[HEADER..].as_ptr().cast::<u64>().cast_mut()
    }
}

/// How a thread reaches its magazine.
pub(super) enum Way<'a, S: Scope> {
    Section(&'a Room<S>),
    Thread(Magazine<'a>),
}

impl<S: Scope> Clone for Way<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scope> Copy for Way<'_, S> {}

impl<S: Scope> Way<'_, S> {
    pub(super) fn pop(self) -> Result<u64, Refusal> {
        match self {
            // SAFETY: a gated stack, in rooms and in stripes of threads; no gate says more
            // than there are slots.
            Way::Section(room) => unsafe { room.run(&Pop) },
            // SAFETY: as above.
            Way::Thread(it) => retry(|| unsafe { portable::gated_pop(it.header()) }),
        }
    }

    pub(super) fn push(self, word: u64) -> Result<(), Refusal> {
        match self {
            // SAFETY: as in `pop`.
            Way::Section(room) => unsafe { room.run(&Push(word)) },
            // SAFETY: as in `pop`.
            Way::Thread(it) => retry(|| unsafe { portable::gated_push(it.header(), word) }),
        }
    }

    /// Pops up to `count` words to `target`; how many.
    ///
    /// # Safety
    ///
    /// There is room for them.
    pub(super) unsafe fn pop_batch(self, target: *mut u64, count: u32) -> u32 {
        match self {
            // SAFETY: as in `pop`, and the caller's contract.
            Way::Section(room) => unsafe { room.run(&PopBatch(target, count)) },
            Way::Thread(it) => {
                // SAFETY: as above.
                retry(|| unsafe { portable::gated_pop_batch(it.header(), target, count) })
            }
        }
        .unwrap_or(0)
    }

    /// Pushes up to `count` words at `source`; how many.
    ///
    /// # Safety
    ///
    /// There are so many.
    pub(super) unsafe fn push_batch(self, source: *const u64, count: u32) -> u32 {
        match self {
            // SAFETY: as in `pop`, and the caller's contract.
            Way::Section(room) => unsafe { room.run(&PushBatch(source, count)) },
            Way::Thread(it) => {
                // SAFETY: as above.
                retry(|| unsafe { portable::gated_push_batch(it.header(), source, count) })
            }
        }
        .unwrap_or(0)
    }
}

/// Opens the gate of a stripe of threads, if it was never opened.
pub(super) fn open_by_thread(it: &Magazine<'_>, gate: u32) -> u32 {
    let open = u64::from(gate) << 32;
    let _ = claimable::compare_store::<TOP>(&it.words[HEADER], 0, open);
    ((it.words[HEADER].load(Ordering::Relaxed) & !TOP) >> 32) as u32
}
