//! How much memory is resident.

use std::{fs, io};

/// Resident bytes of this process.
///
/// `smaps_rollup` counts pages; `statm`, where there is nothing better, reads
/// counters that lag behind by some pages per CPU.
///
/// # Errors
///
/// If `/proc` does not tell.
pub(crate) fn resident() -> io::Result<u64> {
    let unreadable = || io::Error::other("/proc/self has another form than expected");
    if let Ok(rollup) = fs::read_to_string("/proc/self/smaps_rollup") {
        let kilobytes: Option<u64> = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Rss:"))
            .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
        return kilobytes.map(|count| count << 10).ok_or_else(unreadable);
    }
    let pages: u64 = fs::read_to_string("/proc/self/statm")?
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .ok_or_else(unreadable)?;
    Ok(pages * page_size())
}

/// Resident bytes of this process that are its own: no code, no files. The whole, where the
/// system does not tell.
///
/// # Errors
///
/// If `/proc` does not tell.
pub(crate) fn anonymous() -> io::Result<u64> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let kilobytes: Option<u64> = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.map_or_else(resident, |count| Ok(count << 10))
}

#[cfg(unix)]
fn page_size() -> u64 {
    // SAFETY: no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

#[cfg(not(unix))]
fn page_size() -> u64 {
    4096
}
