//! Address space for every stripe there may ever be, without memory.
//!
//! Nothing of it is accessible at first; pages are opened as stripes and words
//! come into use, and cost memory once they are touched. Closed pages also keep
//! `mlockall` from filling the whole reservation.
//!
//! The reservation is placed below [`LOW_END`] when it can be, so that the address
//! of a word in stripe 0, divided by 8, fits in 31 bits: then a counter needs no
//! more than 4 bytes, and no base address to add.

use core::ffi::CStr;

use super::ArenaError;
use super::layout::{GRANULE, Layout};
use crate::os;

/// What `/proc/self/maps` calls it.
const NAME: &CStr = c"percid arena";

/// First stripes below this address have handles that are addresses.
const LOW_END: u64 = 8 << 31;

/// Addresses below this are left to the heap of programs that are not
/// position-independent.
const LOW_START: u64 = 4 << 30;

/// Chooses and reserves the layout for `possible` ids: the whole, or, where
/// address space is scarce, what a quarter of the process's limit allows.
/// `low`: below [`LOW_END`], if there is room.
pub(super) fn reserve<const SHIFT: u32>(
    possible: u32,
    threads: u32,
    low: bool,
) -> Result<Layout<SHIFT>, ArenaError> {
    let budget = os::address_space_limit().map_or(usize::MAX, |limit| limit / 4);
    let mut shape = Some((possible, threads));
    let mut refused = ArenaError::NoAddressSpace {
        bytes: Layout::<SHIFT>::bytes(1, 1),
        os_error: None,
    };
    while let Some((cids, threads)) = shape {
        let bytes = Layout::<SHIFT>::bytes(cids, threads);
        if bytes <= budget {
            let placed = if low {
                place(bytes, Layout::<SHIFT>::BYTES)
            } else {
                os::reserve_aligned(bytes, GRANULE, NAME)
            };
            match placed {
                Ok(base) => {
                    let low = is_low(base, Layout::<SHIFT>::BYTES);
                    return Ok(Layout::new(base, cids, threads, low));
                }
                Err(os_error) => {
                    refused = ArenaError::NoAddressSpace {
                        bytes,
                        os_error: Some(os_error),
                    };
                }
            }
        }
        shape = smaller(cids, threads);
    }
    Err(refused)
}

/// The next smaller shape: fewer stripes for threads without sections first,
/// for they can share; then fewer for ids, which then fall back.
fn smaller(cids: u32, threads: u32) -> Option<(u32, u32)> {
    match (cids, threads) {
        (_, 2..) => Some((cids, threads / 8)).map(|(c, t)| (c, t.max(1))),
        (2.., _) => Some((cids / 2, 1)),
        _ => None,
    }
}

/// Whether a stripe of so many bytes there is where handles are addresses.
fn is_low(base: usize, stripe: usize) -> bool {
    let (base, stripe) = (base as u64, stripe as u64);
    base >= LOW_START && base + stripe <= LOW_END
}

/// A low place, or any.
fn place(bytes: usize, stripe: usize) -> Result<usize, i32> {
    const ATTEMPTS: usize = 8;
    let places = (LOW_END - stripe as u64 - LOW_START) / GRANULE as u64;
    for _ in 0..ATTEMPTS {
        let hint = LOW_START + os::random() % places * GRANULE as u64;
        // Where addresses have 32 bits there is no such place.
        let Ok(hint) = usize::try_from(hint) else {
            break;
        };
        match os::reserve(Some(hint), bytes, NAME) {
            Ok(base) => return Ok(base),
            Err(os::Reserve::Occupied) => {}
            Err(os::Reserve::Refused(os_error)) => return Err(os_error),
        }
    }
    os::reserve_aligned(bytes, GRANULE, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_shrink_to_nothing() {
        let mut shape = Some((512, 64));
        let mut sizes = Vec::new();
        while let Some((cids, threads)) = shape {
            sizes.push((cids, threads));
            shape = smaller(cids, threads);
        }
        assert_eq!(sizes[..4], [(512, 64), (512, 8), (512, 1), (256, 1)]);
        assert_eq!(sizes.last(), Some(&(1, 1)));
    }

    #[test]
    fn low_addresses_fit_in_a_handle() {
        const STRIPE: usize = 1 << 25;
        let is_low = |base| is_low(base, STRIPE);
        let (start, end) = (LOW_START as usize, LOW_END as usize);
        assert!(is_low(start) && is_low(end - STRIPE));
        assert!(!is_low(start - 1) && !is_low(end - STRIPE + 1));
        assert!(!is_low(0x7f00_0000_0000));
        assert!((LOW_END - 8) / 8 <= i32::MAX as u64);
    }
}
