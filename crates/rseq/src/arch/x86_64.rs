//! The sections of x86-64.
//!
//! Measured forms, where several would do (Golden Cove, an increment in a loop;
//! one cycle is an increment of a thread-local):
//!
//! | instead of | form here | cycles saved |
//! | --- | --- | --- |
//! | `fs:[offset + field]`, offset a process-wide variable | the area's address in a thread-local | 0.6 |
//! | `add [word + stripe], n` (indexed) | one plain address register | 3.5 |
//! | `add [w], n` with n in a register | `mov`, `add`, `mov` | 4 |
//!
//! The last two cost so much because that processor forwards a store to the next
//! load at rename, in no time, only for the plain forms.

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::AtomicU32;

use crate::Refusal;
use crate::area::{Area, OWN_AREA_ALIGN, OWN_AREA_SIZE};
use crate::section::WordAddress;

pub(crate) const SUPPORTED: bool = true;

/// `ud1 %edi, SIGNATURE(%rip)` before every abort handler: librseq's and
/// glibc's, so that areas registered by either accept these sections.
pub(crate) const SIGNATURE: u32 = 0x5305_3053;

/// The symbol of a thread-local of this very version: two versions of the crate
/// in one program must not share a pointer.
macro_rules! symbol {
    ($name:literal) => {
        concat!(
            "percid_rseq_",
            $name,
            "_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}

// Two thread-locals in the initial-exec model, which works in programs and in
// libraries that are loaded later: the pointer to the thread's area, and room for
// an area of our own. The pointer starts at an area that belongs to nobody and
// says "not registered", so that sections need no test for null.
global_asm!(
    ".pushsection .data, \"aw\", @progbits",
    ".balign {align}",
    concat!(symbol!("nobodys_area"), ":"),
    ".long 0, -1",
    ".zero {size} - 8",
    ".popsection",
    ".pushsection .tdata, \"awT\", @progbits",
    ".balign 8",
    concat!(".globl ", symbol!("thread_area")),
    concat!(".type ", symbol!("thread_area"), ", @object"),
    concat!(".size ", symbol!("thread_area"), ", 8"),
    concat!(symbol!("thread_area"), ":"),
    concat!(".quad ", symbol!("nobodys_area")),
    ".popsection",
    ".pushsection .tbss, \"awT\", @nobits",
    ".balign {align}",
    concat!(".globl ", symbol!("own_area")),
    concat!(".type ", symbol!("own_area"), ", @object"),
    concat!(".size ", symbol!("own_area"), ", {size}"),
    concat!(symbol!("own_area"), ":"),
    ".zero {size}",
    ".popsection",
    // Absent before glibc 2.35 and in other libcs: their addresses read null.
    ".weak __rseq_offset",
    ".weak __rseq_size",
    align = const OWN_AREA_ALIGN,
    size = const OWN_AREA_SIZE,
);

/// Where the pointer to a thread's area stands, from the thread pointer.
///
/// The same number in every thread, fixed when the program is loaded: so the
/// compiler may compute it once for many sections, which is not true of a
/// thread's own address.
#[inline(always)]
fn thread_area_offset() -> usize {
    let offset;
    // SAFETY: reads an entry of the global offset table that never changes.
    unsafe {
        asm!(
            concat!("mov {offset}, qword ptr [rip + ", symbol!("thread_area"), "@gottpoff]"),
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
            "mov {area}, qword ptr fs:[{offset}]",
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
            "mov qword ptr fs:[{offset}], {area}",
            offset = in(reg) thread_area_offset(),
            area = in(reg) area,
            options(nostack, preserves_flags),
        );
    }
}

/// The room for an area of our own in this thread's static block.
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

/// libc's area for this thread and the size it states; `None` if libc has no
/// support for rseq. Size 0: it has, but does not use it.
pub(crate) fn libc_area() -> Option<(*mut Area, u32)> {
    let offset: *const isize;
    let size: *const u32;
    let thread: *mut u8;
    // SAFETY: reads two entries of the global offset table and the thread
    // pointer, which stands at fs:0 (psABI).
    unsafe {
        asm!(
            "mov {offset}, qword ptr [rip + __rseq_offset@GOTPCREL]",
            "mov {size}, qword ptr [rip + __rseq_size@GOTPCREL]",
            "mov {thread}, qword ptr fs:[0]",
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

/// Spins at point `$point` of a section for as many rounds as a test asked.
#[cfg(percid_inject)]
macro_rules! delay {
    ($point:literal) => {
        concat!(
            "mov {delay:e}, dword ptr [rip + {delays} + 4*",
            $point,
            "]\n",
            "30: test {delay:e}, {delay:e}\n",
            "jz 31f\n",
            "dec {delay:e}\n",
            "jmp 30b\n",
            "31:"
        )
    };
}

/// Takes the section's protection away, where a test asked for it.
#[cfg(percid_inject)]
macro_rules! disarm {
    () => {
        concat!(
            "cmp dword ptr [rip + {delays}], 0\n",
            "je 32f\n",
            "mov qword ptr [{area} + {rseq_cs}], 0\n",
            "32:"
        )
    };
}

#[cfg(not(percid_inject))]
macro_rules! disarm {
    () => {
        ""
    };
}

#[cfg(not(percid_inject))]
macro_rules! delay {
    ($point:literal) => {
        ""
    };
}

/// One section around `$body`, which has `{stripe}` = the word's address
/// and ends in the commit. The three targets are where refusals go.
macro_rules! section {
    (
        [$not_registered:literal, $beyond_limit:literal]
        { $($body:expr),* $(,)? }
        aborted { $($aborted:expr),* $(,)? }
        $($operands:tt)*
    ) => {
        operands!(
            [
                ".pushsection __rseq_cs, \"aw\", @progbits",
                ".balign 32",
                "20:",
                ".long 0, 0", // version, flags
                ".quad 21f, 22f - 21f, 23f", // start, length, abort
                ".popsection",
                ".pushsection __rseq_cs_ptr_array, \"awR\", @progbits",
                ".quad 20b",
                ".popsection",
                "mov {area}, qword ptr fs:[{offset}]",
                "lea {stripe}, [rip + 20b]",
                "mov qword ptr [{area} + {rseq_cs}], {stripe}",
                "21:",
                disarm!(),
                delay!(1),
                "cmp dword ptr [{area} + {cpu_id}], 0",
                concat!("jl ", $not_registered),
                "mov {stripe:e}, dword ptr [{area} + {mm_cid}]",
                "cmp {stripe:e}, dword ptr [{limit}]",
                concat!("jae ", $beyond_limit),
                "shl {stripe}, {shift}",
                "lea {stripe}, [{stripe} + 8*{word}]",
                delay!(2),
                $($body,)*
                "22:",
                ".pushsection .text.percid_rseq_abort, \"ax\", @progbits",
                ".byte 0x0f, 0xb9, 0x3d",
                ".long {signature}",
                "23:",
                $($aborted,)*
                ".popsection",
            ]
            area = out(reg) _,
            stripe = out(reg) _,
            shift = const SHIFT,
            signature = const SIGNATURE,
            rseq_cs = const offset_of!(Area, rseq_cs),
            cpu_id = const offset_of!(Area, cpu_id),
            mm_cid = const offset_of!(Area, mm_cid),
            options(nostack),
            $($operands)*
        )
    };
}

#[cfg(percid_inject)]
macro_rules! operands {
    ([$($template:tt)*] $($operands:tt)*) => {
        asm!($($template)* delay = out(reg) _, delays = sym crate::inject::DELAYS, $($operands)*)
    };
}

#[cfg(not(percid_inject))]
macro_rules! operands {
    ([$($template:tt)*] $($operands:tt)*) => {
        asm!($($template)* $($operands)*)
    };
}

/// A section without a result: each way out is a label of its own.
macro_rules! store_section {
    ({ $($body:expr),* $(,)? } $($operands:tt)*) => {
        section!(
            ["{not_registered}", "{beyond_limit}"]
            { $($body),* }
            aborted { "jmp {aborted}" }
            not_registered = label { return Err(Refusal::NotRegistered) },
            beyond_limit = label { return Err(Refusal::BeyondLimit) },
            aborted = label { return Err(aborted()) },
            $($operands)*
        )
    };
}

#[cold]
fn aborted() -> Refusal {
    #[cfg(percid_inject)]
    crate::inject::count_abort();
    Refusal::Aborted
}

#[inline(always)]
pub(crate) unsafe fn increment<const SHIFT: u32>(
    limit: &AtomicU32,
    word: WordAddress,
) -> Result<(), Refusal> {
    // SAFETY: the only memory touched is the thread's own area and, below the
    // limit and in a registered thread, the word that the caller vouches for.
    unsafe {
        store_section!(
            { delay!(3), "inc qword ptr [{stripe}]" }
            offset = in(reg) thread_area_offset(),
            limit = in(reg) limit.as_ptr(),
            word = in(reg) word.0,
        );
    }
    Ok(())
}

#[inline(always)]
pub(crate) unsafe fn add<const SHIFT: u32>(
    limit: &AtomicU32,
    word: WordAddress,
    n: u64,
) -> Result<(), Refusal> {
    // SAFETY: as `increment`.
    unsafe {
        store_section!(
            {
                "mov {sum}, qword ptr [{stripe}]",
                "add {sum}, {n}",
                delay!(3),
                "mov qword ptr [{stripe}], {sum}",
            }
            offset = in(reg) thread_area_offset(),
            limit = in(reg) limit.as_ptr(),
            word = in(reg) word.0,
            n = in(reg) n,
            sum = out(reg) _,
        );
    }
    Ok(())
}

#[inline(always)]
pub(crate) unsafe fn compare_store<const SHIFT: u32>(
    limit: &AtomicU32,
    word: WordAddress,
    expected: u64,
    new: u64,
) -> Result<(), Refusal> {
    // SAFETY: as `increment`.
    unsafe {
        store_section!(
            {
                "cmp qword ptr [{stripe}], {expected}",
                "jne {mismatch}",
                delay!(3),
                "mov qword ptr [{stripe}], {new}",
            }
            offset = in(reg) thread_area_offset(),
            limit = in(reg) limit.as_ptr(),
            word = in(reg) word.0,
            expected = in(reg) expected,
            new = in(reg) new,
            mismatch = label { return Err(Refusal::Mismatch) },
        );
    }
    Ok(())
}

/// What `load` leaves in its status: labels and results do not go together.
mod status {
    pub(super) const DONE: u32 = 0;
    pub(super) const ABORTED: u32 = 1;
    pub(super) const NOT_REGISTERED: u32 = 2;
    pub(super) const BEYOND_LIMIT: u32 = 3;
}

#[inline(always)]
pub(crate) unsafe fn load<const SHIFT: u32>(
    limit: &AtomicU32,
    word: WordAddress,
) -> Result<u64, Refusal> {
    let mut outcome = status::DONE;
    let value: u64;
    // SAFETY: as `increment`, and nothing but the area is written.
    unsafe {
        section!(
            ["24f", "25f"]
            { delay!(3), "mov {value}, qword ptr [{stripe}]" }
            aborted {
                "mov {outcome:e}, {aborted}",
                "jmp 26f",
                "24:",
                "mov {outcome:e}, {not_registered}",
                "jmp 26f",
                "25:",
                "mov {outcome:e}, {beyond_limit}",
                "jmp 26f",
                ".popsection",
                "26:",
                ".pushsection .text.percid_rseq_abort, \"ax\", @progbits",
            }
            offset = in(reg) thread_area_offset(),
            limit = in(reg) limit.as_ptr(),
            word = in(reg) word.0,
            value = out(reg) value,
            outcome = inout(reg) outcome,
            aborted = const status::ABORTED,
            not_registered = const status::NOT_REGISTERED,
            beyond_limit = const status::BEYOND_LIMIT,
        );
    }
    match outcome {
        status::DONE => Ok(value),
        status::ABORTED => Err(aborted()),
        status::NOT_REGISTERED => Err(Refusal::NotRegistered),
        _ => Err(Refusal::BeyondLimit),
    }
}
