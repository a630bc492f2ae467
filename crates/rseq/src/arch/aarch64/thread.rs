//! Where the thread's area stands: libc's, or one of our own.

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicIsize, AtomicU32, Ordering};

use crate::area::{Area, NO_ID, OWN_AREA_ALIGN, OWN_AREA_SIZE};

// As on x86-64: an area of our own, not registered, and the thread's state behind it. The
// word of the process says how far from our own the area stands that sections use, for
// assemblers have no word of data that holds a distance from the thread pointer.
//
// And nobody's area, which is registered for no thread.
global_asm!(
    ".pushsection .data, \"aw\", %progbits",
    ".balign {align}",
    concat!(".globl ", symbol!("nobodys_area")),
    concat!(".hidden ", symbol!("nobodys_area")),
    concat!(".type ", symbol!("nobodys_area"), ", %object"),
    concat!(".size ", symbol!("nobodys_area"), ", {size}"),
    concat!(symbol!("nobodys_area"), ":"),
    ".long 0, -1", // cpu_id
    ".zero 16",
    ".long -1", // mm_cid
    ".zero {size} - 28",
    ".popsection",
    ".pushsection .tdata, \"awT\", %progbits",
    ".balign {align}",
    concat!(".globl ", symbol!("own_area")),
    concat!(".hidden ", symbol!("own_area")),
    concat!(".type ", symbol!("own_area"), ", %object"),
    concat!(".size ", symbol!("own_area"), ", {size} + 8"),
    concat!(symbol!("own_area"), ":"),
    ".long 0, -1", // cpu_id
    ".zero 16",
    ".long -1", // mm_cid
    ".zero {size} - 28",
    ".quad 0", // the thread's state
    ".popsection",
    ".pushsection .bss, \"aw\", %nobits",
    ".balign 8",
    concat!(".globl ", symbol!("area_distance")),
    concat!(".hidden ", symbol!("area_distance")),
    concat!(".type ", symbol!("area_distance"), ", %object"),
    concat!(".size ", symbol!("area_distance"), ", 8"),
    concat!(symbol!("area_distance"), ":"),
    ".zero 8",
    ".popsection",
    // Before `main`, and before what a library starts that is loaded later.
    ".pushsection .init_array, \"aw\", %init_array",
    ".balign 8",
    ".quad {at_load}",
    ".popsection",
    align = const OWN_AREA_ALIGN,
    size = const OWN_AREA_SIZE,
    at_load = sym crate::registration::at_load,
);

