//! Debug builds: which threads have entered guards that are still there, so that one that
//! waits for its own is told so.
//!
//! A table that only grows, of words that handlers may change, too. Who finds no room in it
//! is not told.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const ENTRIES: usize = 1024;

/// Bits of a domain's address, without those that are the same in all.
const DOMAIN_BITS: u32 = 45;

/// A thread in a domain, and how many guards it has entered there that are not dropped.
struct Entry {
    /// 0: nobody's yet.
    key: AtomicU64,
    guards: AtomicU32,
}

static TABLE: [Entry; ENTRIES] = [const {
    Entry {
        key: AtomicU64::new(0),
        guards: AtomicU32::new(0),
    }
}; ENTRIES];

/// A number for the calling thread and the domain at an address; nothing where there are too
/// many threads.
fn key(domain: usize) -> Option<u64> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    std::thread_local! {
        static NUMBER: Cell<u32> = const { Cell::new(0) };
    }
    let number = NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    });
    let domain = domain as u64 >> 3;
    let fits = number < 1 << (u64::BITS - DOMAIN_BITS) && domain >> DOMAIN_BITS == 0;
    fits.then(|| u64::from(number) << DOMAIN_BITS | domain)
}

/// The key's entry; with `make`, there is one afterwards unless the table is full.
// Ordering: Relaxed, all: counts, which a thread asks for its own guards.
fn entry(key: u64, make: bool) -> Option<&'static Entry> {
    let first = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
    for at in first..first + 16 {
        let entry = &TABLE[at % ENTRIES];
        let found = match entry.key.load(Ordering::Relaxed) {
            0 if !make => return None,
            0 => entry
                .key
                .compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed)
                .map_or_else(|found| found, |_| key),
            found => found,
        };
        if found == key {
            return Some(entry);
        }
    }
    None
}

/// The domain ends, and with it guards that were forgotten: another one at its address has
/// none of them.
// Ordering: Relaxed, as `entry`.
pub(super) fn forget(domain: usize) {
    let domain = domain as u64 >> 3;
    let its = |entry: &&Entry| {
        let key = entry.key.load(Ordering::Relaxed);
        key != 0 && key & ((1 << DOMAIN_BITS) - 1) == domain
    };
    for entry in TABLE.iter().filter(its) {
        entry.guards.store(0, Ordering::Relaxed);
    }
}

/// What a guard keeps of who entered it.
pub(super) struct Entered(Option<&'static Entry>);

impl Entered {
    pub(super) fn now(domain: usize) -> Entered {
        let entry = key(domain).and_then(|key| entry(key, true));
        if let Some(entry) = entry {
            entry.guards.fetch_add(1, Ordering::Relaxed);
        }
        Entered(entry)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(entry) = self.0 {
            entry.guards.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether a guard exists that the calling thread has entered.
pub(super) fn is_inside(domain: usize) -> bool {
    key(domain)
        .and_then(|key| entry(key, false))
        .is_some_and(|entry| entry.guards.load(Ordering::Relaxed) > 0)
}
