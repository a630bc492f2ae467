//! The table of a domain: a slot for each CPU, and what must not outlive a fork.
//!
//! # Layout
//!
//! ```text
//! |-- wiped in a child of fork ---------------------|-- kept --------------|
//! | state, joined | ... | slot 0 | slot 1 | ...     | `Table` | when, when |
//! ```
//!
//! Zero is no id, so nothing is written before the first one is, and memory is taken for
//! the CPUs that are used. A child of `fork` finds its slots without ids, so that its
//! first section is refused, and a state of [`WIPED`], so that its first slow path knows
//! why: it makes the bits agree with the slots. It finds that nobody has joined, too: the
//! thread that is left counts itself anew.
//!
//! What describes the mapping stands in it, behind the slots: nothing is taken from
//! the heap, for the first use may be in a signal handler. There, too, stands when each
//! slot changed last.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{self, SLOTS, Slots};

use crate::domain::word::SlotWord;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Where slots begin. Not at the start of a page: there stand the first words of arenas,
/// and a processor that compares addresses by their place in a page would take a store to
/// one of those for one to a slot.
const FIRST_SLOT: usize = 2048;

/// What stands at the start: nothing, in a child of `fork`.
const WIPED: u32 = 0;
const REBUILDING: u32 = 1;
const ALIVE: u32 = 2;

/// The mapping, as it describes itself.
#[derive(Debug)]
pub(super) struct Table {
    base: NonNull<u8>,
    /// Bytes up to what is kept.
    wiped: usize,
    /// Bytes of all.
    bytes: usize,
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
    /// Maps a table for so many CPUs, all slots UNSET. It stays until
    /// [`unmap`](Table::unmap). The error is the system's.
    pub(super) fn map(cpus: u32) -> Result<NonNull<Table>, i32> {
        let cpus = cpus.min(SLOTS as u32);
        let page = system::page_size();
        let wiped = (FIRST_SLOT + size_of::<Slots>()).next_multiple_of(page);
        let kept = (LINE + cpus as usize * size_of::<AtomicU64>()).next_multiple_of(page);
        let base = system::map(wiped + kept)?;
        if let Err(errno) = system::wipe_on_fork(base, wiped) {
            system::unmap(base, wiped + kept);
            return Err(errno);
        }
        // SAFETY: the line after what is wiped, aligned, mapped and for this only.
        let table = unsafe {
            let place = base.add(wiped).cast::<Table>();
            place.write(Table {
                base,
                wiped,
                bytes: wiped + kept,
                cpus,
                rebuilt: AtomicU32::new(0),
            });
            place
        };
        // SAFETY: just written.
        unsafe { table.as_ref() }.revive();
        Ok(table)
    }

    /// # Safety
    ///
    /// Made by [`map`](Table::map), and nobody uses it any more.
    pub(super) unsafe fn unmap(table: NonNull<Table>) {
        // SAFETY: the caller's contract; read before it goes.
        let (base, bytes) = unsafe { (table.as_ref().base, table.as_ref().bytes) };
        system::unmap(base, bytes);
    }

