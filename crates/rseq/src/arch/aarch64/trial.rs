//! What a trial of the kernel needs: a section that waits inside, and a thread that no
//! libc knows.

use core::arch::asm;
use core::ffi::c_void;
use core::mem::offset_of;

use crate::arch::{Entry, Wait, Waited};
use crate::area::Area;

/// See `crate::arch`.
///
/// # Safety
///
/// The area is registered for the calling thread, or says that it is not.
pub(crate) unsafe fn wait_inside(area: *mut Area, wait: &Wait<'_>) -> Waited {
    let how: u64;
    // SAFETY: the section stores to what it has references to, and to the field of the
    // area that is the thread's to write. Abort and way out lead behind the section.
    unsafe {
        asm!(
            ".pushsection __rseq_cs, \"aw\", %progbits",
            ".balign 32",
            "20:",
            ".long 0, 0",                // version, flags
            ".quad 21f, 22f - 21f, 23f", // start, length, abort
            ".popsection",
            ".pushsection __rseq_cs_ptr_array, \"awR\", %progbits",
            ".quad 20b",
            ".popsection",
            "adrp {how}, 20b",
            "add {how}, {how}, :lo12:20b",
            "and {how}, {how}, {armed}",
            "str {how}, [{area}, {rseq_cs}]",
            "21:",
            "ldr {scratch:w}, [{area}, {cpu_id}]",
            "cmp {scratch:w}, {cpu:w}",
            "b.ne 24f",
            "mov {how:w}, {turns:w}",
            "str {number:w}, [{inside}]",
            "30:",
            "ldar {scratch:w}, [{flag}]",
            "cmp {scratch:w}, {number:w}",
            "b.eq 32f",
            "subs {how:w}, {how:w}, #1",
            "b.ne 30b",
            "b 24f",
            "32:",
            "str {number:w}, [{committed}]",
            "22:",
            "mov {how}, #1",
            "b 26f",
            "24:",
            "mov {how}, #2",
            "26:",
            ".pushsection .text.percid_rseq_abort, \"ax\", %progbits",
            ".inst {signature}",
            "23:",
            "mov {how}, #0",
            "b 26b",
            ".popsection",
            area = in(reg) area,
            armed = in(reg) if wait.armed { u64::MAX } else { 0 },
            cpu = in(reg) wait.cpu,
            number = in(reg) wait.number,
            turns = in(reg) wait.turns,
            inside = in(reg) wait.inside.as_ptr(),
            flag = in(reg) wait.flag.as_ptr(),
            committed = in(reg) wait.committed.as_ptr(),
            how = out(reg) how,
            scratch = out(reg) _,
            rseq_cs = const offset_of!(Area, rseq_cs),
            cpu_id = const offset_of!(Area, cpu_id),
            signature = const super::SIGNATURE,
            options(nostack),
        );
    }
    match how {
        0 => Waited::Aborted,
        1 => Waited::Committed,
        _ => Waited::InVain,
    }
}

/// See `crate::arch`.
///
/// # Safety
///
/// `top` is the end of a stack that is the new thread's until `alive` is cleared, and
/// what `argument` leads to is there as long. `entry` does not unwind.
pub(crate) unsafe fn start_thread(
    flags: i32,
    top: *mut u8,
    alive: *mut u32,
    entry: Entry,
    argument: *mut c_void,
) -> isize {
    let result: isize;
    // SAFETY: the parent goes on behind the label with its own stack, as the system call
    // changes x0 only. The child has the caller's stack for itself, aligned for a call,
    // and never comes here.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x5",
            "blr x6",
            "mov x0, xzr",
            "mov x8, {exit}",
            "svc #0",
            "brk #1",
            "2:",
            exit = const libc::SYS_exit,
            in("x8") libc::SYS_clone,
            inlateout("x0") flags as isize => result,
            in("x1") top.map_addr(|top| top & !15),
            in("x2") 0,
            in("x3") 0,
            in("x4") alive,
            in("x5") argument,
            in("x6") entry,
        );
    }
    result
}
