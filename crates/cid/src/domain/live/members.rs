//! Who has joined: what a strict bound is made of.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use percid_rseq::Preserved;

use super::inner::Inner;
use super::table::Table;
use super::thread;
use crate::domain::protocol::Compact;

/// The generation of memberships that are counted where there is no table: a table's
/// begin at 1.
const WITHOUT_TABLE: u32 = 0;

impl Inner {
    /// Memberships that count: a table has them in what a child of `fork` finds wiped.
    pub(super) fn joined(&self) -> &AtomicU32 {
        self.mapped().map_or(&self.joined, Table::joined)
    }

    // Ordering: SeqCst, as `bound` says.
    pub(crate) fn join(&self) -> NonNull<thread::Mark> {
        let Some(table) = self.mapped() else {
            self.joined.fetch_add(1, Ordering::SeqCst);
            return thread::mark_joined(self.number(), WITHOUT_TABLE);
        };
        let errno = Preserved::new();
        let mark = thread::mark_joined(self.number(), thread::NOWHERE);
        // It is counted now, or with this thread's next slow path.
        thread::alone(|| self.is_ready(table));
        drop(errno);
        self.tick();
        mark
    }

    // Ordering: SeqCst, as `bound` says.
    pub(crate) fn leave(&self, mark: &thread::Mark) {
        thread::unmark_joined(mark);
        let less = |joined: &AtomicU32| {
            let less = |joined: u32| joined.checked_sub(1);
            // It cannot fail: what was counted is there.
            let _ = joined.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        };
        match (mark.counted(), self.mapped()) {
            (WITHOUT_TABLE, _) => less(&self.joined),
            // A child of fork has not counted what its parent did.
            (counted, Some(table)) if table.is_alive() && counted == table.generation() => {
                less(table.joined());
            }
            _ => {}
        }
        if self.is_strict() && !self.run_compaction(Compact::leaving) {
            self.owed.store(true, Ordering::Release);
        }
    }
}
