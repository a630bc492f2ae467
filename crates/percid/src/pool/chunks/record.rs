//! One chunk: whose it is, and which of its objects are at home.
//!
//! # Algorithm
//!
//! An object is *at home* if it is free and in no magazine, in no block and in nobody's hand: a
//! bit stands for it. Anybody brings an object home; only the chunk's *owner* takes one away,
//! carves new ones, or gives the memory back. Nobody waits: a chunk that has an owner is passed
//! over.
//!
//! | `home`: listed | the chunk's bit in its group | the chunk |
//! | --- | --- | --- |
//! | no | clear | has nothing that could be taken; nobody owns it |
//! | yes | set | has something; who clears the bit owns it |
//! | yes | clear | is somebody's, or about to be listed |
//!
//! | step | by | |
//! | --- | --- | --- |
//! | bring home | anybody | set the object's bit, add one to `home`; who finds the chunk not listed and is first to list it sets its bit in the group |
//! | own | anybody | clear the bit in the group |
//! | take | the owner | up to as many as `home` counts, never by the bits alone: one whose bit is set may not be counted yet |
//! | let go | the owner | nothing left: `home` from "listed, none" to "not listed, none" by an exchange, which fails if one came home; otherwise set the bit in the group |
//! | give back | the owner | if `home` counts all that were carved: nobody has one of them, or is still bringing one; clear the bits, carve anew from the start |
//!
//! Checked by the model of this folder, with mutants.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Chunks, Shape};
use crate::magazine::now;
use crate::memory::{GRANULE, Region};

/// Chunks of a group.
pub(super) const GROUP: usize = 64;

/// In `home`: somebody owns the chunk, or may find it.
const LISTED: u32 = 1 << 31;

/// What is known of a chunk.
#[repr(C)]
pub(super) struct Record {
    /// Objects at home, and [`LISTED`].
    home: AtomicU32,
    /// Objects that were carved. The owner's, as `gone`.
    carved: AtomicU32,
    /// When the last of its objects came home, in milliseconds. Anybody's: see
    /// [`Chunk::stamp`].
    used_at: AtomicU32,
    /// How much of the memory is given back already, in granules.
    gone: AtomicU32,
}

/// What is known of 64 chunks. Zero at first.
#[repr(C, align(64))]
pub(super) struct Group {
    /// Bits of the chunks that have something and no owner: those that have objects, and those
    /// all of whose memory was given back.
    pub(super) free: [AtomicU64; 2],
    records: [Record; GROUP],
}

/// Which word of [`Group::free`].
pub(super) const OPEN: usize = 0;
pub(super) const EMPTY: usize = 1;

/// A chunk.
#[derive(Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub(super) chunks: &'a Chunks,
    pub(super) shape: &'a Shape,
    /// From 0 on.
    pub(super) number: u32,
    pub(super) group: &'a Group,
    /// A bit for each object.
    pub(super) bits: &'a [AtomicU64],
    /// Where its memory is.
    pub(super) start: usize,
}

impl<'a> Chunk<'a> {
    fn record(&self) -> &'a Record {
        &self.group.records[self.number as usize % GROUP]
    }

    fn bit(&self) -> u64 {
        1 << (self.number as usize % GROUP)
    }

    /// Objects that were carved, at this moment.
    pub(super) fn carved(&self) -> u32 {
        self.record().carved.load(Ordering::Relaxed)
    }

    /// Objects at home, at this moment.
    pub(super) fn at_home(&self) -> u32 {
        self.record().home.load(Ordering::Relaxed) & !LISTED
    }

    /// Whether all its objects were at home, at this moment, and since when, at least.
    pub(super) fn unused_for(&self, now: u32) -> Option<u32> {
        let carved = self.carved();
        if carved == 0 || self.at_home() != carved {
            return None;
        }
        let unused = now.wrapping_sub(self.record().used_at.load(Ordering::Relaxed));
        // Stamped since the clock was read. Or it went back, or it was 25 days ago: the time
        // begins anew.
        if unused > u32::MAX / 2 {
            self.stamp(now);
            return Some(0);
        }
        Some(unused)
    }

    /// Says that it was used until now.
    // Ordering: Relaxed. Whoever stores has read the clock, so it is a time at which the chunk
    // may have been in use; of two at once either may stay, and one that comes late makes the
    // chunk look older than it is. That decides when memory is given back, never whether it may
    // be: the owner counts.
    fn stamp(&self, now: u32) {
        self.record().used_at.store(now, Ordering::Relaxed);
    }

    /// Brings an object home, which is the caller's.
    pub(super) fn bring_home(self, at: u32) {
        // Ordering: Release pairs with the owner's load of `home`, by way of the addition below:
        // all that was done with the object is done.
        let bit = 1 << (at % 64);
        let others = self.bits[at as usize / 64].fetch_or(bit, Ordering::Release);
        debug_assert!(others & bit == 0, "an object was freed twice");
        // Ordering: Release, as above; Acquire pairs with the owner who let go of a chunk that
        // had nothing left: who lists it hands on what that owner wrote.
        let home = &self.record().home;
        let before = home.fetch_add(1, Ordering::AcqRel);
        // If all are at home it is as many as were carved that is seen here: who carved an object
        // handed it on after that, and the additions hand that on.
        if (before & !LISTED) + 1 == self.carved() {
            self.stamp(milliseconds());
        }
        if before & LISTED == 0 && home.fetch_or(LISTED, Ordering::AcqRel) & LISTED == 0 {
            self.list(OPEN);
        }
    }

    /// Lets others find it.
    // Ordering: Release pairs with the Acquire of `own`.
    fn list(self, which: usize) {
        self.group.free[which].fetch_or(self.bit(), Ordering::Release);
        self.chunks.lower_first(which, self.number / GROUP as u32);
    }

    /// Owns it, if it has something and nobody else does.
    // Ordering: Acquire, as `list` says: the last owner is done.
    pub(super) fn own(self, which: usize) -> Option<Owned<'a>> {
        let before = self.group.free[which].fetch_and(!self.bit(), Ordering::Acquire);
        // Made only if it is: dropping one lets go of it.
        (before & self.bit() != 0).then(|| Owned(self))
    }

    /// Owns one that nobody knows yet.
    pub(super) fn own_new(self) -> Owned<'a> {
        self.record().home.store(LISTED, Ordering::Relaxed);
        Owned(self)
    }
}

