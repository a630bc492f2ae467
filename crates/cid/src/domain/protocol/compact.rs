//! Scans until the ids are where they should be.
//!
//! A thread that leaves lowers the bound first, then scans until one scan has left
//! nothing at or above it, three times at most. Of what may still be there after,
//! every id is in the hands of a thread that was in [`Acquire`](super::Acquire) when
//! the bound fell; it reads the bound after it has installed the id, and drops it.
//!
//! One scan is not enough: another, that knows the old bound only, may mark a slot
//! between this one's look and its mark, which then fails. The checker finds that,
//! and nothing with two; the third is for good measure.

use core::ops::Range;

use super::{Answer, Depth, Outcome, Procedure, Request, Rules, Scan, Sound};

/// Scans that one compaction makes at most.
const SCANS: u8 = 3;

/// Up to three scans.
///
/// Ends in [`Outcome::Scanned`], which tells of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compact<const BATCH: usize = 64, R = Sound> {
    scan: Scan<BATCH, R>,
    depth: Depth,
    first: u32,
    end: u32,
    /// Scans after this one, at most.
    most: u8,
    /// Scans after this one, at least.
    least: u8,
}

impl<const BATCH: usize> Compact<BATCH> {
    /// For a thread that has left and lowered the bound: drops the ids at or above
    /// it, and touches no other.
    #[must_use]
    pub const fn leaving(slots: Range<u32>) -> Compact<BATCH> {
        Compact::with_rules(Depth::Above, slots)
    }

    /// Marks and takes every id that nobody is quick to rescue.
    #[must_use]
    pub const fn forced(slots: Range<u32>) -> Compact<BATCH> {
        Compact::with_rules(Depth::All, slots)
    }
}

impl<const BATCH: usize, R> Compact<BATCH, R> {
    /// Under other rules, and to any depth.
    #[must_use]
    pub const fn with_rules(depth: Depth, slots: Range<u32>) -> Compact<BATCH, R> {
        let (first, end) = (slots.start, slots.end);
        Compact {
            scan: Scan::with_rules(depth, slots),
            depth,
            first,
            end,
            most: SCANS - 1,
            // One scan marks, the next one takes.
            least: match depth {
                Depth::Above => 0,
                Depth::Aged | Depth::All => 1,
            },
        }
    }

    fn afresh(&self) -> Scan<BATCH, R> {
        Scan::with_rules(self.depth, self.first..self.end)
    }
}

impl<const BATCH: usize, R: Rules> Procedure for Compact<BATCH, R> {
    fn request(&self) -> Request {
        self.scan.request()
    }

    fn answer(&mut self, answer: Answer) {
        self.scan.answer(answer);
        if let Request::Done(Outcome::Scanned { above }) = self.scan.request()
            && (self.least > 0 || above && self.most > 0)
        {
            self.least = self.least.saturating_sub(1);
            self.most -= 1;
            self.scan = self.afresh();
        }
    }

    fn remaining(&self) -> u32 {
        self.scan.remaining() + u32::from(self.most) * self.afresh().remaining()
    }

    fn in_transit(&self) -> Option<u32> {
        self.scan.in_transit()
    }
}

#[cfg(all(test, not(loom)))]
impl<const BATCH: usize, R> super::Words for Compact<BATCH, R> {
    fn words(&mut self, visit: &mut dyn FnMut(u32, &mut super::SlotWord)) {
        self.scan.words(visit);
    }
}
