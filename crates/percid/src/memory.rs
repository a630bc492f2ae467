//! Reservations of address space that open from the start as they are needed: what pools
//! keep their objects and their blocks in.
//!
//! Made at the first use, by whoever comes first: racing threads each reserve, the first
//! to publish wins. So it works in signal handlers and before `main`.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use percid_rseq::Preserved;

use crate::os;

/// The least that is opened at once: at least a page, wherever this runs.
pub(crate) const GRANULE: usize = 64 << 10;

/// The most that is opened at once.
const STEP: usize = 64 << 20;

/// A reservation: nothing at first, then a power of two bytes of address space.
#[derive(Debug)]
pub(crate) struct Region {
    /// The base, and log2 of the bytes in the bits that its alignment leaves; 0: none.
    place: AtomicU64,
    /// Bytes from the base that may be touched.
    opened: AtomicUsize,
}

/// Where a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) base: usize,
    pub(crate) bytes: usize,
}

impl Place {
    /// How far into the region an address is, if it is in there.
    #[inline]
    pub(crate) fn offset_of(self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base);
        (offset < self.bytes).then_some(offset)
    }
}

impl Region {
    pub(crate) const fn new() -> Region {
        Region {
            place: AtomicU64::new(0),
            opened: AtomicUsize::new(0),
        }
    }

    /// Where it is, if it was reserved.
    // Ordering: Acquire pairs with the Release in `reserve`: the mapping was made before.
    #[inline]
    pub(crate) fn place(&self) -> Option<Place> {
        let place = self.place.load(Ordering::Acquire);
        (place != 0).then(|| unpack(place))
    }

    /// Reserves `bytes`, a power of two, or, where the system has not so much, half or a
    /// quarter of that and so on, down to `least`.
    ///
    /// # Errors
    ///
    /// The system's error number.
    pub(crate) fn reserve(&self, bytes: usize, least: usize, align: usize) -> Result<Place, i32> {
        debug_assert!(bytes.is_power_of_two() && align.is_power_of_two());
        if let Some(place) = self.place() {
            return Ok(place);
        }
        let _errno = Preserved::new();
        let mut bytes = bytes.max(GRANULE);
        let base = loop {
            match os::reserve_aligned(bytes, align.max(GRANULE), c"percid pool") {
                Ok(base) => break base,
                // Perhaps refused because somebody else has just had it.
                Err(why) if bytes / 2 < least.max(GRANULE) => return self.place().ok_or(why),
                Err(_) => bytes /= 2,
            }
        };
        let mine = base as u64 | u64::from(bytes.trailing_zeros());
        // Ordering: Release pairs with `place`.
        match self
            .place
            .compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(unpack(mine)),
            Err(first) => {
                // SAFETY: nobody has seen it.
                unsafe { os::release(base, bytes) };
                Ok(unpack(first))
            }
        }
    }

    /// Makes the bytes below `end` usable; they read zero at first.
    ///
    /// # Errors
    ///
    /// The system's error number: nothing has changed.
    // Ordering: Acquire and Release: who sees the number sees the pages open. Two that open
    // at a time each open all from what they saw opened, so what is below the larger of
    // their ends is open.
    #[inline]
    pub(crate) fn open(&self, place: Place, end: usize) -> Result<(), i32> {
        let opened = self.opened.load(Ordering::Acquire);
        if end <= opened {
            return Ok(());
        }
        self.open_slow(place, opened, end)
    }

    #[cold]
    fn open_slow(&self, place: Place, opened: usize, end: usize) -> Result<(), i32> {
        let _errno = Preserved::new();
        // As much again as there is, so that calls are few; but no more than is needed
        // where the system has not that much.
        let needed = end.next_multiple_of(GRANULE);
        let ample = needed
            .max(opened.saturating_add(opened.clamp(GRANULE, STEP)))
            .min(place.bytes);
        let open = |to: usize| {
            // SAFETY: within the reservation, which is this region's.
            unsafe { os::open(place.base + opened, to - opened) }.map(|()| to)
        };
        let to = open(ample).or_else(|_| open(needed))?;
        self.opened.fetch_max(to, Ordering::AcqRel);
        Ok(())
    }

    /// Gives the memory of whole pages in a part back; it reads zero afterwards. `false`: it was
    /// refused, for all of it or for some.
    ///
    /// # Safety
    ///
    /// The part was opened, and nobody uses it.
    pub(crate) unsafe fn discard(start: usize, bytes: usize) -> bool {
        let _errno = Preserved::new();
        let page = os::page();
        let from = start.next_multiple_of(page);
        let to = (start + bytes) / page * page;
        // SAFETY: the caller's contract.
        from >= to || unsafe { os::discard(from, to - from) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(place) = self.place() {
            // SAFETY: the last user; nobody else reaches it.
            unsafe { os::release(place.base, place.bytes) };
        }
    }
}

fn unpack(place: u64) -> Place {
    Place {
        base: place as usize & !(GRANULE - 1),
        bytes: 1 << (place & 63),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn opens_from_the_start_and_reads_zero_again() {
        let region = Region::new();
        assert_eq!(region.place(), None);
        let place = region.reserve(1 << 24, 1 << 20, 1 << 21).unwrap();
        assert!(place.base.is_multiple_of(1 << 21) && place.bytes == 1 << 24);
        assert_eq!(region.reserve(1 << 24, 1 << 20, 1 << 21), Ok(place));
        for end in [1, GRANULE, GRANULE + 1, 1 << 20, 1 << 24] {
            region.open(place, end).unwrap();
            let last: *mut u8 = core::ptr::with_exposed_provenance_mut(place.base + end - 1);
            // SAFETY: opened just now.
            unsafe { last.write(7) };
        }
        // SAFETY: nobody uses it.
        assert!(unsafe { Region::discard(place.base, place.bytes) });
        let first: *const u8 = core::ptr::with_exposed_provenance(place.base);
        // SAFETY: open.
        assert_eq!(unsafe { first.read() }, 0);
        assert_eq!(place.offset_of(place.base + 5), Some(5));
        assert_eq!(place.offset_of(place.base + place.bytes), None);
        assert_eq!(place.offset_of(place.base - 1), None);
    }

    #[test]
    fn less_where_there_is_not_as_much() {
        let region = Region::new();
        let place = region.reserve(1 << 62, 1 << 20, 4096).unwrap();
        assert!((1 << 20..1 << 48).contains(&place.bytes));
        let region = Region::new();
        assert!(region.reserve(1 << 62, 1 << 61, 4096).is_err());
    }
}
