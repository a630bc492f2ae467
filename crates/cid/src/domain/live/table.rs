//! The table of a domain: a head that sections read first, and a slot for each CPU.
//!
//! # Layout
//!
//! ```text
//! |-- page: wiped in a child of fork --|-- pages: kept -------------------|
//! |            state, joined  head     | slot 0 | slot 1 | ... | `Table`  |
//! ```
//!
//! What describes the mapping stands in it, behind the slots: nothing is taken from
//! the heap, for the first use may be in a signal handler.
//!
//! The head stands at the end of its page, so that the slots follow it directly, as
//! sections want them. A child of `fork` finds a limit of 0 and no CPUs, so that its
//! first section is refused, and a state of [`WIPED`], so that its first slow path
//! knows why; it rebuilds the ids from the slots, which it finds as they were. It finds
//! that nobody has joined, too: the thread that is left counts itself anew.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{self, TableHead};

use crate::domain::word::SlotWord;

/// Bytes of a slot: a cache line.
const SLOT: usize = 64;

/// A slot: its word, of which sections load the low half, and when that changed last.
#[repr(C, align(64))]
pub(super) struct DomainSlot {
    word: AtomicU64,
    changed: AtomicU64,
}

const _: () = assert!(size_of::<DomainSlot>() == SLOT && size_of::<TableHead>() == SLOT);

/// What stands before the head: nothing, in a child of `fork`.
const WIPED: u32 = 0;
const REBUILDING: u32 = 1;
const ALIVE: u32 = 2;

/// The mapping, as it describes itself.
#[derive(Debug)]
pub(super) struct Table {
    base: NonNull<u8>,
    page: usize,
    cpus: u32,
    /// How often the ids were rebuilt, in this process and those that it was forked from.
    rebuilt: AtomicU32,
}

