//! The word of a slot: which id a CPU holds, and how sure that is.
//!
//! # States
//!
//! | bits | meaning |
//! | --- | --- |
//! | 63..32 | tag: grows on every VALID to LAZY, is never reset |
//! | 31 | LAZY: whoever finds it on its own CPU proves use; others may take the id |
//! | 30..0 | the id, plus 1 |
//! | 31..0 all zero | UNSET: no id |
//!
//! A section loads the low half only and rejects what is not above 0, as a signed
//! number: LAZY is negative. That is all that it looks at. There is no limit to compare
//! with: the stripe of an id is opened before any slot holds it. And a page of zeros,
//! never touched or wiped in a child of `fork`, is slots without ids.
//!
//! # Moves
//!
//! ```text
//!             valid(c)                 to_lazy: tag + 1
//!   UNSET ---------------> VALID(c) -----------------------> LAZY(c)
//!     ^                       ^                                | | |
//!     |                       |          rescue                | | |
//!     |                       +--------------------------------+ | |
//!     |                       |   move_to(d): VALID(d)           | |
//!     |                       +----------------------------------+ |
//!     |                       unset                                |
//!     +------------------------------------------------------------+
//! ```
//!
//! Every move is a CAS of a word that was read before. What is proved of the tag:
//! a word that is LAZY comes back only through VALID to LAZY, which makes it
//! another word. So a CAS from LAZY succeeds only if the slot was LAZY, without a
//! break, since the word was read. The tag wraps after 2^32 marks of one slot: a
//! thread would have to sleep through exactly that many.
//!
//! Source: the states are those of the kernel's `mm_cid` patches of April 2023
//! (`MM_CID_UNSET`, `MM_CID_LAZY_PUT`); they have no tag.

use core::fmt;

/// Set in the low half of a word whose id may be taken.
const LAZY: u32 = 1 << 31;

/// The low half of a word without an id.
const NONE: u32 = 0;

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotState {
    /// No id: sections on this CPU are rejected.
    Unset,
    /// Sections on this CPU run under this id.
    Valid(u32),
    /// Sections on this CPU are rejected; one that loaded the id before the mark
    /// may still be open.
    Lazy(u32),
}

/// The word of a slot. A value: every move makes another one.
///
/// ```
/// use percid_cid::domain::{SlotState, SlotWord};
///
/// let marked = SlotWord::UNSET.valid(3).to_lazy();
/// assert_eq!(marked.state(), SlotState::Lazy(3));
/// assert_eq!(marked.rescue().state(), SlotState::Valid(3));
/// // Marked again, it is another word.
/// assert_ne!(marked.rescue().to_lazy(), marked);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct SlotWord(u64);

impl SlotWord {
    /// A slot that was never used.
    pub const UNSET: SlotWord = SlotWord::new(0, NONE);

    /// Ids are below this.
    pub const CID_LIMIT: u32 = LAZY - 1;

    const fn new(tag: u32, low: u32) -> SlotWord {
        SlotWord((tag as u64) << 32 | low as u64)
    }

    const fn holding(tag: u32, cid: u32) -> SlotWord {
        debug_assert!(cid < SlotWord::CID_LIMIT);
        SlotWord::new(tag, cid + 1)
    }

    /// The word as a slot keeps it.
    #[must_use]
    pub const fn from_bits(bits: u64) -> SlotWord {
        SlotWord(bits)
    }

    /// The word as a slot keeps it.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// How often this slot went from VALID to LAZY, modulo 2^32.
    #[must_use]
    pub const fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What a section loads.
    #[must_use]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// What the slot holds.
    #[must_use]
    pub const fn state(self) -> SlotState {
        match self.low() {
            NONE => SlotState::Unset,
            low if low & LAZY != 0 => SlotState::Lazy((low & !LAZY) - 1),
            low => SlotState::Valid(low - 1),
        }
    }

    /// The id that the slot holds, VALID or LAZY.
    #[must_use]
    pub const fn cid(self) -> Option<u32> {
        match self.state() {
            SlotState::Unset => None,
            SlotState::Valid(cid) | SlotState::Lazy(cid) => Some(cid),
        }
    }

