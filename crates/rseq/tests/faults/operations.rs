//! Every operation by every kind of index.

use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};

use percid_rseq::Refusal;
use percid_rseq::section::{self, Cpu, Index, MmCid, SLOTS, Slot, Slots, Table, WordAddress};

/// What operations work on: a word in stripe 0, and memory of the caller's.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) word: *mut u64,
    pub(crate) other: *mut u64,
}

/// Two pages. Stripes are a page apart, so that any id but 0 would be outside.
pub(crate) const PAGE: usize = 65_536;

impl Memory {
    /// Pages that nobody may touch.
    pub(crate) fn forbidden() -> Memory {
        Memory::map(libc::PROT_NONE)
    }

    /// Pages of zeros.
    pub(crate) fn zeros() -> Memory {
        Memory::map(libc::PROT_READ | libc::PROT_WRITE)
    }

    fn map(protection: libc::c_int) -> Memory {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, never taken away.
        let start = unsafe { libc::mmap(ptr::null_mut(), 2 * PAGE, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Memory {
            word: start.cast(),
            other: start.wrapping_byte_add(PAGE).cast(),
        }
    }
}

/// Calls every operation once, and again while the kernel aborts it.
///
/// # Safety
///
/// The memory is the thread's own, or the operations cannot commit.
pub(crate) unsafe fn every(
    index: impl Index,
    memory: Memory,
    mut see: impl FnMut(&'static str, Result<(), Refusal>),
) {
    const SHIFT: u32 = PAGE.ilog2();
    let word = WordAddress::new(memory.word);
    let (other, bytes) = (memory.other, memory.other.cast::<u8>());
    let flag = AtomicU32::new(1);
    macro_rules! see {
        ($($operation:ident $([$constant:literal])? ($($argument:expr),*);)*) => {$(
            let outcome = loop {
                // SAFETY: the caller vouches for the memory; lengths fit in it.
                let tried = unsafe { section::$operation::<_, SHIFT $(, $constant)?>(index, word, $($argument),*) };
                if !matches!(tried, Err(Refusal::Aborted)) {
                    break tried;
                }
            };
            see(stringify!($operation), outcome.map(drop));
        )*};
    }
    see! {
        load();
        list_pop[0]();
        array_pop();
        array_pop_batch(other, 4);
        copy_pop(bytes, 24);
        copy_out(bytes, 24);
        add_through(8, 1);
        compare_store(0, 0);
        compare_compare_store(0, 8, 0, 0);
        array_push_batch(8, other, 4);
        array_pop_batch(other, 4);
        copy_push(64, bytes, 24);
        copy_pop(bytes, 24);
        array_push(8, 7);
        array_pop();
        list_push[0](bytes);
        list_pop[0]();
        increment();
        add_if(&flag, 1, 1);
        add(u64::MAX - 1);
        claim(1);
        swap(0);
    }
}

/// How many different operations those are.
pub(crate) const OPERATIONS: usize = 18;

/// The same word in every slot of a table.
pub(crate) fn slots(word: u64) -> Box<Slots> {
    let slots: Vec<Slot> = (0..SLOTS).map(|_| Slot(AtomicU64::new(word))).collect();
    slots.try_into().expect("so many")
}

/// Calls every operation by every kind of index.
///
/// # Safety
///
/// As [`every`], with ids below `limit`; by table with id 0, if the limit admits it.
pub(crate) unsafe fn every_index(
    limit: u32,
    memory: Memory,
    mut see: impl FnMut(&'static str, &'static str, Result<(), Refusal>),
) {
    let (shared, slots) = (AtomicU32::new(limit), slots(u64::from(limit.min(1))));
    // SAFETY: the caller's contract.
    unsafe {
        every(MmCid { limit: &shared }, memory, |name, outcome| {
            see("mm_cid", name, outcome)
        });
        every(Cpu { limit: &shared }, memory, |name, outcome| {
            see("cpu", name, outcome)
        });
        every(Table::new(&slots), memory, |name, outcome| {
            see("table", name, outcome)
        });
    }
}
