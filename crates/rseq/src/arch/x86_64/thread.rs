//! Where the thread's area stands: libc's, or one of our own.

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicIsize, AtomicU32, Ordering};

use crate::area::{Area, NO_ID, OWN_AREA_ALIGN, OWN_AREA_SIZE};

// A thread-local in the initial-exec model, which costs one load in programs and in
// libraries: an area of our own, and the thread's state behind it. The area says "not
// registered" from the first moment on, so that nobody has to write the field that is
// the kernel's.
//
// And one word for the process: how far from our own the area stands that sections use.
// It starts with our own, so that sections need no test. (The distance from the thread
// pointer would be one addition less, but not all linkers put one into data.)
//
// And nobody's area, which is registered for no thread.
global_asm!(
    ".pushsection .data, \"aw\", @progbits",
    ".balign {align}",
    concat!(".globl ", symbol!("nobodys_area")),
    concat!(".hidden ", symbol!("nobodys_area")),
    concat!(".type ", symbol!("nobodys_area"), ", @object"),
    concat!(".size ", symbol!("nobodys_area"), ", {size}"),
    concat!(symbol!("nobodys_area"), ":"),
    ".long 0, -1", // cpu_id
    ".zero 16",
    ".long -1", // mm_cid
    ".zero {size} - 28",
    ".popsection",
    ".pushsection .tdata, \"awT\", @progbits",
    ".balign {align}",
    concat!(".globl ", symbol!("own_area")),
    concat!(".hidden ", symbol!("own_area")),
    concat!(".type ", symbol!("own_area"), ", @object"),
    concat!(".size ", symbol!("own_area"), ", {size} + 8"),
    concat!(symbol!("own_area"), ":"),
    ".long 0, -1", // cpu_id
    ".zero 16",
    ".long -1", // mm_cid
    ".zero {size} - 28",
    ".quad 0", // the thread's state
    ".popsection",
    ".pushsection .bss, \"aw\", @nobits",
    ".balign 8",
    concat!(".globl ", symbol!("area_distance")),
    concat!(".hidden ", symbol!("area_distance")),
    concat!(".type ", symbol!("area_distance"), ", @object"),
    concat!(".size ", symbol!("area_distance"), ", 8"),
    concat!(symbol!("area_distance"), ":"),
    ".zero 8",
    ".popsection",
    // Before `main`, and before what a library starts that is loaded later.
    ".pushsection .init_array, \"aw\", @init_array",
    ".balign 8",
    ".quad {at_load}",
    ".popsection",
    align = const OWN_AREA_ALIGN,
    size = const OWN_AREA_SIZE,
    at_load = sym crate::registration::at_load,
);

/// What is done with the area of a thread that is not registered: it is exchanged for
/// nobody's if it has an id all the same, or is armed. Goes to `2:` if it stays, also if a
/// handler has registered it since.
macro_rules! unregistered {
    () => {
        concat!(
            "cmp dword ptr [{area} + {mm_cid}], -1\n",
            "jne 3f\n",
            "cmp qword ptr [{area} + {rseq_cs}], 0\n",
            "je 2f\n",
            "3: cmp dword ptr [{area} + {cpu_id}], 0\n",
            "jge 2f\n",
            "lea {area}, [rip + ",
            symbol!("nobodys_area"),
            "]"
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
    // SAFETY: reads the thread pointer, which stands at fs:0 (psABI), a word of the process
    // and the thread's area. The word changes once, before `main` or before the library's
    // own code; who has read it earlier uses an area that says "not registered", which is
    // allowed. Whose area it is stays the same while a function runs, for all handlers that
    // interrupt it have ended when it goes on.
    unsafe {
        asm!(
            concat!("mov {area}, qword ptr [rip + ", symbol!("own_area"), "@gottpoff]"),
            concat!("add {area}, qword ptr [rip + ", symbol!("area_distance"), "]"),
            "add {area}, qword ptr fs:[0]",
            "cmp dword ptr [{area} + {cpu_id}], 0",
            "jge 2f",
            unregistered!(),
            "2:",
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
            concat!("mov {known}, qword ptr [rip + ", symbol!("area_distance"), "]"),
            concat!("mov {area}, qword ptr [rip + ", symbol!("own_area"), "@gottpoff]"),
            "add {area}, {known}",
            "add {area}, qword ptr fs:[0]",
            "cmp dword ptr [{area} + {cpu_id}], 0",
            "jge 2f",
            "xor {known:e}, {known:e}",
            unregistered!(),
            "2:",
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
    let (own, distance): (isize, *const AtomicIsize);
    // SAFETY: reads an entry of the global offset table that never changes, and computes
    // an address.
    unsafe {
        asm!(
            concat!("mov {own}, qword ptr [rip + ", symbol!("own_area"), "@gottpoff]"),
            concat!("lea {distance}, [rip + ", symbol!("area_distance"), "]"),
            own = out(reg) own,
            distance = out(reg) distance,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: a word of this type that is always there.
    let distance = unsafe { &*distance };
    // Ordering: Relaxed. Whichever value a thread reads leads to an area of its own. All
    // sections load the word, so it is stored once.
    if distance.load(Ordering::Relaxed) != offset - own {
        distance.store(offset - own, Ordering::Relaxed);
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
    // SAFETY: computes an address: the thread pointer stands at fs:0 (psABI).
    unsafe {
        asm!(
            "mov {area}, qword ptr fs:[0]",
            concat!("add {area}, qword ptr [rip + ", symbol!("own_area"), "@gottpoff]"),
            area = out(reg) area,
            options(nostack, readonly),
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
            "mov {offset}, qword ptr [rip + __rseq_offset@GOTPCREL]",
            "mov {size}, qword ptr [rip + __rseq_size@GOTPCREL]",
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
