//! The memory of a pool: objects of one size in chunks, carved from the start.
//!
//! | a chunk is | who may carve it |
//! | --- | --- |
//! | never used: its number is not below `fresh` | nobody |
//! | taken | the thread that took it |
//! | in the stack of open ones: it has objects left | nobody |
//! | carved: all of its objects were handed out | nobody, ever, until it is reset |
//!
//! Objects that have no place in magazines or in the depot are *kept*: a stack whose links
//! lie outside of the objects, for an object that was popped is its user's to write to.

mod shape;
mod trim;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(super) use self::shape::Shape;
use super::PoolError;
use crate::magazine::Stack;
use crate::memory::{Place, Region};

/// What is known of a chunk.
#[repr(C)]
struct Record {
    /// The next open one, if it is one.
    link: AtomicU64,
    /// Objects that were carved.
    carved: AtomicU32,
    /// Objects that who trims has counted.
    free: AtomicU32,
    /// Whether who trims has taken it from the open ones.
    taken: AtomicU32,
    _pad: AtomicU32,
}

/// Chunks of one pool.
#[derive(Debug)]
pub(super) struct Chunks {
    objects: Region,
    records: Region,
    /// A link for each object.
    links: Region,
    /// What checked pools know of each object.
    marks: Region,
    open: Stack,
    kept: Stack,
    /// Chunks that were ever used.
    fresh: AtomicU32,
    /// Objects that are carved, in all.
    carved: AtomicU64,
}

/// Where a pool's memory is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) objects: Place,
    records: Place,
    links: Place,
}

impl Chunks {
    pub(super) const fn new() -> Chunks {
        Chunks {
            objects: Region::new(),
            records: Region::new(),
            links: Region::new(),
            marks: Region::new(),
            open: Stack::new(),
            kept: Stack::new(),
            fresh: AtomicU32::new(0),
            carved: AtomicU64::new(0),
        }
    }

    /// Where the memory is, reserved if it was not.
    pub(super) fn places(&self, shape: &Shape) -> Result<Places, PoolError> {
        let refused = |os_error| PoolError::NoMemory { os_error };
        let bytes = shape.reserved();
        let objects = self
            .objects
            .reserve(bytes, 1 << shape.chunk, shape.align)
            .map_err(refused)?;
        let chunks = objects.bytes >> shape.chunk;
        let records = (chunks * size_of::<Record>()).next_power_of_two();
        let links = (chunks * shape.each as usize * 8).next_power_of_two();
        Ok(Places {
            objects,
            records: self.records.reserve(records, records, 1).map_err(refused)?,
            links: self.links.reserve(links, links, 1).map_err(refused)?,
        })
    }

    /// Where the memory is, if it was reserved.
    pub(super) fn places_now(&self) -> Option<Places> {
        Some(Places {
            objects: self.objects.place()?,
            records: self.records.place()?,
            links: self.links.place()?,
        })
    }

    /// Objects that are carved.
    pub(super) fn carved(&self) -> u64 {
        self.carved.load(Ordering::Relaxed)
    }

    /// New objects, lowest address last; how many. Not more than `cap` in all.
    ///
    /// # Errors
    ///
    /// If there is none: the cap is reached, or the system refuses memory. `grow` false: no
    /// chunk may be opened, and then there may be none without an error.
    pub(super) fn carve(
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
        let wanted = self.allow(room.len() as u64, cap)?;
        let number = match self.open.pop(|number| &self.record(places, number).link) {
            Some(number) => number,
            None if grow => match self.fresh_chunk(shape, places) {
                Ok(number) => number,
                Err(why) => {
                    self.carved.fetch_sub(wanted, Ordering::Relaxed);
                    return Err(why);
                }
            },
            None => {
                self.carved.fetch_sub(wanted, Ordering::Relaxed);
                return Ok(0);
            }
        };
        // The chunk is this thread's now.
        let record = self.record(places, number);
        let before = record.carved.load(Ordering::Relaxed);
        let count = (wanted as u32).min(shape.each - before);
        let start = places.objects.base + ((number as usize - 1) << shape.chunk);
        for at in 0..count {
            let object = (before + count - 1 - at) as usize;
            room[at as usize] = (start + object * shape.stride) as u64;
        }
        // Ordering: Relaxed here; the stack, or whoever frees the last of its objects, hands
        // it on.
        record.carved.store(before + count, Ordering::Relaxed);
        if before + count < shape.each {
            self.open
                .push(number, |number| &self.record(places, number).link);
        }
        let less = wanted - u64::from(count);
        if less > 0 {
            self.carved.fetch_sub(less, Ordering::Relaxed);
        }
        Ok(count as usize)
    }

