//! The memory of a pool: objects of one size in chunks, carved from the start.
//!
//! `record` says whose a chunk is, and how its objects come home. Those that have no place in
//! magazines or in the depot do; and so do those that nobody has needed for a while, so that
//! chunks become free as a whole, and go back to the system.
//!
//! Bits and counts lie outside of the objects: an object that was popped is its user's to write
//! to, and one whose memory was given back costs none to keep.
//!
//! Memory comes from `memory`, and so from `os`, which says why not from `memmap2`.

#[cfg(all(test, target_os = "linux"))]
mod checker;
mod record;
mod shape;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use self::record::{Chunk, EMPTY, GROUP, Group, OPEN, milliseconds};
pub(super) use self::shape::Shape;
use super::PoolError;
use crate::memory::{Place, Region};

/// Chunks of one pool.
#[derive(Debug)]
pub(super) struct Chunks {
    objects: Region,
    groups: Region,
    /// A bit for each object.
    bits: Region,
    /// What checked pools know of each object.
    marks: Region,
    /// Chunks that were ever used.
    fresh: AtomicU32,
    /// Objects that are carved, in all.
    carved: AtomicU64,
    /// The groups where chunks are looked for first, by [`OPEN`] and [`EMPTY`].
    first: [AtomicU32; 2],
    /// The group whose memory is given back next.
    cursor: AtomicU32,
    /// Bytes of objects that were given back.
    given_back: AtomicU64,
}

/// Where a pool's memory is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    objects: Place,
    groups: Place,
    bits: Place,
}

impl Chunks {
    pub(super) const fn new() -> Chunks {
        Chunks {
            objects: Region::new(),
            groups: Region::new(),
            bits: Region::new(),
            marks: Region::new(),
            fresh: AtomicU32::new(0),
            carved: AtomicU64::new(0),
            first: [const { AtomicU32::new(0) }; 2],
            cursor: AtomicU32::new(0),
            given_back: AtomicU64::new(0),
        }
    }

    /// Where the memory is, reserved if it was not.
    fn places(&self, shape: &Shape) -> Result<Places, PoolError> {
        let refused = |os_error| PoolError::NoMemory { os_error };
        let bytes = shape.reserved();
        let objects = self
            .objects
            .reserve(bytes, 1 << shape.chunk, shape.align)
            .map_err(refused)?;
        let chunks = objects.bytes >> shape.chunk;
        let groups = (chunks.div_ceil(GROUP) * size_of::<Group>()).next_power_of_two();
        let bits = (chunks * shape.words() * 8).next_power_of_two();
        Ok(Places {
            objects,
            groups: self.groups.reserve(groups, groups, 1).map_err(refused)?,
            bits: self.bits.reserve(bits, bits, 1).map_err(refused)?,
        })
    }

    /// Where the memory is, if it was reserved.
    fn places_now(&self) -> Option<Places> {
        Some(Places {
            objects: self.objects.place()?,
            groups: self.groups.place()?,
            bits: self.bits.place()?,
        })
    }

    /// Objects that are carved.
    pub(super) fn carved(&self) -> u64 {
        self.carved.load(Ordering::Relaxed)
    }

