//! Which CPUs there are, and getting to one.

use std::fs;

/// CPUs that the calling thread may run on, by number.
#[must_use]
pub fn allowed() -> Vec<usize> {
    fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| {
            let list = status
                .lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
            parse(list)
        })
        .unwrap_or_else(|| {
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            (0..count).collect()
        })
}

/// CPUs that are switched on.
#[must_use]
pub fn online() -> usize {
    fs::read_to_string("/sys/devices/system/cpu/online")
        .ok()
        .and_then(|list| parse(&list))
        .map_or_else(|| allowed().len(), |cpus| cpus.len())
}

/// The numbers of a list like `0-3,8-11`.
fn parse(list: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    (!numbers.is_empty()).then_some(numbers)
}

/// Keeps the calling thread on a CPU. Whether that worked.
pub(crate) fn pin(cpu: usize) -> bool {
    system::pin(cpu).is_some()
}

/// Moves the calling thread to a CPU, and lets it go from there as it could before.
pub(crate) fn go_to(cpu: usize) {
    if let Some(before) = system::pin(cpu) {
        system::set(&before);
    }
}

#[cfg(target_os = "linux")]
mod system {
    const SIZE: usize = size_of::<libc::cpu_set_t>();

    /// What the thread was allowed before, if it is pinned now.
    pub(super) fn pin(cpu: usize) -> Option<libc::cpu_set_t> {
        if cpu >= libc::CPU_SETSIZE as usize {
            return None;
        }
        // SAFETY: a set of CPUs is plain bits, and all zero is the empty one.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        let mut before = set;
        // SAFETY: the number is below the size of the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        // SAFETY: room for a set of that size; 0 is the calling thread.
        let known = unsafe { libc::sched_getaffinity(0, SIZE, &raw mut before) == 0 };
        (known && self::set(&set)).then_some(before)
    }

    pub(super) fn set(set: &libc::cpu_set_t) -> bool {
        // SAFETY: a valid set of that size; 0 is the calling thread.
        unsafe { libc::sched_setaffinity(0, SIZE, set) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn pin(_: usize) -> Option<()> {
        None
    }

    pub(super) fn set((): &()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse("0\n"), Some(vec![0]));
        assert_eq!(parse("\t0-2,8,10-11\n"), Some(vec![0, 1, 2, 8, 10, 11]));
        assert_eq!(parse(""), None);
        assert_eq!(parse("a-b"), None);
    }

    #[test]
    fn going_somewhere_is_not_staying_there() {
        let before = allowed();
        go_to(before[0]);
        assert_eq!(allowed(), before);
    }

    #[test]
    fn this_machine_has_some() {
        assert!(!allowed().is_empty());
        assert!(online() >= 1);
    }
}
