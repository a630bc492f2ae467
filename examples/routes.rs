//! A routing table that threads and tasks look things up in while it is swapped.
//!
//! ```text
//! cargo run --release --example routes -- [TASKS] [SWAPS]
//! ```
//!
//! The idea to take home: a guard is `Send` and belongs to no thread. A task may hold one
//! across an `.await`, be moved to another thread by its runtime, and leave from there; the
//! table that it looked at stays until then. Ten thousand of them cost what they hold on
//! their own stacks, and nothing in the domain.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use percid_shootdown::{Atomic, Brand, brand};
use tokio::runtime::{Builder, Runtime};

brand! {
    /// The domain of routing tables.
    pub struct Routes;
}

/// Prefixes, by decreasing length, and where each leads.
pub struct Table {
    version: u64,
    routes: Vec<(u32, u8, u64)>,
}

impl Table {
    /// All routes of a table lead to its own version.
    fn new(version: u64) -> Table {
        let prefixes = [(0x0a01_0000, 16), (0x0a00_0000, 8), (0, 0)];
        Table {
            version,
            routes: prefixes
                .map(|(prefix, bits)| (prefix, bits, version))
                .to_vec(),
        }
    }

    /// Where an address leads.
    fn lookup(&self, address: u32) -> Option<u64> {
        let matches = |(prefix, bits): (u32, u8)| {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            address & mask == prefix
        };
        let found = self.routes.iter().find(|one| matches((one.0, one.1)));
        found.map(|route| route.2)
    }
}

static TABLE: Atomic<Table, Routes> = Atomic::null();

/// A lookup that waits in the middle, under its guard.
async fn slow_lookup(address: u32) -> bool {
    let guard = Routes::enter();
    let Some(table) = TABLE.load(&guard).as_ref() else {
        return false;
    };
    let first = table.lookup(address);
    tokio::time::sleep(Duration::from_millis(1)).await;
    // On whatever thread this is by now: the same table, still whole.
    first == table.lookup(!address | 1) && first == Some(table.version)
}

/// Serves so many tasks, and threads beside them, while the table is swapped; how many
/// lookups were right, and how many there were.
fn serve(runtime: &Runtime, tasks: u64, swaps: u64) -> (u64, u64) {
    TABLE.replace(Some(Table::new(0)));
    let (right, all) = (AtomicU64::new(0), AtomicU64::new(0));
    let swapping = AtomicBool::new(true);
    let tasks: Vec<_> = (0..tasks)
        .map(|task| runtime.spawn(slow_lookup((task as u32).wrapping_mul(0x0100_0001))))
        .collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut address = 1_u32;
                while swapping.load(Ordering::Relaxed) {
                    address = address.wrapping_mul(0x9e37_79b1);
                    let guard = Routes::enter();
                    let table = TABLE.load(&guard).as_ref().expect("never taken away");
                    let is_right = table.lookup(address) == Some(table.version);
                    right.fetch_add(u64::from(is_right), Ordering::Relaxed);
                    all.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for version in 1..=swaps {
            TABLE.replace(Some(Table::new(version)));
        }
        for task in tasks {
            let is_right = runtime.block_on(task).unwrap_or(false);
            right.fetch_add(u64::from(is_right), Ordering::Relaxed);
            all.fetch_add(1, Ordering::Relaxed);
        }
        swapping.store(false, Ordering::Relaxed);
    });
    (right.into_inner(), all.into_inner())
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime")
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|one| one.parse());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (tasks, swaps) = (next(10_000), next(10_000));
    let (right, all) = serve(&runtime(), tasks, swaps);
    println!("{right} of {all} lookups right, {tasks} of them in tasks that waited inside");
    println!("{:?}", Routes::domain().stats());
    assert_eq!(right, all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let table = Table {
            version: 0,
            routes: vec![(0x0a01_0000, 16, 1), (0x0a00_0000, 8, 2)],
        };
        assert_eq!(table.lookup(0x0a01_0203), Some(1));
        assert_eq!(table.lookup(0x0a02_0203), Some(2));
        assert_eq!(table.lookup(0x0b00_0000), None);
    }

    #[test]
    fn every_lookup_is_right() {
        let (right, all) = serve(&runtime(), 2_000, 500);
        assert!(all >= 2_000);
        assert_eq!(right, all);
        Routes::domain().barrier();
        assert_eq!(Routes::domain().stats().holding, 0);
    }
}
