//! What the kernel's rseq offers.

use crate::area::ORIGINAL_SIZE;

/// Bytes of the area that the kernel keeps, where it does not advertise them:
/// everything up to `flags`.
const UNADVERTISED_SIZE: u32 = 20;

/// What the kernel offers and the registered area has room for.
///
/// ```
/// if let Ok(registration) = percid_rseq::registration() {
///     println!("mm_cid: {}", registration.features.mm_cid);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// Bytes of the area that carry meaning, as the kernel advertises
    /// (`AT_RSEQ_FEATURE_SIZE`); 20 where it does not.
    pub size: u32,
    /// Alignment that it asks for (`AT_RSEQ_ALIGN`); 32 where it does not.
    pub align: u32,
    /// The area tells the NUMA node (Linux 6.3).
    pub node_id: bool,
    /// The area tells the concurrency id (Linux 6.3).
    pub mm_cid: bool,
    /// A thread can ask for a little more time before it is preempted (7.0).
    pub slice_extension: bool,
}

impl Features {
    /// What the kernel offers to an area of `registered` bytes.
    pub(crate) fn of_kernel(registered: u32) -> Features {
        let (size, align) = advertised();
        Features::new(size, align, registered)
    }

    fn new(size: u32, align: u32, registered: u32) -> Features {
        let has = |end| size >= end && registered >= end;
        Features {
            size,
            align,
            node_id: has(24),
            mm_cid: has(28),
            slice_extension: has(32),
        }
    }

    /// Bytes to register for an area of our own: all that is advertised, and
    /// never less than the first version had.
    pub(crate) fn size_to_register(size: u32, align: u32) -> u32 {
        size.max(ORIGINAL_SIZE)
            .checked_next_multiple_of(align.max(1))
            .unwrap_or(u32::MAX)
    }
}

/// Size and alignment that the kernel advertises, or what it means by silence.
#[cfg(target_os = "linux")]
pub(crate) fn advertised() -> (u32, u32) {
    // Not in the libc crate for Linux.
    const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;
    const AT_RSEQ_ALIGN: libc::c_ulong = 28;
    // SAFETY: reads the auxiliary vector; any key is allowed.
    let size = unsafe { libc::getauxval(AT_RSEQ_FEATURE_SIZE) };
    // SAFETY: as above.
    let align = unsafe { libc::getauxval(AT_RSEQ_ALIGN) };
    let or = |value: libc::c_ulong, silent: u32| match u32::try_from(value) {
        Ok(0) | Err(_) => silent,
        Ok(value) => value,
    };
    (or(size, UNADVERTISED_SIZE), or(align, ORIGINAL_SIZE))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn advertised() -> (u32, u32) {
    (UNADVERTISED_SIZE, ORIGINAL_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_offers_no_ids() {
        let old = Features::new(UNADVERTISED_SIZE, 32, 32);
        assert!(!old.node_id && !old.mm_cid && !old.slice_extension);
    }

    #[test]
    fn mm_cid_needs_the_kernel_and_the_room() {
        assert!(Features::new(28, 32, 32).mm_cid);
        assert!(!Features::new(28, 32, 24).mm_cid);
        assert!(!Features::new(24, 32, 32).mm_cid);
        assert!(!Features::new(28, 32, 32).slice_extension);
        assert!(Features::new(33, 64, 33).slice_extension);
    }

    #[test]
    fn our_area_is_as_large_as_advertised() {
        assert_eq!(Features::size_to_register(20, 32), 32);
        assert_eq!(Features::size_to_register(28, 32), 32);
        assert_eq!(Features::size_to_register(33, 64), 64);
        assert_eq!(Features::size_to_register(28, 0), 32);
        assert_eq!(Features::size_to_register(u32::MAX, 64), u32::MAX);
    }
}
