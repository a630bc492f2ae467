//! The parts of a running domain put together.

use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use percid_rseq::section;
use percid_rseq::{Preserved, enter_thread, possible_cpus};

use super::counts::{Counts, DomainStats, count};
use super::driver::Driver;
use super::stripes::{AttachError, Attached, Memory, Stripes};
use super::table::Table;
use super::thread;
use crate::domain::bitmap::Bitmap;
use crate::domain::policy::Policy;
use crate::domain::protocol::{Acquire, Attempts, Compact, Depth, Outcome, Reset, Scan};
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

/// The generation of memberships that are counted where there is no table: a table's
/// begin at 1.
const WITHOUT_TABLE: u32 = 0;

/// What to do after a section was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Try the section again.
    Retry,
    /// Do the operation on the fallback.
    Fallback,
}

pub(crate) struct Inner {
    /// Number of the domain, of all in this process; not 0.
    number: u64,
    config: Config,
    /// Null: not mapped yet, as the process's domain is before its first use.
    table: AtomicPtr<Table>,
    pub(super) ids: Bitmap,
    /// Memberships where there is no table.
    joined: AtomicU32,
    /// A leaver's compaction was put off: a signal handler was in the way.
    owed: AtomicBool,
    /// Where the next thief looks first.
    pub(super) hand: AtomicU32,
    /// When the slots were gone through last.
    scanned: AtomicU64,
    /// Ids that were taken along since.
    pub(super) taken_along: AtomicU32,
    /// Stripes that were asked for; what is published stands in the table.
    asked: Limit,
    attached: Attached,
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
            asked: Limit::new(),
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

    /// Memberships that count: a table has them in what a child of `fork` finds wiped.
    fn joined(&self) -> &AtomicU32 {
        self.mapped().map_or(&self.joined, Table::joined)
    }

    /// Maps the table now. The error is the system's.
    pub(crate) fn prepare(&self) -> Result<(), i32> {
        self.table().map(drop)
    }