/// A chunk that is the caller's, until this is dropped.
pub(super) struct Owned<'a>(pub(super) Chunk<'a>);

impl Owned<'_> {
    /// Objects that can be carved yet.
    pub(super) fn left(&self) -> u32 {
        self.0.shape.each - self.0.carved()
    }

    fn used(&self) {
        self.0.record().gone.store(0, Ordering::Relaxed);
    }

    fn address(&self, at: u32) -> u64 {
        (self.0.start + at as usize * self.0.shape.stride) as u64
    }

    /// Takes objects that are at home; how many.
    pub(super) fn take(&self, room: &mut [u64]) -> usize {
        let home = &self.0.record().home;
        // Ordering: Acquire, as `bring_home` says. All additions are read-modify-writes, so that
        // it pairs with each of those that are counted.
        let count = (home.load(Ordering::Acquire) & !LISTED) as usize;
        let count = count.min(room.len());
        let mut done = 0;
        for (at, word) in self.0.bits.iter().enumerate() {
            if done == count {
                break;
            }
            // Ordering: Acquire, for one whose bit is seen before it is counted: it is as good
            // as another that is.
            let mut seen = word.load(Ordering::Acquire);
            let mut taken = 0;
            while seen != 0 && done < count {
                taken |= seen & seen.wrapping_neg();
                room[done] = self.address(at as u32 * 64 + seen.trailing_zeros());
                seen &= seen - 1;
                done += 1;
            }
            if taken != 0 {
                word.fetch_and(!taken, Ordering::Relaxed);
            }
        }
        if done > 0 {
            home.fetch_sub(done as u32, Ordering::Relaxed);
            self.used();
        }
        done
    }

    /// New objects, lowest address last; so many, and there are as many left.
    pub(super) fn carve(&self, room: &mut [u64]) {
        let before = self.0.carved();
        let count = room.len() as u32;
        for (at, place) in room.iter_mut().enumerate() {
            *place = self.address(before + count - 1 - at as u32);
        }
        self.0
            .record()
            .carved
            .store(before + count, Ordering::Relaxed);
        self.used();
    }

    /// Gives its memory back, if none of its objects is in use: a part of it, if `budget` has
    /// no bytes for more, and the rest when asked again, if nobody has used it meanwhile. How
    /// many objects are gone, when it is done; if the system refuses it, it looks used.
    pub(super) fn give_back(&self, budget: &mut usize) -> u32 {
        let record = self.0.record();
        // Ordering: Acquire, as in `take`.
        let home = record.home.load(Ordering::Acquire) & !LISTED;
        let carved = self.0.carved();
        if carved == 0 || home != carved {
            return 0;
        }
        let end = self.0.shape.end_of(carved, GRANULE);
        let from = record.gone.load(Ordering::Relaxed) as usize * GRANULE;
        let to = end.min(from + (*budget).next_multiple_of(GRANULE));
        // SAFETY: all of its objects are at home, and only the owner takes one away.
        let done = unsafe { Region::discard(self.0.start + from, to - from) };
        *budget = budget.saturating_sub(to - from);
        // A checked pool would take what is given back for something that was written. If it
        // was refused, a part may be gone all the same.
        self.0.chunks.forget_marks(self.0.shape, self.0.number);
        if !done {
            self.0.stamp(milliseconds());
            return 0;
        }
        if to < end {
            let gone = (to / GRANULE) as u32;
            record.gone.store(gone, Ordering::Relaxed);
            return 0;
        }
        // Nobody sets a bit meanwhile: none of the objects is anybody's.
        for word in self.0.bits {
            word.store(0, Ordering::Relaxed);
        }
        record.carved.store(0, Ordering::Relaxed);
        record.gone.store(0, Ordering::Relaxed);
        record.home.fetch_sub(carved, Ordering::Relaxed);
        carved
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        let record = self.0.record();
        let carved = self.0.carved();
        if carved == 0 {
            return self.0.list(EMPTY);
        }
        // Ordering: Release pairs with the Acquire of who brings the next one home, and lists
        // the chunk.
        if carved < self.0.shape.each
            || record
                .home
                .compare_exchange(LISTED, 0, Ordering::Release, Ordering::Relaxed)
                .is_err()
        {
            self.0.list(OPEN);
        }
    }
}

