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
            ".pushsection __rseq_cs, \"aw\", @progbits",
            ".balign 32",
            "20:",
            ".long 0, 0",                // version, flags
            ".quad 21f, 22f - 21f, 23f", // start, length, abort
            ".popsection",
            ".pushsection __rseq_cs_ptr_array, \"awR\", @progbits",
            ".quad 20b",
            ".popsection",
            "lea {how}, [rip + 20b]",
            "and {how}, {armed}",
            "mov qword ptr [{area} + {rseq_cs}], {how}",
            "21:",
            "mov {how:e}, dword ptr [{area} + {cpu_id}]",
            "cmp {how:e}, {cpu:e}",
            "jne 24f",
            "mov {how:e}, {turns:e}",
            "mov dword ptr [{inside}], {number:e}",
            "30:",
            "cmp dword ptr [{flag}], {number:e}",
            "je 32f",
            "dec {how:e}",
            "jnz 30b",
            "jmp 24f",
            "32:",
            "mov dword ptr [{committed}], {number:e}",
            "22:",
            "mov {how:e}, 1",
            "26:",
            ".pushsection .text.percid_rseq_abort, \"ax\", @progbits",
            ".byte 0x0f, 0xb9, 0x3d",
            ".long {signature}",
            "23:",
            "xor {how:e}, {how:e}",
            "jmp 26b",
            "24:",
            "mov {how:e}, 2",
            "jmp 26b",
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
    const CLONE: usize = libc::SYS_clone as usize;
    const EXIT: i32 = libc::SYS_exit as i32;
    let result: isize;
    // SAFETY: the parent goes on behind the label with its own stack, as the system call
    // changes rax, rcx and r11 only. The child has the caller's stack for itself, aligned
    // for a call, and never comes here.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "xor edi, edi",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const EXIT,
            inlateout("rax") CLONE => result,
            in("rdi") flags as isize,
            in("rsi") top.map_addr(|top| top & !15),
            in("rdx") 0,
            in("r10") alive,
            in("r8") argument,
            in("r9") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}