// SAFETY: all of the mapping is atomic words, and it is mapped until the last owner
// drops it.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// Maps a table for so many CPUs, all slots UNSET, with a limit of 0. It stays until
    /// [`unmap`](Table::unmap). The error is the system's.
    pub(super) fn map(cpus: u32) -> Result<NonNull<Table>, i32> {
        let page = system::page_size();
        let base = system::map(page + Table::slot_bytes(cpus, page))?;
        let mine = Table {
            base,
            page,
            cpus,
            rebuilt: AtomicU32::new(0),
        };
        if let Err(errno) = system::wipe_on_fork(base, page) {
            system::unmap(base, mine.bytes());
            return Err(errno);
        }
        for slot in 0..cpus {
            let slot = mine.slot(slot);
            slot.word
                .store(SlotWord::UNSET.to_bits(), Ordering::Relaxed);
        }
        mine.revive();
        // SAFETY: the line behind the slots, aligned and for this only.
        unsafe {
            let place = base.add(page + cpus as usize * SLOT).cast::<Table>();
            place.write(mine);
            Ok(place)
        }
    }

    /// # Safety
    ///
    /// Made by [`map`](Table::map), and nobody uses it any more.
    pub(super) unsafe fn unmap(table: NonNull<Table>) {
        // SAFETY: the caller's contract; read before it goes.
        let (base, bytes) = unsafe { (table.as_ref().base, table.as_ref().bytes()) };
        system::unmap(base, bytes);
    }

    fn slot_bytes(cpus: u32, page: usize) -> usize {
        (cpus as usize * SLOT + SLOT).next_multiple_of(page)
    }

    /// Bytes mapped.
    pub(super) fn bytes(&self) -> usize {
        self.page + Table::slot_bytes(self.cpus, self.page)
    }

    fn head(&self) -> *mut TableHead {
        // SAFETY: within the first page.
        unsafe { self.base.as_ptr().add(self.page - SLOT).cast() }
    }

    fn state(&self) -> &AtomicU32 {
        // SAFETY: the line before the head, in the first page, for this only.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(self.page - 2 * SLOT).cast()) }
    }

    /// Memberships of threads of this process.
    pub(super) fn joined(&self) -> &AtomicU32 {
        // SAFETY: as `state`, the word after it.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(self.page - 2 * SLOT + 4).cast()) }
    }

    fn slot(&self, slot: u32) -> &DomainSlot {
        assert!(slot < self.cpus, "no slot {slot}");
        // SAFETY: within the mapping; zeroed, or what was stored through this type.
        unsafe {
            &*self
                .base
                .as_ptr()
                .add(self.page)
                .cast::<DomainSlot>()
                .add(slot as usize)
        }
    }

    /// Where sections find their id. Valid for as long as this table is.
    pub(super) fn index(&self) -> section::Table<'_> {
        // SAFETY: `cpus` slots follow the head directly and live as long.
        unsafe { section::Table::new(self.head()) }
    }

    pub(super) fn cpus(&self) -> u32 {
        self.cpus
    }

    // Ordering: Acquire pairs with the Release of `publish`.
    pub(super) fn limit(&self) -> u32 {
        // SAFETY: the head is mapped.
        unsafe { (*self.head()).limit.load(Ordering::Acquire) }
    }

    /// Admits ids below `to`, whose memory is ready.
    // Ordering: Release pairs with `limit`, and with the sections that load it.
    pub(super) fn publish(&self, to: u32) {
        // SAFETY: as above.
        unsafe { (*self.head()).limit.fetch_max(to, Ordering::Release) };
    }

    // Ordering: SeqCst, on words: the machine's `Swap` and loads are one order, and the
    // fences order them with sections.
    pub(super) fn load(&self, slot: u32) -> SlotWord {
        SlotWord::from_bits(self.slot(slot).word.load(Ordering::SeqCst))
    }

    /// When the slot's word changed last.
    // Ordering: Relaxed. An age is a hint.
    pub(super) fn changed(&self, slot: u32) -> u64 {
        self.slot(slot).changed.load(Ordering::Relaxed)
    }

    pub(super) fn swap(&self, slot: u32, old: SlotWord, new: SlotWord, now: u64) -> bool {
        let slot = self.slot(slot);
        let swapped = slot
            .word
            .compare_exchange(
                old.to_bits(),
                new.to_bits(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok();
        if swapped {
            slot.changed.store(now, Ordering::Relaxed);
        }
        swapped
    }

    /// Whether the ids and the head are those of this process.
    // Ordering: Acquire pairs with the Release of `revive`: the ids were rebuilt.
    pub(super) fn is_alive(&self) -> bool {
        self.state().load(Ordering::Acquire) == ALIVE
    }

    /// Changes whenever the ids are rebuilt: a procedure that began before is over.
    // Ordering: Relaxed. `is_alive`, which is asked with it, acquires.
    pub(super) fn generation(&self) -> u32 {
        self.rebuilt.load(Ordering::Relaxed)
    }

    /// Whether the caller, alone, is to rebuild the ids: in a child of `fork`, once.
    // Ordering: Acquire, as `is_alive`; the child's memory is the parent's before.
    pub(super) fn begin_rebuild(&self) -> bool {
        self.state()
            .compare_exchange(WIPED, REBUILDING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Admits sections again, up to a limit that is still 0.
    pub(super) fn revive(&self) {
        // SAFETY: the head is mapped; sections load the number atomically.
        let cpus = unsafe { AtomicU32::from_ptr(&raw mut (*self.head()).cpus) };
        cpus.store(self.cpus, Ordering::Relaxed);
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
        // Ordering: Release pairs with `is_alive`.
        self.state().store(ALIVE, Ordering::Release);
    }
}

const _: () = assert!(size_of::<Table>() <= SLOT && align_of::<Table>() <= SLOT);

/// Whether a child of `fork` finds what it must find wiped. Asked once.
pub(crate) fn wipes() -> bool {
    static WIPES: AtomicU32 = AtomicU32::new(0);
    // Ordering: Relaxed. The answer is the number itself.
    match WIPES.load(Ordering::Relaxed) {
        0 => {
            let page = system::page_size();
            let Ok(base) = system::map(page) else {
                // There is no memory, and nothing is known.
                return true;
            };
            let wipes = system::wipe_on_fork(base, page).is_ok();
            system::unmap(base, page);
            WIPES.store(1 + u32::from(wipes), Ordering::Relaxed);
            wipes
        }
        known => known == 2,
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{NonNull, ptr};

    pub(super) fn page_size() -> usize {
        // SAFETY: no preconditions.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
    }

    fn errno() -> i32 {
        // SAFETY: the calling thread's own error number.
        unsafe { *libc::__errno_location() }
    }

    pub(super) fn map(bytes: usize) -> Result<NonNull<u8>, i32> {
        // SAFETY: a new mapping that replaces nothing.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(errno());
        }
        NonNull::new(base.cast()).ok_or(libc::ENOMEM)
    }

    pub(super) fn wipe_on_fork(base: NonNull<u8>, bytes: usize) -> Result<(), i32> {
        // SAFETY: the start of a mapping that the caller made.
        match unsafe { libc::madvise(base.as_ptr().cast(), bytes, libc::MADV_WIPEONFORK) } {
            0 => Ok(()),
            _ => Err(errno()),
        }
    }

    pub(super) fn unmap(base: NonNull<u8>, bytes: usize) {
        // SAFETY: the whole of a mapping whose last owner goes.
        unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
    }
}

/// Elsewhere there are no sections, hence no tables.
#[cfg(not(target_os = "linux"))]
mod system {
    use super::NonNull;

    pub(super) fn page_size() -> usize {
        4096
    }

    pub(super) fn map(_: usize) -> Result<NonNull<u8>, i32> {
        Err(0)
    }

    pub(super) fn wipe_on_fork(_: NonNull<u8>, _: usize) -> Result<(), i32> {
        Err(0)
    }

    pub(super) fn unmap(_: NonNull<u8>, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table for a test, which never goes.
    fn table(cpus: u32) -> &'static Table {
        // SAFETY: just mapped, and never unmapped.
        unsafe { Table::map(cpus).expect("memory").as_ref() }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_table_starts_alive_and_closed() {
        let table = table(200);
        assert!(table.is_alive() && !table.begin_rebuild());
        assert_eq!((table.limit(), table.cpus()), (0, 200));
        assert!((0..200).all(|slot| table.load(slot) == SlotWord::UNSET));
        let valid = SlotWord::UNSET.valid(3);
        assert!(table.swap(199, SlotWord::UNSET, valid, 77));
        assert!(!table.swap(199, SlotWord::UNSET, valid, 78));
        assert_eq!((table.load(199), table.changed(199)), (valid, 77));
        table.publish(4);
        table.publish(2);
        assert_eq!(table.limit(), 4);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_finds_the_head_wiped_and_the_slots_kept() {
        let table = table(2);
        let valid = SlotWord::UNSET.valid(1);
        assert!(table.swap(1, SlotWord::UNSET, valid, 0));
        table.publish(2);
        // SAFETY: the child calls what may be called between fork and exec.
        match unsafe { libc::fork() } {
            0 => {
                let wiped = !table.is_alive() && table.limit() == 0;
                let once = table.begin_rebuild() && !table.begin_rebuild();
                table.revive();
                let kept = table.is_alive() && table.load(1) == valid;
                // SAFETY: ends the child without running the parent's destructors.
                unsafe { libc::_exit(i32::from(!(wiped && once && kept))) }
            }
            child => {
                let mut status = -1;
                // SAFETY: a child of this process and a place for its status.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0, "the child disagreed");
                assert!(table.is_alive() && table.limit() == 2);
            }
        }
    }
}
