//! What arenas and pools ask of the operating system: address space without memory, which
//! opens as it is needed.
//!
//! By `libc`, although the crate `memmap2` is at hand where files are mapped: its anonymous
//! maps can be written to from the first byte to the last. So 16 GiB of them are 16 GiB of
//! memory to `RLIMIT_DATA`, to a system that does not overcommit and to `mlockall`, and are
//! refused or filled; here only what was opened counts. Nor can it open or give back a part
//! of a map, which alignment and growth need.

use core::ffi::CStr;

pub(crate) use system::*;

/// Why a reservation was not made.
pub(crate) enum Reserve {
    /// Something else is at the address that was asked for.
    Occupied,
    /// The system's error number.
    Refused(i32),
}

/// A page is no larger than this anywhere.
const LARGE_PAGE: usize = 64 << 10;

/// Reserves address space from a multiple of `align` on, a power of two and no less than a
/// page: the system knows pages only, so the ends that are too much are given back. The
/// error is the system's.
pub(crate) fn reserve_aligned(bytes: usize, align: usize, name: &CStr) -> Result<usize, i32> {
    const TOO_MUCH: i32 = 12; // ENOMEM, the same everywhere
    let all = bytes.checked_add(align).ok_or(TOO_MUCH)?;
    let start = reserve(None, all, name).map_err(|refused| match refused {
        Reserve::Refused(os_error) => os_error,
        Reserve::Occupied => 0,
    })?;
    let (base, before, after) = within(start, align);
    // SAFETY: what lies before and after; both are of this reservation, and unused.
    unsafe {
        release(start, before);
        release(base + bytes, after);
    }
    Ok(base)
}

/// Where the first multiple of `align` is in a mapping that is so much too long, and how
/// many bytes are too many before and after.
fn within(start: usize, align: usize) -> (usize, usize, usize) {
    let base = start.next_multiple_of(align);
    (base, base - start, align - (base - start))
}

#[cfg(unix)]
mod system {
    use core::ptr;
    use core::sync::atomic::{AtomicUsize, Ordering};

    use percid_rseq::errno;

    use super::{CStr, Reserve};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const NO_REPLACE: libc::c_int = libc::MAP_FIXED_NOREPLACE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const NO_REPLACE: libc::c_int = 0;

    /// Reserves address space, at `hint` and nowhere else if there is one. `name` is what
    /// `/proc/self/maps` calls it.
    pub(crate) fn reserve(
        hint: Option<usize>,
        bytes: usize,
        name: &CStr,
    ) -> Result<usize, Reserve> {
        let place = hint.map_or(ptr::null_mut(), ptr::without_provenance_mut);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let flags = if hint.is_some() {
            flags | NO_REPLACE
        } else {
            flags
        };
        // SAFETY: a new mapping that replaces nothing.
        let base = unsafe { libc::mmap(place, bytes, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(match (errno(), hint) {
                (libc::EEXIST, Some(_)) => Reserve::Occupied,
                (errno, _) => Reserve::Refused(errno),
            });
        }
        let address = base.expose_provenance();
        if hint.is_some_and(|hint| hint != address) {
            // A system that takes the address for a hint only.
            // SAFETY: made above.
            unsafe { release(address, bytes) };
            return Err(Reserve::Occupied);
        }
        // Neither is needed: without the first, a huge page may be spent on one
        // word or object; without the second, the mapping has no name in /proc/self/maps.
        #[cfg(target_os = "linux")]
        // SAFETY: advice on, and the name of, the mapping made above.
        unsafe {
            libc::madvise(base, bytes, libc::MADV_NOHUGEPAGE);
            const PR_SET_VMA: libc::c_int = 0x5356_4d41;
            const PR_SET_VMA_ANON_NAME: libc::c_ulong = 0;
            libc::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, bytes, name.as_ptr());
        }
        Ok(address)
    }