    /// Bytes mapped.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn state(&self) -> &AtomicU32 {
        // SAFETY: the first word of the mapping, for this only.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().cast()) }
    }

    /// Memberships of threads of this process.
    pub(super) fn joined(&self) -> &AtomicU32 {
        // SAFETY: as `state`, the word after it.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(4).cast()) }
    }

    fn slots(&self) -> &Slots {
        // SAFETY: as many as there are stand there, aligned for words: zeroed, or what was
        // stored through this type.
        unsafe { &*self.base.as_ptr().add(FIRST_SLOT).cast() }
    }

    fn slot(&self, slot: u32) -> &AtomicU64 {
        assert!(slot < self.cpus, "no slot {slot}");
        &self.slots()[slot as usize].0
    }

    /// When the slot changed last.
    fn when(&self, slot: u32) -> &AtomicU64 {
        assert!(slot < self.cpus, "no slot {slot}");
        let place = self.wiped + LINE + slot as usize * size_of::<AtomicU64>();
        // SAFETY: within the mapping, which has one for each CPU behind `Table`.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(place).cast()) }
    }

    /// Where sections find their id. Valid for as long as this table is.
    pub(super) fn index(&self) -> section::Table<'_> {
        section::Table::new(self.slots())
    }

    pub(super) fn cpus(&self) -> u32 {
        self.cpus
    }

    // Ordering: SeqCst, on words: the machine's `Swap` and loads are one order, and the
    // fences order them with sections.
    pub(super) fn load(&self, slot: u32) -> SlotWord {
        SlotWord::from_bits(self.slot(slot).load(Ordering::SeqCst))
    }

    /// When the slot's word changed last.
    // Ordering: Relaxed. An age is a hint.
    pub(super) fn changed(&self, slot: u32) -> u64 {
        self.when(slot).load(Ordering::Relaxed)
    }

    pub(super) fn swap(&self, slot: u32, old: SlotWord, new: SlotWord, now: u64) -> bool {
        let swapped = self
            .slot(slot)
            .compare_exchange(
                old.to_bits(),
                new.to_bits(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok();
        if swapped {
            self.when(slot).store(now, Ordering::Relaxed);
        }
        swapped
    }

    /// Whether the ids are those of this process.
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

    /// Says that the bits agree with the slots.
    pub(super) fn revive(&self) {
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
        // Ordering: Release pairs with `is_alive`.
        self.state().store(ALIVE, Ordering::Release);
    }
}

const _: () = assert!(size_of::<Table>() <= LINE && align_of::<Table>() <= LINE);

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
    use percid_rseq::errno;

    use super::{NonNull, ptr};

    pub(super) fn page_size() -> usize {
        // SAFETY: no preconditions.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
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
    fn a_table_starts_alive_and_without_ids() {
        let table = table(200);
        assert!(table.is_alive() && !table.begin_rebuild());
        assert_eq!(table.cpus(), 200);
        assert!((0..200).all(|slot| table.load(slot) == SlotWord::UNSET));
        let valid = SlotWord::UNSET.valid(3);
        assert!(table.swap(199, SlotWord::UNSET, valid, 77));
        assert!(!table.swap(199, SlotWord::UNSET, valid, 78));
        assert_eq!((table.load(199), table.changed(199)), (valid, 77));
    }

    /// Of more CPUs than sections look at, the rest has none.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_table_has_no_more_slots_than_sections_know() {
        let table = table(1 << 20);
        assert_eq!(table.cpus(), SLOTS as u32);
        let (last, valid) = (SLOTS as u32 - 1, SlotWord::UNSET.valid(9));
        assert!(table.swap(last, SlotWord::UNSET, valid, 5));
        assert_eq!((table.load(last), table.changed(last)), (valid, 5));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_finds_the_slots_wiped() {
        let table = table(2);
        let valid = SlotWord::UNSET.valid(1);
        assert!(table.swap(1, SlotWord::UNSET, valid, 7));
        table.joined().store(3, Ordering::Relaxed);
        // SAFETY: the child calls what may be called between fork and exec.
        match unsafe { libc::fork() } {
            0 => {
                let wiped = !table.is_alive() && table.load(1) == SlotWord::UNSET;
                let alone = table.joined().load(Ordering::Relaxed) == 0;
                let once = table.begin_rebuild() && !table.begin_rebuild();
                table.revive();
                let alive = table.is_alive() && table.changed(1) == 7;
                // SAFETY: ends the child without running the parent's destructors.
                unsafe { libc::_exit(i32::from(!(wiped && alone && once && alive))) }
            }
            child => {
                let mut status = -1;
                // SAFETY: a child of this process and a place for its status.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0, "the child disagreed");
                assert!(table.is_alive() && table.load(1) == valid);
            }
        }
    }
}
