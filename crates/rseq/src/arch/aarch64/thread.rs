//! The thread's pointer to its area, and libc's.

use core::arch::{asm, global_asm};
use core::sync::atomic::AtomicU32;

use crate::area::{Area, OWN_AREA_ALIGN, OWN_AREA_SIZE};

// As on x86-64: a pointer that starts at nobody's area, and an area of our own,
// neither registered.
global_asm!(
    ".pushsection .data, \"aw\", %progbits",
    ".balign {align}",
    concat!(symbol!("nobodys_area"), ":"),
    ".long 0, -1",
    ".zero {size} - 8",
    ".popsection",
    ".pushsection .tdata, \"awT\", %progbits",
    ".balign {align}",
    concat!(".globl ", symbol!("own_area")),
    concat!(".type ", symbol!("own_area"), ", %object"),
    concat!(".size ", symbol!("own_area"), ", {size}"),
    concat!(symbol!("own_area"), ":"),
    ".long 0, -1",
    ".zero {size} - 8",
    concat!(".globl ", symbol!("thread_area")),
    concat!(".type ", symbol!("thread_area"), ", %object"),
    concat!(".size ", symbol!("thread_area"), ", 16"),
    concat!(symbol!("thread_area"), ":"),
    concat!(".quad ", symbol!("nobodys_area")),
    ".quad 0", // the thread's state
    ".popsection",
    align = const OWN_AREA_ALIGN,
    size = const OWN_AREA_SIZE,
);

/// Where the pointer to a thread's area stands, from the thread pointer.
///
/// The same number in every thread, fixed when the program is loaded.
#[inline(always)]
pub(super) fn thread_area_offset() -> usize {
    let offset;
    // SAFETY: reads an entry of the global offset table that never changes.
    unsafe {
        asm!(
            concat!("adrp {offset}, :gottprel:", symbol!("thread_area")),
            concat!("ldr {offset}, [{offset}, :gottprel_lo12:", symbol!("thread_area"), "]"),
            offset = out(reg) offset,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    offset
}

/// The area that this thread's sections use: its own once it has entered, and
/// one that says "not registered" before.
#[inline]
pub(crate) fn thread_area() -> *mut Area {
    let area;
    // SAFETY: reads the thread's own pointer.
    unsafe {
        asm!(
            "mrs {area}, tpidr_el0",
            "ldr {area}, [{area}, {offset}]",
            offset = in(reg) thread_area_offset(),
            area = out(reg) area,
            options(nostack, preserves_flags, readonly),
        );
    }
    area
}

/// # Safety
///
/// `area` is this thread's for as long as the thread may run sections, and its
/// `cpu_id` is negative unless it is registered.
pub(crate) unsafe fn set_thread_area(area: *mut Area) {
    // SAFETY: writes the thread's own pointer; the caller vouches for the value.
    unsafe {
        asm!(
            "mrs {thread}, tpidr_el0",
            "str {area}, [{thread}, {offset}]",
            thread = out(reg) _,
            offset = in(reg) thread_area_offset(),
            area = in(reg) area,
            options(nostack, preserves_flags),
        );
    }
}

/// What is known of this thread's registration, in the words of `own`; 0 at first.
pub(crate) fn thread_state() -> &'static AtomicU32 {
    let state: *const AtomicU32;
    // SAFETY: computes the address of a word that stands behind the pointer to the
    // thread's area.
    unsafe {
        asm!(
            "mrs {state}, tpidr_el0",
            "add {state}, {state}, {offset}",
            "add {state}, {state}, #8",
            offset = in(reg) thread_area_offset(),
            state = out(reg) state,
            options(nostack, preserves_flags, readonly),
        );
        // SAFETY: zero or what was stored through this type. The caller does not
        // keep it beyond the thread's end.
        &*state
    }
}

/// The area of our own in this thread's static block.
pub(crate) fn own_area() -> *mut Area {
    let area;
    // SAFETY: computes an address from the thread pointer.
    unsafe {
        asm!(
            concat!("adrp {area}, :gottprel:", symbol!("own_area")),
            concat!("ldr {area}, [{area}, :gottprel_lo12:", symbol!("own_area"), "]"),
            "mrs {thread}, tpidr_el0",
            "add {area}, {area}, {thread}",
            thread = out(reg) _,
            area = out(reg) area,
            options(nostack, preserves_flags, readonly),
        );
    }
    area
}

/// libc's area for this thread and the size it states; `None` if libc has no
/// support for rseq. Size 0: it has, but does not use it.
pub(crate) fn libc_area() -> Option<(*mut Area, u32)> {
    let offset: *const isize;
    let size: *const u32;
    let thread: *mut u8;
    // SAFETY: reads two entries of the global offset table and the thread pointer.
    unsafe {
        asm!(
            // Absent before glibc 2.35 and in other libcs: their addresses read null.
            // Said here, for this may be assembled into any object of the program.
            ".weak __rseq_offset",
            ".weak __rseq_size",
            "adrp {offset}, :got:__rseq_offset",
            "ldr {offset}, [{offset}, :got_lo12:__rseq_offset]",
            "adrp {size}, :got:__rseq_size",
            "ldr {size}, [{size}, :got_lo12:__rseq_size]",
            "mrs {thread}, tpidr_el0",
            offset = out(reg) offset,
            size = out(reg) size,
            thread = out(reg) thread,
            options(nostack, preserves_flags, readonly),
        );
    }
    if offset.is_null() || size.is_null() {
        return None;
    }
    // SAFETY: not null, so libc defines them; it writes them before any code of
    // the program runs and never again.
    unsafe { Some((thread.wrapping_offset(*offset).cast(), *size)) }
}