    /// Gives address space back.
    ///
    /// # Safety
    ///
    /// It is the caller's, and nobody uses it.
    pub(crate) unsafe fn release(base: usize, bytes: usize) {
        if bytes > 0 {
            // SAFETY: the caller's contract.
            unsafe { libc::munmap(ptr::with_exposed_provenance_mut(base), bytes) };
        }
    }

    /// Makes part of a reservation readable and writable. It reads as zero and
    /// costs no memory until it is written. The error is the system's.
    ///
    /// # Safety
    ///
    /// Within a reservation of the caller's.
    pub(crate) unsafe fn open(base: usize, bytes: usize) -> Result<(), i32> {
        let start = ptr::with_exposed_provenance_mut(base);
        // SAFETY: the caller's contract; pages change from closed to open or stay open, and
        // nothing relies on their being closed.
        match unsafe { libc::mprotect(start, bytes, libc::PROT_READ | libc::PROT_WRITE) } {
            0 => Ok(()),
            _ => Err(errno()),
        }
    }

    /// Gives the memory of whole pages back; they read as zero again. Whether it was done: the
    /// system refuses it where memory is locked.
    ///
    /// # Safety
    ///
    /// Within a reservation of the caller's, and nobody uses what is there.
    pub(crate) unsafe fn discard(base: usize, bytes: usize) -> bool {
        let start = ptr::with_exposed_provenance_mut(base);
        // SAFETY: the caller's contract.
        unsafe { libc::madvise(start, bytes, libc::MADV_DONTNEED) == 0 }
    }

    /// Bytes of a page.
    pub(crate) fn page() -> usize {
        static PAGE: AtomicUsize = AtomicUsize::new(0);
        // Ordering: Relaxed. The number is all there is.
        match PAGE.load(Ordering::Relaxed) {
            0 => {
                // SAFETY: no preconditions.
                let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
                let page = usize::try_from(page).unwrap_or(super::LARGE_PAGE);
                PAGE.store(page, Ordering::Relaxed);
                page
            }
            page => page,
        }
    }

    /// The process's limit of address space, if it has one.
    pub(crate) fn address_space_limit() -> Option<usize> {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: a valid place for the answer.
        if unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } != 0 {
            return None;
        }
        (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as usize)
    }

    /// A number that an attacker cannot guess, where the system has any.
    pub(crate) fn random() -> u64 {
        let mut number = [0; 8];
        #[cfg(target_os = "linux")]
        // SAFETY: the buffer is writable for its whole length.
        unsafe {
            libc::getrandom(
                number.as_mut_ptr().cast(),
                number.len(),
                libc::GRND_NONBLOCK,
            );
        }
        #[cfg(not(target_os = "linux"))]
        {
            let somewhere = (&raw const number).addr() as u64;
            number = somewhere.to_ne_bytes();
        }
        u64::from_ne_bytes(number)
    }
}

#[cfg(not(unix))]
mod system {
    use super::{CStr, Reserve};

    pub(crate) fn reserve(_: Option<usize>, _: usize, _: &CStr) -> Result<usize, Reserve> {
        Err(Reserve::Refused(0))
    }

    pub(crate) unsafe fn release(_: usize, _: usize) {}

    pub(crate) unsafe fn open(_: usize, _: usize) -> Result<(), i32> {
        Err(0)
    }

    pub(crate) unsafe fn discard(_: usize, _: usize) -> bool {
        false
    }

    pub(crate) fn page() -> usize {
        super::LARGE_PAGE
    }

    pub(crate) fn address_space_limit() -> Option<usize> {
        None
    }

    pub(crate) fn random() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_starts_where_it_is_to() {
        for page in [0, 1, 7, 15] {
            let start = 0x7f00_0000_0000 + page * 4096;
            let (base, before, after) = within(start, LARGE_PAGE);
            assert!(base.is_multiple_of(LARGE_PAGE) && base >= start);
            assert_eq!((start + before, before + after), (base, LARGE_PAGE));
        }
    }
}
