//! What the threads of a trial share, and the memory that they stand in.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::Disturbance;
use crate::arch::{self, Entry};
use crate::area::{Area, OWN_AREA_ALIGN, OWN_AREA_SIZE};

/// Bytes of each stack: a signal's frame takes up to 11 KiB of it.
const STACK: usize = 64 << 10;

/// Bytes for the stage.
const FIRST: usize = 4096;

pub(super) const KINDS: usize = Disturbance::ALL.len();

/// What the threads share. All zero at first.
#[repr(C)]
pub(super) struct Stage {
    pub(super) area: VictimArea,
    /// The number of the try whose section is open, or was last.
    pub(super) inside: AtomicU32,
    /// Where sections commit to.
    pub(super) committed: AtomicU32,
    /// By kind: the number of the try that waits no longer.
    pub(super) flags: [AtomicU32; KINDS],
    /// By kind: the number of the try that was disturbed for sure.
    pub(super) done: [AtomicU32; KINDS],
    /// By kind, what came of it.
    pub(super) disturbed: [AtomicU32; KINDS],
    pub(super) aborted: [AtomicU32; KINDS],
    pub(super) survived: [AtomicU32; KINDS],
    /// The CPU that the victim's section is on.
    pub(super) cpu: AtomicU32,
    pub(super) victim: AtomicU32,
    pub(super) rival: AtomicU32,
    /// Not 0 as long as the thread runs; the kernel clears it.
    pub(super) alive: [AtomicU32; 2],
    /// The signal that the victim lets through; 0: none.
    pub(super) signal: AtomicI32,
    pub(super) rounds: AtomicU32,
    /// A bit for each kind.
    pub(super) kinds: AtomicU32,
    /// Not 0: sections are sections.
    pub(super) armed: AtomicU32,
}

/// The victim's area: its thread-locals are the calling thread's.
#[repr(C, align(64))]
pub(super) struct VictimArea {
    pub(super) area: Area,
    rest: [u8; OWN_AREA_SIZE - size_of::<Area>()],
}

const _: () = assert!(size_of::<Stage>() <= FIRST);
const _: () = assert!(align_of::<VictimArea>() == OWN_AREA_ALIGN);

/// How far a thread is.
pub(super) const NOT_YET: u32 = 0;
pub(super) const READY: u32 = 1;
/// Ready, but on any CPU.
pub(super) const LOOSE: u32 = 2;
pub(super) const FAILED: u32 = 3;
pub(super) const ENDED: u32 = 4;

impl Stage {
    /// The number of a try, never 0.
    pub(super) fn number(round: u32, kind: usize) -> u32 {
        round
            .wrapping_mul(KINDS as u32)
            .wrapping_add(kind as u32)
            .wrapping_add(1)
    }

    /// The kind of a try.
    pub(super) fn kind(number: u32) -> usize {
        number.wrapping_sub(1) as usize % KINDS
    }

    /// Lets the section of a try go on; `sure`: it was disturbed before.
    // Ordering: Release pairs with the acquire of the section's load of the flag, after
    // which its thread looks whether it was sure.
    pub(super) fn let_go(&self, number: u32, sure: bool) {
        let kind = Stage::kind(number);
        if sure {
            self.disturbed[kind].fetch_add(1, Ordering::Relaxed);
            self.done[kind].store(number, Ordering::Relaxed);
        }
        self.flags[kind].store(number, Ordering::Release);
    }
}

/// The memory of a trial.
pub(super) struct Memory {
    base: NonNull<u8>,
}

impl Memory {
    const BYTES: usize = FIRST + 2 * STACK;

    pub(super) fn map() -> Option<Memory> {
        // SAFETY: a new mapping that replaces nothing.
        let base = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                Memory::BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        let base = NonNull::new(base.cast())?;
        Some(Memory { base })
    }

    pub(super) fn stage(&self) -> &Stage {
        // SAFETY: the start of a page that is mapped, zeroed, and changed by atomics only
        // (the area by the kernel as well).
        unsafe { self.base.cast().as_ref() }
    }

    /// Starts thread 0 or 1 on its stack; its number.
    pub(super) fn start(&self, which: usize, entry: Entry) -> Option<i32> {
        const FLAGS: i32 = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM
            | libc::CLONE_CHILD_CLEARTID;
        let alive = &self.stage().alive[which];
        // Ordering: Relaxed. Before the thread is there.
        alive.store(1, Ordering::Relaxed);
        // SAFETY: the stack is the thread's for as long as this memory is mapped, which is
        // until it is not alive (see `drop`); its entry is one of this module, which
        // does not unwind.
        let thread = unsafe {
            let top = self.base.as_ptr().add(FIRST + (which + 1) * STACK);
            let stage = self.base.as_ptr().cast();
            arch::start_thread(FLAGS, top, alive.as_ptr(), entry, stage)
        };
        if thread > 0 {
            return Some(thread as i32);
        }
        alive.store(0, Ordering::Relaxed);
        None
    }

    // Ordering: Acquire. The kernel clears the word after the thread's last access.
    pub(super) fn is_alive(&self, which: usize) -> bool {
        self.stage().alive[which].load(Ordering::Acquire) != 0
    }
}

impl Drop for Memory {
    /// Where a thread does not end, for whatever reason, its memory stays.
    fn drop(&mut self) {
        if !self.is_alive(0) && !self.is_alive(1) {
            // SAFETY: the whole of a mapping that nobody uses any more.
            unsafe { libc::munmap(self.base.as_ptr().cast(), Memory::BYTES) };
        }
    }
}