    /// The table, mapped if it is not yet. The error is the system's.
    // Ordering: Acquire and Release: who sees the pointer sees the table.
    fn table(&self) -> Result<&Table, i32> {
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
        let former = thread::former(self.number).filter(|_| self.may_take_along(now));
        let acquire = Acquire::new(self.config.policy, former);
        let outcome = Driver::new(self, table, now).run(acquire);
        let admitted = match outcome {
            Some(Outcome::Retry(Some(place))) => {
                thread::remember(self.number, place);
                place.cid < table.limit() || self.raise(table, place.cid + 1).is_ok()
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
    fn is_ready(&self, table: &Table) -> bool {
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
        let again = thread::count_in(self.number, table.generation());
        if again > 0 {
            // Ordering: SeqCst, as `bound` says.
            table.joined().fetch_add(again, Ordering::SeqCst);
        }
        true
    }

    /// Opens the stripes of ids below `to` in every memory, and admits them.
    fn raise(&self, table: &Table, to: u32) -> Result<(), i32> {
        self.asked.announce(to);
        for memory in self.attached.all() {
            memory.open(to)?;
        }
        table.publish(to);
        Ok(())
    }

    /// Puts memory under the domain's limit.
    pub(crate) fn attach(&self, memory: Memory) -> Result<(), AttachError> {
        let memory = self
            .attached
            .attach(memory)
            .map_err(|_| AttachError::Full)?;
        memory.open(self.asked.announced()).map_err(|os_error| {
            self.attached.withdraw(memory);
            AttachError::NoMemory(os_error)
        })
    }

    /// The first memory that `which` wants.
    pub(crate) fn attached<T>(&self, which: impl Fn(&dyn Stripes) -> Option<&T>) -> Option<&T> {
        self.attached.all().find_map(which)
    }

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
    fn settle(&self, table: &Table, now: u64) {
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

    /// The table, if anybody has used the domain.
    fn mapped(&self) -> Option<&Table> {
        // SAFETY: as in `table`.
        unsafe { self.table.load(Ordering::Acquire).as_ref() }
    }

    /// Takes every id from who is not quick to prove its use.
    pub(crate) fn compact(&self) {
        let _ = self.run_compaction(Compact::forced);
    }

    /// False if this thread is in a slow path already, and nothing was done.
    fn run_compaction(&self, make: fn(core::ops::Range<u32>) -> Compact) -> bool {
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

    // Ordering: SeqCst, as `bound` says.
    pub(crate) fn join(&self) -> Box<thread::Mark> {
        let Some(table) = self.mapped() else {
            self.joined.fetch_add(1, Ordering::SeqCst);
            return thread::mark_joined(self.number, WITHOUT_TABLE);
        };
        let errno = Preserved::new();
        let mark = thread::mark_joined(self.number, thread::NOWHERE);
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

    pub(crate) fn limit(&self) -> u32 {
        self.mapped().map_or(0, Table::limit)
    }

    /// The most stripes that are open in any memory.
    pub(crate) fn opened(&self) -> u32 {
        self.attached.all().map(Stripes::opened).max().unwrap_or(0)
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
            .field("limit", &self.limit())
            .field("ids_in_use", &self.ids_in_use())
            .finish_non_exhaustive()
    }
}

/// Nanoseconds that only grow.
#[cfg(target_os = "linux")]
fn monotonic() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a place for the answer. Async-signal-safe.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(not(target_os = "linux"))]
fn monotonic() -> u64 {
    0
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn relaxed() -> Inner {
        Inner::new(
            99,
            Config {
                ids: Ids::Cpus,
                period: 1_000_000,
                policy: Policy::COMBINED,
            },
        )
    }

    /// A container's view of its CPUs may be smaller than the machine.
    #[test]
    fn a_cpu_beyond_the_table_falls_back() {
        if enter_thread().is_err() {
            println!("no sections here");
            return;
        }
        let inner = relaxed();
        let none = Table::map(0).expect("memory");
        inner.table.store(none.as_ptr(), Ordering::Release);
        let mut attempts = Attempts::default();
        assert_eq!(inner.admit(&mut attempts), Admission::Fallback);
        let stats = inner.stats();
        assert_eq!((stats.fallbacks, stats.acquisitions), (1, 0));
        assert_eq!(inner.ids_in_use(), 0);
    }

    /// Ids whose stripes cannot be opened are not admitted.
    #[test]
    fn an_id_without_memory_falls_back() {
        struct Closed;

        impl Stripes for Closed {
            fn open(&self, to: u32) -> Result<(), i32> {
                if to == 0 { Ok(()) } else { Err(libc::ENOMEM) }
            }

            fn opened(&self) -> u32 {
                0
            }
        }

        if enter_thread().is_err() {
            println!("no sections here");
            return;
        }
        static CLOSED: Closed = Closed;
        let inner = relaxed();
        inner.attach(Memory::Static(&CLOSED)).expect("room");
        let mut attempts = Attempts::default();
        assert_eq!(inner.admit(&mut attempts), Admission::Fallback);
        assert_eq!(inner.limit(), 0);
    }

    /// A leaver in a signal handler that has interrupted a slow path: what it owes is
    /// done by whoever comes next.
    #[test]
    fn who_leaves_inside_a_slow_path_owes_a_compaction() {
        if enter_thread().is_err() || !crate::backend::tables() {
            println!("no tables here");
            return;
        }
        let inner = Inner::new(
            98,
            Config {
                ids: Ids::Joined,
                period: u64::MAX,
                policy: Policy::V3,
            },
        );
        inner.prepare().expect("memory");
        let mark = inner.join();
        // A thread that migrates all the time may be rejected three times.
        for _ in 0..100 {
            if inner.admit(&mut Attempts::default()) == Admission::Retry && inner.ids_in_use() > 0 {
                break;
            }
        }
        assert_eq!((inner.ids_in_use(), inner.stats().joined), (1, 1));
        thread::alone(|| inner.leave(&mark));
        assert_eq!(inner.ids_in_use(), 1);
        inner.tick();
        assert_eq!((inner.ids_in_use(), inner.stats().joined), (0, 0));
    }

    /// A CPU that went offline, or out of the set, keeps the last id: whoever needs it
    /// takes it from there, and a scan finds it.
    #[test]
    fn an_id_in_the_slot_of_a_cpu_that_is_gone_is_not_lost() {
        if enter_thread().is_err() || !crate::backend::tables() || possible_cpus() < 2 {
            println!("no tables of two CPUs here");
            return;
        }
        for by_scan in [false, true] {
            let inner = Inner::new(
                97,
                Config {
                    ids: Ids::At(1),
                    period: 1,
                    policy: Policy::V6,
                },
            );
            let table = inner.table().expect("memory");
            let here = percid_rseq::thread_ids().map_or(0, |ids| ids.cpu);
            let gone = if here == 0 { 1 } else { 0 };
            inner.ids.set(0);
            let valid = crate::domain::SlotWord::UNSET.valid(0);
            assert!(table.swap(gone, crate::domain::SlotWord::UNSET, valid, 0));
            if by_scan {
                inner.compact();
                assert_eq!(inner.ids_in_use(), 0);
            }
            let admitted =
                (0..100).any(|_| inner.admit(&mut Attempts::default()) == Admission::Retry);
            assert!(admitted, "{:?}", inner.stats());
            assert_eq!(inner.ids_in_use(), 1, "{:?}", inner.stats());
        }
    }

    #[test]
    fn three_rejections_and_it_is_the_fallback() {
        let (inner, mut attempts) = (relaxed(), Attempts::default());
        let admitted = (0..5)
            .filter(|_| inner.admit(&mut attempts) == Admission::Retry)
            .count();
        assert!(admitted < 3, "{admitted}");
        assert!(inner.stats().fallbacks >= 3);
    }
}
