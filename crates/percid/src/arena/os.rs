//! What the arena asks of the operating system.

pub(super) use system::*;

/// Why a reservation was not made.
pub(super) enum Reserve {
    /// Something else is at the address that was asked for.
    Occupied,
    /// The system's error number.
    Refused(i32),
}

#[cfg(unix)]
mod system {
    use core::ptr;

    use percid_rseq::errno;

    use super::Reserve;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const NO_REPLACE: libc::c_int = libc::MAP_FIXED_NOREPLACE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const NO_REPLACE: libc::c_int = 0;

    /// Reserves address space, at `hint` and nowhere else if there is one.
    pub(in crate::arena) fn reserve(hint: Option<usize>, bytes: usize) -> Result<usize, Reserve> {
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
            release(address, bytes);
            return Err(Reserve::Occupied);
        }
        // Neither is needed: without the first, a huge page may be spent on one
        // word; without the second, the mapping has no name in /proc/self/maps.
        #[cfg(target_os = "linux")]
        // SAFETY: advice on, and the name of, the mapping made above.
        unsafe {
            libc::madvise(base, bytes, libc::MADV_NOHUGEPAGE);
            const PR_SET_VMA: libc::c_int = 0x5356_4d41;
            const PR_SET_VMA_ANON_NAME: libc::c_ulong = 0;
            libc::prctl(
                PR_SET_VMA,
                PR_SET_VMA_ANON_NAME,
                base,
                bytes,
                c"percid arena".as_ptr(),
            );
        }
        Ok(address)
    }

    /// Gives a reservation back that nobody has seen.
    pub(in crate::arena) fn release(base: usize, bytes: usize) {
        // SAFETY: reserved by the caller, who has shown it to nobody.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(base), bytes) };
    }

    /// Makes part of the reservation readable and writable. It reads as zero and
    /// costs no memory until it is written.
    pub(in crate::arena) fn open(address: usize, bytes: usize) -> Result<(), i32> {
        let start = ptr::with_exposed_provenance_mut(address);
        // SAFETY: within the reservation, whose pages change from closed to open
        // or stay open; nothing relies on their being closed.
        match unsafe { libc::mprotect(start, bytes, libc::PROT_READ | libc::PROT_WRITE) } {
            0 => Ok(()),
            _ => Err(errno()),
        }
    }

    /// The process's limit of address space, if it has one.
    pub(in crate::arena) fn address_space_limit() -> Option<usize> {
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
    pub(in crate::arena) fn random() -> u64 {
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
    use super::Reserve;

    pub(in crate::arena) fn reserve(_: Option<usize>, _: usize) -> Result<usize, Reserve> {
        Err(Reserve::Refused(0))
    }

    pub(in crate::arena) fn release(_: usize, _: usize) {}

    pub(in crate::arena) fn open(_: usize, _: usize) -> Result<(), i32> {
        Err(0)
    }

    pub(in crate::arena) fn address_space_limit() -> Option<usize> {
        None
    }

    pub(in crate::arena) fn random() -> u64 {
        0
    }
}
