//! Scans and compactions: when they are due, and by whom they are made.
//!
//! There is no tick in user space. Slow paths, readers, and those who join and leave look
//! whether a period has passed; one of them goes through the slots.

use core::ops::Range;
use core::sync::atomic::Ordering;

use percid_rseq::Preserved;

use super::clock::monotonic;
use super::counts::count;
use super::driver::Driver;
use super::inner::Inner;
use super::table::Table;
use super::thread;
use crate::domain::protocol::{Compact, Depth, Scan};

impl Inner {
    /// A period has passed: one thread goes through the slots.
    fn scan_if_due(&self, table: &Table, now: u64) {
        // Ordering: Relaxed. Who wins scans; two scanners are allowed.
        let last = self.scanned.load(Ordering::Relaxed);
        if !self.config.policy.scans || now.saturating_sub(last) < self.config.period {
            return;
        }
        let won = self
            .scanned
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
        if won.is_ok() {
            count(&self.counts.scans);
            self.taken_along.store(0, Ordering::Relaxed);
            let scan = || -> Scan { Scan::new(Depth::Aged, 0..table.cpus()) };
            Driver::new(self, table, now).run(scan());
            // After what the first one freed: its marks were met before there was
            // anywhere to move to.
            if let Some(free) = self.ids.lowest_free()
                && self.ids.highest() > Some(free)
            {
                Driver::above(free, self, table, now).run(scan());
            }
        }
    }

    /// What is due besides: a compaction that was put off, a scan.
    pub(super) fn settle(&self, table: &Table, now: u64) {
        // Ordering: Acquire and Release: the bound has fallen before.
        if self.owed.load(Ordering::Relaxed) && self.owed.swap(false, Ordering::AcqRel) {
            count(&self.counts.scans);
            Driver::new(self, table, now).run(Compact::<64>::leaving(0..table.cpus()));
        }
        self.scan_if_due(table, now);
    }

    /// A chance for a scan, from who reads.
    pub(crate) fn tick(&self) {
        let _errno = Preserved::new();
        if let Some(table) = self.mapped() {
            thread::alone(|| {
                if table.is_alive() {
                    self.settle(table, monotonic());
                }
            });
        }
    }

    /// Takes every id from who is not quick to prove its use.
    pub(crate) fn compact(&self) {
        let _ = self.run_compaction(Compact::forced);
    }

    /// False if this thread is in a slow path already, and nothing was done.
    pub(super) fn run_compaction(&self, make: fn(Range<u32>) -> Compact) -> bool {
        let _errno = Preserved::new();
        let Some(table) = self.mapped() else {
            return true;
        };
        let run = thread::alone(|| {
            if self.is_ready(table) {
                count(&self.counts.scans);
                Driver::new(self, table, monotonic()).run(make(0..table.cpus()));
            }
        });
        run.is_some()
    }
}
