//! Giving chunks back to the system.
//!
//! A chunk all of whose carved objects are in the hand of who trims goes, if nobody carves it
//! meanwhile: it was carved to its end, or who trims has taken it from the open ones.
//!
//! What is looked at twice says the same both times. `free` is counted by who trims, alone;
//! what is carved to its end stays so, and what was taken is carved by nobody. A chunk that a
//! thread is carving was neither when it was counted; objects that it brings later are in the
//! hand of whoever gets them, so that not all of the chunk can have been counted.

use core::sync::atomic::Ordering;

use super::{Chunks, Places, Record, Shape};
use crate::magazine::NONE;
use crate::memory::Region;

impl Chunks {
    /// Begins to trim: takes all open chunks, and counts nothing yet. One thread at a time.
    pub(in crate::pool) fn begin_trim(&self) -> Option<Trim<'_>> {
        let places = self.places_now()?;
        let mut open = 0;
        let mut next = self.open.take_all();
        while next != NONE {
            let record = self.record(places, next);
            record.taken.store(1, Ordering::Relaxed);
            // The chain goes on in a stack of our own.
            let after = record.link.load(Ordering::Relaxed) as u32;
            record.link.store(u64::from(open), Ordering::Relaxed);
            open = next;
            next = after;
        }
        let chunks = self.fresh.load(Ordering::Relaxed);
        for number in 1..=chunks {
            self.record(places, number).free.store(0, Ordering::Relaxed);
        }
        Some(Trim {
            chunks: self,
            places,
            open,
            kept: self.kept.take_all(),
            count: chunks,
        })
    }
}

/// A trim under way.
pub(in crate::pool) struct Trim<'a> {
    chunks: &'a Chunks,
    places: Places,
    /// The open chunks, linked.
    open: u32,
    /// The objects that were kept, linked.
    kept: u32,
    /// Chunks that were there when it began.
    count: u32,
}

impl Trim<'_> {
    fn record_of(&self, shape: &Shape, address: u64) -> Option<&Record> {
        let offset = self.places.objects.offset_of(address as usize)?;
        let chunk = (offset >> shape.chunk) as u32;
        (chunk < self.count).then(|| self.chunks.record(self.places, chunk + 1))
    }

    /// Counts the objects that were kept.
    pub(in crate::pool) fn count_kept(&self, shape: &Shape) {
        let mut next = self.kept;
        while next != NONE {
            let record = self.chunks.record(self.places, (next - 1) / shape.each + 1);
            record.free.fetch_add(1, Ordering::Relaxed);
            let link = self.chunks.link(self.places, next - 1);
            next = link.load(Ordering::Relaxed) as u32;
        }
    }

    /// Keeps those again that do not go.
    fn keep_again(&self, shape: &Shape) {
        let link = |number: u32| self.chunks.link(self.places, number - 1);
        let mut next = self.kept;
        while next != NONE {
            let number = next;
            next = link(number).load(Ordering::Relaxed) as u32;
            let record = self
                .chunks
                .record(self.places, (number - 1) / shape.each + 1);
            if !is_free(record, shape) {
                self.chunks.kept.push(number, link);
            }
        }
    }

    /// Counts a free object, which is the caller's.
    pub(in crate::pool) fn count(&self, shape: &Shape, address: u64) {
        if let Some(record) = self.record_of(shape, address) {
            record.free.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the chunk of an object is free as a whole, and so is going to be reset: the
    /// object is to be forgotten.
    pub(in crate::pool) fn goes(&self, shape: &Shape, address: u64) -> bool {
        self.record_of(shape, address)
            .is_some_and(|record| is_free(record, shape))
    }

    /// Gives the free chunks back and opens the others again; how many bytes that was.
    pub(in crate::pool) fn finish(self, shape: &Shape) -> usize {
        self.keep_again(shape);
        let mut bytes = 0;
        let mut reset = |number: u32, record: &Record| {
            let carved = record.carved.load(Ordering::Relaxed);
            let start = self.places.objects.base + ((number as usize - 1) << shape.chunk);
            // SAFETY: each of its objects is in hand, and nobody carves it.
            unsafe { Region::discard(start, 1 << shape.chunk) };
            self.chunks.forget_marks(shape, number);
            bytes += carved as usize * shape.stride;
            record.carved.store(0, Ordering::Relaxed);
            self.chunks
                .carved
                .fetch_sub(u64::from(carved), Ordering::Relaxed);
        };
        let link = |number: u32| &self.chunks.record(self.places, number).link;
        // Those carved to the end: in no stack.
        for number in (1..=self.count).rev() {
            let record = self.chunks.record(self.places, number);
            if record.taken.load(Ordering::Relaxed) == 0 && is_free(record, shape) {
                reset(number, record);
                self.chunks.open.push(number, link);
            }
        }
        let mut next = self.open;
        while next != NONE {
            let number = next;
            let record = self.chunks.record(self.places, number);
            next = record.link.load(Ordering::Relaxed) as u32;
            if record.carved.load(Ordering::Relaxed) > 0 && is_free(record, shape) {
                reset(number, record);
            }
            record.taken.store(0, Ordering::Relaxed);
            self.chunks.open.push(number, link);
        }
        bytes
    }
}

/// Whether all that was carved of a chunk is in the hand of who trims, and nobody carves
/// more: it is carved to the end, or taken.
fn is_free(record: &Record, shape: &Shape) -> bool {
    let carved = record.carved.load(Ordering::Relaxed);
    record.free.load(Ordering::Relaxed) == carved
        && (carved == shape.each || record.taken.load(Ordering::Relaxed) != 0)
}