    /// Bytes of objects that were given back to the system so far.
    pub(super) fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Relaxed)
    }

    /// Free objects, or new ones; how many. There are no more than `cap` in all.
    ///
    /// # Errors
    ///
    /// If there is none: the cap is reached, or the system refuses memory. `grow` false: no
    /// chunk may be used for the first time, and then there may be none without an error.
    pub(super) fn take(
        &self,
        shape: &Shape,
        cap: u64,
        room: &mut [u64],
        grow: bool,
    ) -> Result<usize, PoolError> {
        let places = match (self.places_now(), grow) {
            (Some(places), _) => places,
            (None, true) => self.places(shape)?,
            (None, false) => return Ok(0),
        };
        // Memory that is in use before such as was given back, and that before new one.
        for which in [OPEN, EMPTY] {
            let count = self.take_of(shape, places, which, cap, room);
            if count > 0 {
                return Ok(count);
            }
        }
        if !grow {
            return Ok(0);
        }
        let allowed = self.allow(room.len().min(shape.each as usize), cap);
        if allowed == 0 {
            return Err(PoolError::Full { objects: cap });
        }
        match self.fresh_chunk(shape, places) {
            Ok(number) => {
                let chunk = self.chunk(shape, places, number);
                chunk.own_new().carve(&mut room[..allowed]);
                Ok(allowed)
            }
            Err(why) => {
                self.carved.fetch_sub(allowed as u64, Ordering::Relaxed);
                Err(why)
            }
        }
    }

    /// Objects of a chunk that was used before.
    fn take_of(
        &self,
        shape: &Shape,
        places: Places,
        which: usize,
        cap: u64,
        room: &mut [u64],
    ) -> usize {
        let groups = self.used().div_ceil(GROUP as u32);
        let first = self.first[which].load(Ordering::Relaxed).min(groups);
        for group in (first..groups).chain(0..first) {
            for chunk in self.chunks_of(shape, places, group, which) {
                // Not owned in vain, for others would pass it over.
                let may_carve = chunk.carved() < shape.each && self.carved() < cap;
                if chunk.at_home() == 0 && !may_carve {
                    continue;
                }
                let Some(owned) = chunk.own(which) else {
                    continue;
                };
                let mut count = owned.take(room);
                if count == 0 {
                    count = self.allow(room.len().min(owned.left() as usize), cap);
                    if count > 0 {
                        owned.carve(&mut room[..count]);
                    }
                }
                if count > 0 {
                    self.first[which].store(group, Ordering::Relaxed);
                    return count;
                }
            }
        }
        0
    }

    /// How many chunks have a number.
    // Ordering: Acquire, as `fresh_chunk` says.
    fn used(&self) -> u32 {
        self.fresh.load(Ordering::Acquire)
    }

    /// There is something in a group.
    // Ordering: Relaxed. A hint: who finds nothing from there on looks before it, too.
    fn lower_first(&self, which: usize, group: u32) {
        if group < self.first[which].load(Ordering::Relaxed) {
            self.first[which].store(group, Ordering::Relaxed);
        }
    }

    /// Counts up to `wanted` objects more as carved; how many.
    fn allow(&self, wanted: usize, cap: u64) -> usize {
        // Ordering: Relaxed. A number with a bound.
        let mut carved = self.carved.load(Ordering::Relaxed);
        loop {
            let allowed = (wanted as u64).min(cap.saturating_sub(carved));
            if allowed == 0 {
                return 0;
            }
            match self.carved.compare_exchange_weak(
                carved,
                carved + allowed,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return allowed as usize,
                Err(now) => carved = now,
            }
        }
    }

    /// A chunk that was never used, with all that belongs to it open.
    fn fresh_chunk(&self, shape: &Shape, places: Places) -> Result<u32, PoolError> {
        let refused = |os_error| PoolError::NoMemory { os_error };
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        loop {
            let end = fresh as usize + 1;
            if end << shape.chunk > places.objects.bytes {
                return Err(PoolError::NoMemory { os_error: 12 });
            }
            // What is freed later must find room: so bits are opened before.
            self.groups
                .open(places.groups, end.div_ceil(GROUP) * size_of::<Group>())
                .map_err(refused)?;
            self.bits
                .open(places.bits, end * shape.words() * 8)
                .map_err(refused)?;
            self.objects
                .open(places.objects, end << shape.chunk)
                .map_err(refused)?;
            // Ordering: Release pairs with `used`: who knows the number finds all of it open.
            match self.fresh.compare_exchange_weak(
                fresh,
                fresh + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(fresh),
                Err(now) => fresh = now,
            }
        }
    }

    /// Brings an object home, which is the caller's.
    pub(super) fn bring_home(&self, shape: &Shape, address: u64) {
        if let Some(places) = self.places_now()
            && let Some(number) = number_of(shape, places, address as usize)
        {
            self.chunk(shape, places, number / shape.each)
                .bring_home(number % shape.each);
        }
    }

    /// Gives memory back, of chunks all of whose objects are at home; how many bytes of objects
    /// that was.
    ///
    /// `budget`: bytes of memory at the most, of one group of chunks, and another one next time;
    /// `None`: of all. `age`: only of chunks none of whose objects was in use for so long.
    pub(super) fn give_back(
        &self,
        shape: &Shape,
        age: Option<Duration>,
        budget: Option<usize>,
    ) -> usize {
        let groups = self.used().div_ceil(GROUP as u32);
        let Some(places) = self.places_now().filter(|_| groups > 0) else {
            return 0;
        };
        let now = milliseconds();
        let age = age.map_or(0, |age| age.as_nanos().div_ceil(1_000_000));
        let age = u32::try_from(age).unwrap_or(u32::MAX);
        let mut left = budget.unwrap_or(usize::MAX / 2);
        let cursor = self.cursor.load(Ordering::Relaxed) % groups;
        let which = match budget {
            Some(_) => cursor..cursor + 1,
            None => 0..groups,
        };
        let mut objects = 0;
        for chunk in which.flat_map(|group| self.chunks_of(shape, places, group, OPEN)) {
            if left == 0 {
                // This group again, next time.
                return self.count_given(shape, objects);
            }
            // Looked at before it is owned, and again then.
            if chunk.unused_for(now).is_some_and(|unused| unused >= age)
                && let Some(owned) = chunk.own(OPEN)
            {
                let gone = u64::from(owned.give_back(&mut left));
                // Before it can be carved anew, so that the cap is not passed.
                self.carved.fetch_sub(gone, Ordering::Relaxed);
                objects += gone;
            }
        }
        self.cursor.store(cursor + 1, Ordering::Relaxed);
        self.count_given(shape, objects)
    }

    fn count_given(&self, shape: &Shape, objects: u64) -> usize {
        let bytes = objects * shape.stride as u64;
        self.given_back.fetch_add(bytes, Ordering::Relaxed);
        bytes as usize
    }

    /// The number of the object at an address; `None` if there can be none.
    pub(super) fn number_of(&self, shape: &Shape, address: usize) -> Option<u32> {
        let places = self.places_now()?;
        let number = number_of(shape, places, address)?;
        let (chunk, at) = (number / shape.each, number % shape.each);
        // A chunk that has a number is open: it counts once it is.
        let known = chunk < self.used();
        (known && at < self.chunk(shape, places, chunk).carved()).then_some(number)
    }

    /// A word for each object, for checks; none if there is no memory for it.
    pub(super) fn mark(&self, shape: &Shape, number: u32) -> Option<&AtomicU32> {
        let chunks = self.places_now()?.objects.bytes >> shape.chunk;
        let bytes = (chunks * shape.each as usize * 4).next_power_of_two();
        let place = self.marks.reserve(bytes, bytes, 1).ok()?;
        self.marks.open(place, (number as usize + 1) * 4).ok()?;
        let address = place.base + number as usize * 4;
        // SAFETY: opened just now; it stays mapped as long as this, and all access is
        // atomic.
        Some(unsafe { &*core::ptr::with_exposed_provenance(address) })
    }

    /// Forgets what a checked pool knows of a chunk's objects. Nobody has one of them.
    fn forget_marks(&self, shape: &Shape, chunk: u32) {
        if self.marks.place().is_some() {
            let first = chunk * shape.each;
            // One that cannot be opened was never written to.
            (first..first + shape.each)
                .filter_map(|number| self.mark(shape, number))
                .for_each(|mark| mark.store(0, Ordering::Relaxed));
        }
    }

    fn group(&self, places: Places, group: u32) -> &Group {
        let address = places.groups.base + group as usize * size_of::<Group>();
        // SAFETY: chunks get a number after their group was opened; it stays mapped as long as
        // this, zero is what it is at first, and all access is atomic.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    /// A chunk that has a number.
    fn chunk<'a>(&'a self, shape: &'a Shape, places: Places, number: u32) -> Chunk<'a> {
        let words = shape.words();
        let bits = places.bits.base + number as usize * words * 8;
        Chunk {
            chunks: self,
            shape,
            number,
            group: self.group(places, number / GROUP as u32),
            // SAFETY: as for groups: opened before the chunk got its number.
            bits: unsafe {
                core::slice::from_raw_parts(core::ptr::with_exposed_provenance(bits), words)
            },
            start: places.objects.base + ((number as usize) << shape.chunk),
        }
    }

    /// The chunks of a group that have something and no owner, at this moment.
    fn chunks_of<'a>(
        &'a self,
        shape: &'a Shape,
        places: Places,
        group: u32,
        which: usize,
    ) -> impl Iterator<Item = Chunk<'a>> {
        let mut seen = self.group(places, group).free[which].load(Ordering::Relaxed);
        core::iter::from_fn(move || {
            let bit = (seen != 0).then(|| seen.trailing_zeros())?;
            seen &= seen - 1;
            Some(self.chunk(shape, places, group * GROUP as u32 + bit))
        })
    }
}

/// The number of the object at an address in the reservation.
fn number_of(shape: &Shape, places: Places, address: usize) -> Option<u32> {
    let offset = places.objects.offset_of(address)?;
    let (chunk, within) = (offset >> shape.chunk, offset & ((1 << shape.chunk) - 1));
    let at = within / shape.stride;
    (within.is_multiple_of(shape.stride) && at < shape.each as usize)
        .then(|| chunk as u32 * shape.each + at as u32)
}