/// Now, in milliseconds; they begin anew after 49 days.
pub(super) fn milliseconds() -> u32 {
    (now() / 1_000_000) as u32
}

#[cfg(all(test, unix))]
mod tests {
    use core::alloc::Layout;

    use super::*;

    /// Takes all objects of the first chunk.
    fn all_of_one(chunks: &Chunks, shape: &Shape) -> Vec<u64> {
        let mut room = vec![0; shape.each as usize];
        assert_eq!(
            chunks.take(shape, u64::MAX, &mut room, true),
            Ok(room.len())
        );
        room
    }

    #[test]
    fn who_has_a_chunk_keeps_others_from_it_and_gives_back_only_all_of_it() {
        let shape = Shape::of(Layout::new::<[u64; 64]>(), false).unwrap();
        let chunks = Chunks::new();
        let objects = all_of_one(&chunks, &shape);
        let chunk = chunks.chunk(&shape, chunks.places_now().unwrap(), 0);
        assert!(
            chunk.own(OPEN).is_none() && chunk.own(EMPTY).is_none(),
            "nothing left"
        );
        let (last, others) = objects.split_last().unwrap();
        for &object in others {
            chunks.bring_home(&shape, object);
        }
        let owned = chunk.own(OPEN).unwrap();
        assert!(chunk.own(OPEN).is_none(), "it has an owner");
        // Who looked before that may have seen another count: the owner counts again.
        let mut budget = usize::MAX / 2;
        assert_eq!(owned.give_back(&mut budget), 0, "somebody has one of them");
        chunks.bring_home(&shape, *last);
        assert!(chunk.own(OPEN).is_none(), "not by one that comes home");
        assert_eq!(owned.give_back(&mut budget), shape.each);
        drop(owned);
        assert!(chunk.own(OPEN).is_none());
        assert_eq!(chunk.own(EMPTY).unwrap().left(), shape.each);
        // Lowest address last, as from the first time.
        assert_eq!(all_of_one(&chunks, &shape), objects);
    }

    #[test]
    fn what_is_not_counted_yet_is_not_taken_for_more() {
        let shape = Shape::of(Layout::new::<[u64; 64]>(), false).unwrap();
        let chunks = Chunks::new();
        let objects = all_of_one(&chunks, &shape);
        let chunk = chunks.chunk(&shape, chunks.places_now().unwrap(), 0);
        for &object in &objects[..3] {
            chunks.bring_home(&shape, object);
        }
        // A fourth is on its way.
        chunk.bits[0].fetch_or(1, Ordering::Relaxed);
        let mut room = [0; 10];
        assert_eq!(chunk.own(OPEN).unwrap().take(&mut room), 3);
        assert_eq!(chunk.at_home(), 0);
    }
    #[test]
    fn chunks_are_as_old_as_their_last_object_is_free() {
        let shape = Shape::of(Layout::new::<[u64; 64]>(), false).unwrap();
        let chunks = Chunks::new();
        let objects = all_of_one(&chunks, &shape);
        let chunk = chunks.chunk(&shape, chunks.places_now().unwrap(), 0);
        let (last, others) = objects.split_last().unwrap();
        // In use for a day.
        let day = 24 * 3600 * 1000;
        chunk.stamp(milliseconds().wrapping_sub(day));
        for &object in others {
            chunks.bring_home(&shape, object);
        }
        assert_eq!(chunk.unused_for(milliseconds()), None);
        let before = milliseconds();
        chunks.bring_home(&shape, *last);
        let now = milliseconds();
        assert!(chunk.unused_for(now).unwrap() <= now.wrapping_sub(before));
        // The clock was read before that, or went back.
        chunk.stamp(now);
        assert_eq!(chunk.unused_for(now.wrapping_sub(5)), Some(0));
        assert_eq!(chunk.unused_for(now.wrapping_add(day)), Some(day + 5));
        let earlier = now.wrapping_sub(5 * day);
        assert_eq!(chunk.unused_for(earlier), Some(0));
        assert_eq!(chunk.unused_for(earlier.wrapping_add(day)), Some(day));
    }
}
