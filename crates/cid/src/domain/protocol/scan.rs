//! Going through the slots: mark what is VALID, take what is still LAZY.
//!
//! # Algorithm
//!
//! In batches of slots:
//!
//! ```text
//! Look, Mark   each slot: VALID below the bound    CAS to LAZY
//!                         VALID at or above it     CAS to LAZY, and remember the word
//!                         LAZY                     remember the word
//! Fence        one CPU if one word is remembered, all CPUs if there are more
//! Swap, Clear  each remembered word: CAS of that very word to UNSET, free the bit
//! ```
//!
//! A busy CPU whose slot is marked hits LAZY and rescues it: one slow path a period.
//! An id that nobody rescued between two scans is idle, and freed by the second. One
//! at or above the bound has no second chance: whoever hits it gets another.
//!
//! The fence comes after the last word of the batch was read, so that it covers all;
//! that is why a word is remembered and not read again after the fence.

use core::marker::PhantomData;
use core::ops::Range;

use super::{Answer, Outcome, Procedure, Request, Rules, Sound, mismatch};
use crate::domain::word::{SlotState, SlotWord};

/// What a scan touches below the bound; ids at or above it are always dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Nothing: for a thread that leaves.
    Above,
    /// Slots that have been in their state for a period: for periodic scans.
    Aged,
    /// Every slot: to compact at once.
    All,
}

/// Goes through the slots once, `BATCH` at a time.
///
/// Ends in [`Outcome::Scanned`]. A fence that fails ends it early: then nothing more
/// can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scan<const BATCH: usize = 64, R = Sound> {
    at: At,
    depth: Depth,
    bound: u32,
    /// An id at or above the bound was seen and not freed.
    above: bool,
    /// First slot of the batch.
    first: u32,
    /// One past the last slot.
    end: u32,
    /// The batch's words that are to be taken; UNSET: none.
    words: [SlotWord; BATCH],
    rules: PhantomData<R>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Bound,
    Look(u32),
    Mark(u32, SlotWord),
    Fence,
    Swap(u32),
    /// Owns this id, which was in that slot.
    Clear(u32, u32),
    Done,
}

/// Requests for one slot, a fence included, and one more for a mutant.
const PER_SLOT: u32 = 6;

impl<const BATCH: usize> Scan<BATCH> {
    /// Goes through a range of slots.
    #[must_use]
    pub const fn new(depth: Depth, slots: Range<u32>) -> Scan<BATCH> {
        Scan::with_rules(depth, slots)
    }
}

impl<const BATCH: usize, R> Scan<BATCH, R> {
    /// As [`Scan::new`], under other rules.
    #[must_use]
    pub const fn with_rules(depth: Depth, slots: Range<u32>) -> Scan<BATCH, R> {
        assert!(BATCH > 0, "a batch has a slot");
        Scan {
            at: At::Bound,
            depth,
            bound: 0,
            above: false,
            first: slots.start,
            end: slots.end,
            words: [SlotWord::UNSET; BATCH],
            rules: PhantomData,
        }
    }

    /// One past the last slot of the batch.
    fn batch_end(&self) -> u32 {
        self.end.min(self.first.saturating_add(BATCH as u32))
    }

    fn remembered(&self) -> impl Iterator<Item = (u32, u32)> {
        self.words
            .iter()
            .zip(self.first..)
            .filter_map(|(word, slot)| Some((slot, word.cid()?)))
    }
}

impl<const BATCH: usize, R: Rules> Scan<BATCH, R> {
    fn remember(&mut self, slot: u32, word: SlotWord) {
        self.words[(slot - self.first) as usize] = word;
    }

    fn begin_batch(&self) -> At {
        if self.first >= self.end {
            At::Done
        } else if R::FENCES_AFTER_READ {
            At::Look(self.first)
        } else {
            At::Fence
        }
    }

    fn after_look(&self, slot: u32) -> At {
        if slot + 1 < self.batch_end() {
            At::Look(slot + 1)
        } else if R::FENCES_AFTER_READ && self.remembered().next().is_some() {
            At::Fence
        } else {
            self.take_next()
        }
    }

    fn after_fence(&self) -> At {
        if R::FENCES_AFTER_READ {
            self.take_next()
        } else {
            At::Look(self.first)
        }
    }

    /// The next remembered word, or the next batch.
    fn take_next(&self) -> At {
        match self.remembered().next() {
            Some((slot, _)) if R::TAKES_BEFORE_FREE => At::Swap(slot),
            Some((slot, cid)) => At::Clear(slot, cid),
            None => At::Done,
        }
    }

    fn word(&self, slot: u32) -> SlotWord {
        self.words[(slot - self.first) as usize]
    }

    fn forget(&mut self, slot: u32) -> At {
        self.remember(slot, SlotWord::UNSET);
        self.take_next()
    }