    /// UNSET to VALID(`cid`): an id is acquired.
    #[must_use]
    pub const fn valid(self, cid: u32) -> SlotWord {
        debug_assert!(matches!(self.state(), SlotState::Unset));
        SlotWord::holding(self.tag(), cid)
    }

    /// VALID(c) to LAZY(c), under the next tag.
    #[must_use]
    pub const fn to_lazy(self) -> SlotWord {
        debug_assert!(matches!(self.state(), SlotState::Valid(_)));
        SlotWord::new(self.tag().wrapping_add(1), self.low() | LAZY)
    }

    /// LAZY(c) to VALID(c): proof of use.
    #[must_use]
    pub const fn rescue(self) -> SlotWord {
        debug_assert!(matches!(self.state(), SlotState::Lazy(_)));
        SlotWord::new(self.tag(), self.low() & !LAZY)
    }

    /// LAZY(c) to VALID(`cid`): the slot gets a lower id.
    #[must_use]
    pub const fn move_to(self, cid: u32) -> SlotWord {
        debug_assert!(matches!(self.state(), SlotState::Lazy(_)));
        SlotWord::holding(self.tag(), cid)
    }

    /// LAZY(c) to UNSET: the id is taken away.
    #[must_use]
    pub const fn unset(self) -> SlotWord {
        debug_assert!(matches!(self.state(), SlotState::Lazy(_)));
        SlotWord::new(self.tag(), NONE)
    }

    /// The same word under another tag: for models of the machine, which number
    /// tags from the newest.
    #[cfg(all(test, not(loom)))]
    pub(crate) const fn with_tag(self, tag: u32) -> SlotWord {
        SlotWord::new(tag, self.low())
    }
}

impl fmt::Debug for SlotWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state() {
            SlotState::Unset => write!(f, "UNSET")?,
            SlotState::Valid(cid) => write!(f, "VALID({cid})")?,
            SlotState::Lazy(cid) => write!(f, "LAZY({cid})")?,
        }
        write!(f, "#{}", self.tag())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_word_passes_the_compare_of_a_section() {
        let passes = |word: SlotWord| word.low().cast_signed() > 0;
        for cid in [0, 1, SlotWord::CID_LIMIT - 1] {
            let valid = SlotWord::UNSET.valid(cid);
            assert!(passes(valid) && valid.low() == cid + 1);
            assert!(!passes(valid.to_lazy()));
            assert!(!passes(valid.to_lazy().unset()));
            assert_eq!(valid.to_lazy().state(), SlotState::Lazy(cid));
            assert!(passes(valid.to_lazy().rescue()));
        }
        assert!(!passes(SlotWord::UNSET));
    }

    #[test]
    fn the_tag_grows_on_every_mark_and_only_there() {
        let mut word = SlotWord::UNSET;
        for round in 1..=5 {
            word = word.valid(7).to_lazy();
            assert_eq!(word.tag(), round);
            assert_eq!(word.rescue().tag(), round);
            assert_eq!(word.move_to(2), word.unset().valid(2));
            assert_eq!(word.unset().tag(), round);
            word = word.unset();
        }
    }

    #[test]
    fn the_tag_wraps_into_itself_only() {
        let last = SlotWord::holding(u32::MAX, 5).to_lazy();
        assert_eq!((last.tag(), last.state()), (0, SlotState::Lazy(5)));
    }

    #[test]
    fn bits_and_back() {
        let word = SlotWord::UNSET.valid(9).to_lazy();
        assert_eq!(SlotWord::from_bits(word.to_bits()), word);
        assert_eq!(word.to_bits(), 1 << 32 | 1 << 31 | 10);
        assert_eq!(SlotWord::UNSET.to_bits(), 0);
        // What a section takes a slot for.
        let slot = percid_rseq::section::Slot::with_id(9);
        assert_eq!(slot.0.into_inner(), SlotWord::UNSET.valid(9).to_bits());
        assert_eq!(word.unset().cid(), None);
        assert_eq!(format!("{word:?}"), "LAZY(9)#1");
    }
}
