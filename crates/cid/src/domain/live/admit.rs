//! A thread whose section was refused gets an id, or is told to work on the fallback.
//!
//! In a child of `fork` whoever comes first makes the bits agree with the slots before,
//! and everybody counts himself among those that have joined.

use core::sync::atomic::Ordering;

use percid_rseq::{Preserved, enter_thread};

use super::clock::monotonic;
use super::counts::count;
use super::driver::Driver;
use super::inner::{Ids, Inner};
use super::table::Table;
use super::thread;
use crate::domain::protocol::{Acquire, Attempts, Outcome, Reset};

/// What to do after a section was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Try the section again.
    Retry,
    /// Do the operation on the fallback.
    Fallback,
}

impl Inner {
    /// After a section of this domain was refused, for an id or for a registration
    /// that it did not have.
    #[cold]
    pub(crate) fn admit(&self, attempts: &mut Attempts) -> Admission {
        let _errno = Preserved::new();
        let admitted = attempts.rejected() && thread::alone(|| self.get_an_id()).unwrap_or(false);
        if admitted {
            Admission::Retry
        } else {
            count(&self.counts.fallbacks);
            Admission::Fallback
        }
    }

    fn get_an_id(&self) -> bool {
        let Ok(table) = self.table() else {
            return false;
        };
        if enter_thread().is_err() || !self.is_ready(table) {
            return false;
        }
        let now = monotonic();
        let former = thread::former(self.number()).filter(|_| self.may_take_along(now));
        let acquire = Acquire::new(self.config.policy, former);
        let outcome = Driver::new(self, table, now).run(acquire);
        let admitted = match outcome {
            Some(Outcome::Retry(Some(place))) => {
                thread::remember(self.number(), place);
                true
            }
            Some(Outcome::Retry(None)) => true,
            _ => false,
        };
        self.settle(table, now);
        admitted
    }

    /// Whether a thread that migrated may take its id along, which costs a fence. Where
    /// there are as many ids as CPUs, so many of them in a period: whoever comes later
    /// takes a free id, and the scan frees the old one.
    fn may_take_along(&self, now: u64) -> bool {
        const IN_A_PERIOD: u32 = 8;
        // Ordering: Relaxed, here and below. A budget.
        if self.config.ids != Ids::Cpus {
            return true;
        }
        let passed = now.saturating_sub(self.scanned.load(Ordering::Relaxed));
        passed >= self.config.period || self.taken_along.load(Ordering::Relaxed) < IN_A_PERIOD
    }

    /// Whether the ids are those of this process; rebuilds them in a child of fork, and
    /// counts the thread that forked among those that have joined, if it had.
    pub(super) fn is_ready(&self, table: &Table) -> bool {
        if !table.is_alive() {
            if !table.begin_rebuild() {
                // Another thread does.
                return false;
            }
            // Requests in a child that is alone: they are carried out whatever the state.
            let driver = Driver::new(self, table, 0);
            crate::domain::drive(Reset::new(0..table.cpus()), &driver);
            // Where the fork came in the middle of counting, the rest was counted here.
            table.joined().store(0, Ordering::SeqCst);
            table.revive();
        }
        let again = thread::count_in(self.number(), table.generation());
        if again > 0 {
            // Ordering: SeqCst, as `bound` says.
            table.joined().fetch_add(again, Ordering::SeqCst);
        }
        true
    }
}