    /// Counts up to `wanted` objects more as carved; how many.
    fn allow(&self, wanted: u64, cap: u64) -> Result<u64, PoolError> {
        // Ordering: Relaxed. A number with a bound.
        let mut carved = self.carved.load(Ordering::Relaxed);
        loop {
            let allowed = wanted.min(cap.saturating_sub(carved));
            if allowed == 0 {
                return Err(PoolError::Full { objects: cap });
            }
            match self.carved.compare_exchange_weak(
                carved,
                carved + allowed,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(allowed),
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
            // What is freed later must find room: so links are opened before.
            self.records
                .open(places.records, end * size_of::<Record>())
                .map_err(refused)?;
            self.links
                .open(places.links, end * shape.each as usize * 8)
                .map_err(refused)?;
            self.objects
                .open(places.objects, end << shape.chunk)
                .map_err(refused)?;
            // Ordering: Relaxed. The number is all that is handed over.
            match self.fresh.compare_exchange_weak(
                fresh,
                fresh + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(fresh + 1),
                Err(now) => fresh = now,
            }
        }
    }

    /// Keeps an object that has no place elsewhere.
    pub(super) fn keep(&self, shape: &Shape, address: u64) {
        if let Some(places) = self.places_now()
            && let Some(number) = number_of(shape, places, address as usize)
        {
            self.kept
                .push(number + 1, |number| self.link(places, number - 1));
        }
    }

    /// An object that was kept.
    pub(super) fn kept(&self, shape: &Shape) -> Option<u64> {
        if self.kept.is_empty() {
            return None;
        }
        let places = self.places_now()?;
        let number = self.kept.pop(|number| self.link(places, number - 1))? - 1;
        let (chunk, at) = (number / shape.each, number % shape.each);
        let start = places.objects.base + ((chunk as usize) << shape.chunk);
        Some((start + at as usize * shape.stride) as u64)
    }

    /// The number of the object at an address; `None` if there can be none.
    pub(super) fn number_of(&self, shape: &Shape, address: usize) -> Option<u32> {
        let places = self.places_now()?;
        let number = number_of(shape, places, address)?;
        let record = self.record_below(number / shape.each)?;
        (number % shape.each < record.carved.load(Ordering::Relaxed)).then_some(number)
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
            let first = (chunk - 1) * shape.each;
            // One that cannot be opened was never written to.
            (first..first + shape.each)
                .filter_map(|number| self.mark(shape, number))
                .for_each(|mark| mark.store(0, Ordering::Relaxed));
        }
    }

    fn record(&self, places: Places, number: u32) -> &Record {
        let address = places.records.base + (number as usize - 1) * size_of::<Record>();
        // SAFETY: chunks have numbers from 1 on, given out after their record was opened;
        // it stays mapped as long as this, and all access is atomic.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    fn record_below(&self, chunk: u32) -> Option<&Record> {
        let places = self.places_now()?;
        (chunk < self.fresh.load(Ordering::Relaxed)).then(|| self.record(places, chunk + 1))
    }

    fn link(&self, places: Places, number: u32) -> &AtomicU64 {
        let address = places.links.base + number as usize * 8;
        // SAFETY: opened with its chunk; it stays mapped as long as this, and all access is
        // atomic.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
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
