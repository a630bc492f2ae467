//! Debug builds: which threads have entered guards that are still there, so that one that
//! waits for its own is told so.
//!
//! A table of words that handlers may change, too. Who finds no room in it is not told.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const ENTRIES: usize = 1024;

/// Bits of a domain's number.
const DOMAIN_BITS: u32 = 45;

/// Entries where a key may stand.
const PLACES: usize = 16;

/// A domain's number, of its own wherever it is moved; it gets one at its first guard.
pub(super) struct Number(AtomicU64);

impl Number {
    pub(super) const fn new() -> Number {
        Number(AtomicU64::new(0))
    }

    // Ordering: Relaxed: a number.
    fn get(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let next = NEXT.fetch_add(1, Ordering::Relaxed);
                let set = self
                    .0
                    .compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
                set.err().unwrap_or(next)
            }
            known => known,
        }
    }
}

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

/// A number for the calling thread and the domain; nothing where there are too many.
fn key(domain: &Number) -> Option<u64> {
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
    let domain = domain.get();
    let fits = number < 1 << (u64::BITS - DOMAIN_BITS) && domain >> DOMAIN_BITS == 0;
    fits.then(|| u64::from(number) << DOMAIN_BITS | domain)
}

/// The key's entry; with `make`, there is one afterwards unless there is no room.
// Ordering: Relaxed: counts, which a thread asks for its own guards. Acquire pairs with the
// Release of `forget`: who takes the entry then counts from 0.
fn entry(key: u64, make: bool) -> Option<&'static Entry> {
    let first = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
    let places = || (first..first + PLACES).map(|at| &TABLE[at % ENTRIES]);
    let known = places().find(|entry| entry.key.load(Ordering::Relaxed) == key);
    let take = |entry: &&Entry| {
        let taken = entry
            .key
            .compare_exchange(0, key, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok()
    };
    known.or_else(|| make.then(|| places().find(take))?)
}

/// The domain ends, and with it guards that were forgotten.
pub(super) fn forget(domain: &Number) {
    let domain = domain.get();
    let its = |entry: &&Entry| {
        let key = entry.key.load(Ordering::Relaxed);
        key != 0 && key & ((1 << DOMAIN_BITS) - 1) == domain
    };
    for entry in TABLE.iter().filter(its) {
        entry.guards.store(0, Ordering::Relaxed);
        entry.key.store(0, Ordering::Release);
    }
}

/// What a guard keeps of who entered it.
pub(super) struct Entered(Option<&'static Entry>);

impl Entered {
    pub(super) fn now(domain: &Number) -> Entered {
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
pub(super) fn is_inside(domain: &Number) -> bool {
    key(domain)
        .and_then(|key| entry(key, false))
        .is_some_and(|entry| entry.guards.load(Ordering::Relaxed) > 0)
}

#[cfg(test)]
mod tests {
    use super::super::ReclaimDomain;
    use super::*;

    /// A guard that is forgotten goes with its domain, which may be moved; what comes to its
    /// place has none.
    #[test]
    fn a_guard_is_of_a_domain_and_not_of_a_place() {
        let mut place = ReclaimDomain::new();
        core::mem::forget(place.enter());
        let moved = core::mem::take(&mut place);
        assert!(is_inside(&moved.number) && !is_inside(&place.number));
        let guard = place.enter();
        assert!(is_inside(&place.number));
        drop(guard);
        assert!(!is_inside(&place.number));
    }

    /// The table has room for others when domains have ended.
    #[test]
    fn domains_that_end_leave_the_table() {
        for _ in 0..2 * ENTRIES {
            let domain = ReclaimDomain::new();
            let guard = domain.enter();
            assert!(is_inside(&domain.number));
            drop(guard);
        }
    }
}
