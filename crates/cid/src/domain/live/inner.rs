//! The parts of a running domain, and what is read of them.

use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use percid_rseq::{possible_cpus, section};

use super::counts::{Counts, DomainStats, count};
use super::stripes::Attached;
use super::table::Table;
use crate::domain::bitmap::Bitmap;
use crate::domain::policy::Policy;
use crate::{Limit, possible_cids};

/// How many ids a domain hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// As many as threads have joined.
    Joined,
    /// As many as CPUs were used within a period: as many as there are.
    Cpus,
    /// So many.
    At(u32),
}

/// What a domain was built as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) ids: Ids,
    /// Nanoseconds.
    pub(crate) period: u64,
    pub(crate) policy: Policy,
}

pub(crate) struct Inner {
    /// Number of the domain, of all in this process; not 0.
    number: u64,
    pub(super) config: Config,
    /// Null: not mapped yet, as the process's domain is before its first use.
    pub(super) table: AtomicPtr<Table>,
    pub(super) ids: Bitmap,
    /// Memberships where there is no table.
    pub(super) joined: AtomicU32,
    /// A leaver's compaction was put off: a signal handler was in the way.
    pub(super) owed: AtomicBool,
    /// Where the next thief looks first.
    pub(super) hand: AtomicU32,
    /// When the slots were gone through last.
    pub(super) scanned: AtomicU64,
    /// Ids that were taken along since.
    pub(super) taken_along: AtomicU32,
    /// Stripes that are open, in all memories.
    pub(super) limit: Limit,
    pub(super) attached: Attached,
    pub(super) counts: Counts,
}

impl Inner {
    /// Without a table: that comes with the first use.
    pub(crate) const fn new(number: u64, config: Config) -> Inner {
        Inner {
            number,
            config,
            table: AtomicPtr::new(ptr::null_mut()),
            ids: Bitmap::new(),
            joined: AtomicU32::new(0),
            owed: AtomicBool::new(false),
            hand: AtomicU32::new(0),
            scanned: AtomicU64::new(0),
            taken_along: AtomicU32::new(0),
            limit: Limit::new(),
            attached: Attached::new(),
            counts: Counts::new(),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_strict(&self) -> bool {
        self.config.ids == Ids::Joined
    }

    pub(super) fn period(&self) -> u64 {
        self.config.period
    }

    /// Ids are handed out below this.
    // Ordering: SeqCst pairs with `join` and `leave`: whoever installs an id and then
    // reads the old bound has installed it before the scans of whoever lowered it.
    pub(super) fn bound(&self) -> u32 {
        let capacity = possible_cids();
        match self.config.ids {
            Ids::Joined => self.joined().load(Ordering::SeqCst).min(capacity),
            Ids::Cpus => capacity,
            Ids::At(most) => most.min(capacity),
        }
    }

    /// Maps the table now. The error is the system's.
    pub(crate) fn prepare(&self) -> Result<(), i32> {
        self.table().map(drop)
    }

    /// The table, mapped if it is not yet. The error is the system's.
    // Ordering: Acquire and Release: who sees the pointer sees the table.
    pub(super) fn table(&self) -> Result<&Table, i32> {
        let mut table = self.table.load(Ordering::Acquire);
        if table.is_null() {
            table = self.map()?;
        }
        // SAFETY: made by `map`, freed with this.
        Ok(unsafe { &*table })
    }

    #[cold]
    fn map(&self) -> Result<*mut Table, i32> {
        // Whoever imagines a larger machine gets its table.
        let mine = Table::map(possible_cpus().max(possible_cids()))?;
        let swapped = self.table.compare_exchange(
            ptr::null_mut(),
            mine.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        Ok(match swapped {
            Ok(_) => mine.as_ptr(),
            Err(first) => {
                // SAFETY: nobody has seen the one that lost.
                unsafe { Table::unmap(mine) };
                first
            }
        })
    }

    /// Where sections find their id, once there is a table.
    pub(crate) fn index(&self) -> Option<section::Table<'_>> {
        let table = self.table.load(Ordering::Acquire);
        // SAFETY: as in `table`.
        unsafe { table.as_ref() }.map(Table::index)
    }

    /// # Safety
    ///
    /// This lives as long as `'a`.
    pub(crate) unsafe fn index_unbound<'a>(&self) -> Option<section::Table<'a>> {
        let table = self.table.load(Ordering::Acquire);
        // SAFETY: as in `table`, for as long as the caller says.
        unsafe { table.as_ref::<'a>() }.map(Table::index)
    }

    /// The table, if anybody has used the domain.
    pub(super) fn mapped(&self) -> Option<&Table> {
        // SAFETY: as in `table`.
        unsafe { self.table.load(Ordering::Acquire).as_ref() }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.get()
    }

    pub(crate) fn ids_in_use(&self) -> u32 {
        self.ids.count()
    }

    pub(crate) fn highest_in_use(&self) -> Option<u32> {
        self.ids.highest()
    }

    pub(crate) fn note_abort(&self) {
        count(&self.counts.aborts);
    }

    pub(crate) fn stats(&self) -> DomainStats {
        self.tick();
        let bytes = self.mapped().map_or(0, Table::bytes);
        let by_table = self.mapped().map_or(0, |table| {
            // Ordering: Relaxed, both. A number.
            table.joined().load(Ordering::Relaxed)
        });
        let joined = self.joined.load(Ordering::Relaxed) + by_table;
        self.counts.snapshot(joined, bytes)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(table) = NonNull::new(*self.table.get_mut()) {
            // SAFETY: made by `map`; this is the last owner, so no section uses it.
            unsafe { Table::unmap(table) };
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("number", &self.number)
            .field("config", &self.config)
            .field("limit", &self.limit.get())
            .field("ids_in_use", &self.ids_in_use())
            .finish_non_exhaustive()
    }
}
