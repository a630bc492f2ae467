//! How many CPUs this kernel can ever have.

use core::sync::atomic::{AtomicU32, Ordering};

/// CPUs that the kernel can ever have, online or not: every CPU number, and
/// every mm_cid, is below it. At least 1.
///
/// Read once, without allocation. A process that is restored on a larger machine
/// keeps the old answer: that is why sections compare with a limit.
///
/// ```
/// assert!(percid_rseq::possible_cpus() >= 1);
/// ```
#[must_use]
pub fn possible_cpus() -> u32 {
    static CACHE: AtomicU32 = AtomicU32::new(0);
    // Ordering: Relaxed. Everybody who computes it gets the same number.
    match CACHE.load(Ordering::Relaxed) {
        0 => {
            let _errno = crate::Preserved::new();
            let count = read().max(1);
            CACHE.store(count, Ordering::Relaxed);
            count
        }
        count => count,
    }
}

#[cfg(unix)]
fn read() -> u32 {
    let mut text = [0; 256];
    read_file(c"/sys/devices/system/cpu/possible", &mut text)
        .and_then(|len| highest(&text[..len]))
        .map_or_else(configured, |highest| highest.saturating_add(1))
}

#[cfg(not(unix))]
fn read() -> u32 {
    1
}

#[cfg(unix)]
fn read_file(path: &core::ffi::CStr, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: a C string and constant flags.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    // SAFETY: the buffer is writable for its whole length.
    let len = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
    // SAFETY: opened above, not used after.
    unsafe { libc::close(file) };
    usize::try_from(len).ok()
}

#[cfg(unix)]
fn configured() -> u32 {
    // SAFETY: no preconditions.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    u32::try_from(count).unwrap_or(1)
}

/// The highest number in a list like `0-3,8-11`.
#[cfg(any(unix, test))]
fn highest(list: &[u8]) -> Option<u32> {
    let list = core::str::from_utf8(list).ok()?.trim_ascii();
    let last = list.rsplit([',', '-']).next()?;
    last.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::highest;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(highest(b"0\n"), Some(0));
        assert_eq!(highest(b"0-1\n"), Some(1));
        assert_eq!(highest(b"0-3,8-11\n"), Some(11));
        assert_eq!(highest(b"0-3,12\n"), Some(12));
        assert_eq!(highest(b"\n"), None);
        assert_eq!(highest(b"x-y"), None);
        assert_eq!(highest(&[0xff]), None);
    }
}