    fn next(&mut self, answer: Answer) -> At {
        match (self.at, answer) {
            (At::Bound, Answer::Bound(bound)) => {
                self.bound = bound;
                self.begin_batch()
            }
            (At::Look(slot), Answer::Seen { word, aged }) => {
                let wanted = match (word.cid(), self.depth) {
                    (None, _) => false,
                    (Some(cid), _) if cid >= self.bound => true,
                    (Some(_), Depth::Above) => false,
                    (Some(_), Depth::Aged) => aged,
                    (Some(_), Depth::All) => true,
                };
                match word.state() {
                    SlotState::Valid(_) if wanted => return At::Mark(slot, word),
                    SlotState::Lazy(_) if wanted => self.remember(slot, word),
                    _ => {}
                }
                self.after_look(slot)
            }
            (At::Mark(slot, word), Answer::Swapped(marked)) => {
                if word.cid().is_some_and(|cid| cid >= self.bound) {
                    if marked {
                        self.remember(slot, word.to_lazy());
                    } else {
                        self.above = true;
                    }
                }
                self.after_look(slot)
            }
            (At::Fence, Answer::Fenced(true)) => self.after_fence(),
            (At::Fence, Answer::Fenced(false)) => {
                self.words = [SlotWord::UNSET; BATCH];
                self.first = self.end;
                At::Done
            }
            (At::Swap(slot), Answer::Swapped(taken)) => {
                let cid = self.word(slot).cid().unwrap_or_default();
                if taken && R::TAKES_BEFORE_FREE {
                    self.remember(slot, SlotWord::UNSET);
                    return At::Clear(slot, cid);
                }
                self.above |= !taken && cid >= self.bound;
                self.forget(slot)
            }
            (At::Clear(slot, _), Answer::Done) => {
                if R::TAKES_BEFORE_FREE {
                    self.take_next()
                } else {
                    At::Swap(slot)
                }
            }
            (_, answer) => mismatch(self.request(), answer),
        }
    }
}

impl<const BATCH: usize, R: Rules> Procedure for Scan<BATCH, R> {
    fn request(&self) -> Request {
        match self.at {
            At::Bound => Request::Bound,
            At::Look(slot) => Request::Look { slot },
            At::Mark(slot, word) => Request::Swap {
                slot,
                old: word,
                new: word.to_lazy(),
            },
            At::Fence => {
                let mut remembered = self.remembered();
                match (remembered.next(), remembered.next()) {
                    (Some((cpu, _)), None) => Request::Fence { cpu },
                    _ => Request::FenceAll,
                }
            }
            At::Swap(slot) => {
                let old = self.word(slot);
                let new = old.unset();
                Request::Swap { slot, old, new }
            }
            At::Clear(_, cid) => Request::Clear { cid },
            At::Done => Request::Done(Outcome::Scanned { above: self.above }),
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.at = self.next(answer);
        // The next batch; at the end nothing is kept but what was seen.
        if self.at == At::Done && self.first < self.end {
            self.first = self.batch_end();
            self.at = self.begin_batch();
        }
        if self.at == At::Done {
            self.bound = 0;
        }
    }

    fn remaining(&self) -> u32 {
        let later = (self.end - self.batch_end()) * PER_SLOT;
        let batch = self.batch_end() - self.first;
        let takes = 2 * self.remembered().count() as u32;
        let this = match self.at {
            At::Done => return 0,
            At::Bound => return 1 + (self.end - self.first) * PER_SLOT,
            At::Look(slot) => 2 * (self.batch_end() - slot) + 1 + 2 * batch,
            At::Mark(slot, _) => 2 * (self.batch_end() - slot) + 2 * batch,
            At::Fence if R::FENCES_AFTER_READ => 1 + takes,
            At::Swap(_) if R::TAKES_BEFORE_FREE => takes,
            At::Clear(..) if R::TAKES_BEFORE_FREE => 1 + takes,
            // The mutants' orders.
            At::Fence => 2 + 4 * batch,
            At::Clear(..) => takes,
            At::Swap(_) => takes - 1,
        };
        later + this
    }

    fn in_transit(&self) -> Option<u32> {
        match self.at {
            At::Clear(_, cid) => Some(cid),
            _ => None,
        }
    }
}

#[cfg(all(test, not(loom)))]
impl<const BATCH: usize, R> super::Words for Scan<BATCH, R> {
    fn words(&mut self, visit: &mut dyn FnMut(u32, &mut SlotWord)) {
        if let At::Mark(slot, word) = &mut self.at {
            visit(*slot, word);
        }
        for (word, slot) in self.words.iter_mut().zip(self.first..) {
            // UNSET stands for no word here, under whatever tag.
            if word.cid().is_some() {
                visit(slot, word);
            }
        }
    }
}