/// How far from the thread pointer our own area stands: the same number in every thread.
#[inline(always)]
fn own_offset() -> isize {
    let offset;
    // SAFETY: reads an entry of the global offset table that never changes.
    unsafe {
        asm!(
            concat!("adrp {offset}, :gottprel:", symbol!("own_area")),
            concat!("ldr {offset}, [{offset}, :gottprel_lo12:", symbol!("own_area"), "]"),
            offset = out(reg) offset,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    offset
}

/// What is done with the area of a thread that is not registered: it is exchanged for
/// nobody's if it has an id all the same, or is armed. Goes to `2:` if it stays, also if a
/// handler has registered it since.
macro_rules! unregistered {
    () => {
        concat!(
            "ldr {look:w}, [{area}, {mm_cid}]\n",
            "cmn {look:w}, #1\n",
            "b.ne 3f\n",
            "ldr {look}, [{area}, {rseq_cs}]\n",
            "cbz {look}, 2f\n",
            "3: ldr {look:w}, [{area}, {cpu_id}]\n",
            "tbz {look:w}, #31, 2f\n",
            "adrp {area}, ",
            symbol!("nobodys_area"),
            "\nadd {area}, {area}, :lo12:",
            symbol!("nobodys_area")
        )
    };
}

const _: () = assert!(NO_ID.cast_signed() == -1, "as assembly says it");

/// The area that this thread's sections use.
///
/// It is the same one for as long as the thread runs, so the compiler may compute the
/// address once for many sections, as it does for every thread-local: a function in the
/// midst of which the stack moves to another thread is not a function of Rust.
///
/// Sections do not ask whether it is registered: an area of our own that is not says so
/// where they look for their id ([`NO_ID`]), and is refused. In libc's a thread that is not
/// registered reads id 0. But libc registers a thread before the thread runs anything of
/// ours, and never takes that back, so it is enough to look here, where the address is
/// computed: a thread that libc does not know is given nobody's area.
///
/// In a handler, or just after one, it may be nobody's, too. A section of a thread that is
/// not registered is unprotected until it has looked for its id, and must find none. So a
/// handler that interrupts it there may not register the area, and has to find out: it is
/// armed then (who is refused disarms it), and sections of the handler, that would arm it
/// for themselves, use an area that nobody registers. See `own::enter`. (So a handler may
/// not switch to another stack and go on there, either.)
#[inline(always)]
pub(crate) fn thread_area() -> *mut Area {
    let area;
    // SAFETY: reads the thread pointer, a word of the process and the thread's area. The
    // word changes once, before `main` or before the library's own code; who has read it
    // earlier uses an area that says "not registered", which is allowed. Whose area it is
    // stays the same while a function runs, for all handlers that interrupt it have ended
    // when it goes on.
    unsafe {
        asm!(
            concat!("adrp {area}, ", symbol!("area_distance")),
            concat!("ldr {area}, [{area}, :lo12:", symbol!("area_distance"), "]"),
            "add {area}, {area}, {own}",
            "mrs {look}, tpidr_el0",
            "add {area}, {area}, {look}",
            "ldr {look:w}, [{area}, {cpu_id}]",
            "tbz {look:w}, #31, 2f",
            unregistered!(),
            "2:",
            own = in(reg) own_offset(),
            look = out(reg) _,
            area = out(reg) area,
            cpu_id = const offset_of!(Area, cpu_id),
            mm_cid = const offset_of!(Area, mm_cid),
            rseq_cs = const offset_of!(Area, rseq_cs),
            options(pure, nomem, nostack),
        );
    }
    area
}

/// The same, and whether the thread is known to be registered as long as it runs: libc did
/// it. A section without an id asks otherwise.
#[inline(always)]
pub(crate) fn known_area() -> (*mut Area, bool) {
    let (area, known): (_, isize);
    // SAFETY: as above.
    unsafe {
        asm!(
            concat!("adrp {known}, ", symbol!("area_distance")),
            concat!("ldr {known}, [{known}, :lo12:", symbol!("area_distance"), "]"),
            "mrs {area}, tpidr_el0",
            "add {area}, {area}, {own}",
            "add {area}, {area}, {known}",
            "ldr {look:w}, [{area}, {cpu_id}]",
            "tbz {look:w}, #31, 2f",
            "mov {known}, xzr",
            unregistered!(),
            "2:",
            own = in(reg) own_offset(),
            look = out(reg) _,
            area = out(reg) area,
            known = out(reg) known,
            cpu_id = const offset_of!(Area, cpu_id),
            mm_cid = const offset_of!(Area, mm_cid),
            rseq_cs = const offset_of!(Area, rseq_cs),
            options(pure, nomem, nostack),
        );
    }
    (area, known != 0)
}

/// Has the area's address in a register, whatever comes.
#[inline(always)]
pub(crate) fn anchor() {
    // SAFETY: no instruction.
    unsafe {
        asm!(
            "/* {area} */",
            area = in(reg) thread_area().addr(),
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Has sections use the area that stands so far from the thread pointer.
///
/// # Safety
///
/// In every thread there is one, for as long as it may run sections; its `cpu_id` is
/// negative unless it is registered, and that it does not cease to be.
pub(crate) unsafe fn set_area_offset(offset: isize) {
    let distance: *const AtomicIsize;
    // SAFETY: computes an address.
    unsafe {
        asm!(
            concat!("adrp {distance}, ", symbol!("area_distance")),
            concat!("add {distance}, {distance}, :lo12:", symbol!("area_distance")),
            distance = out(reg) distance,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: a word of this type that is always there.
    let distance = unsafe { &*distance };
    // Ordering: Relaxed. Whichever value a thread reads leads to an area of its own. All
    // sections load the word, so it is stored once.
    if distance.load(Ordering::Relaxed) != offset - own_offset() {
        distance.store(offset - own_offset(), Ordering::Relaxed);
    }
}

/// What is known of this thread's registration, in the words of `own`; 0 at first.
pub(crate) fn thread_state() -> &'static AtomicU32 {
    // SAFETY: the word behind our own area: zero, or what was stored through this type.
    // The caller does not keep it beyond the thread's end.
    unsafe { &*own_area().byte_add(OWN_AREA_SIZE).cast() }
}

/// The area of our own in this thread's static block.
pub(crate) fn own_area() -> *mut Area {
    let area;
    // SAFETY: computes an address from the thread pointer.
    unsafe {
        asm!(
            "mrs {area}, tpidr_el0",
            "add {area}, {area}, {own}",
            own = in(reg) own_offset(),
            area = out(reg) area,
            options(nostack, preserves_flags, readonly),
        );
    }
    area
}

/// How far from the thread pointer libc's areas stand, and the size it states; `None` if
/// libc has no support for rseq. Size 0: it has, but does not use it.
pub(crate) fn libc_area() -> Option<(isize, u32)> {
    let offset: *const isize;
    let size: *const u32;
    // SAFETY: reads two entries of the global offset table.
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
            offset = out(reg) offset,
            size = out(reg) size,
            options(nostack, preserves_flags, readonly),
        );
    }
    if offset.is_null() || size.is_null() {
        return None;
    }
    // SAFETY: not null, so libc defines them; it writes them before any code of
    // the program runs and never again.
    unsafe { Some((*offset, *size)) }
}
