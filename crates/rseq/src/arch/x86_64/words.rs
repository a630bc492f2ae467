//! The thread's words for what stands on this crate.

use core::arch::{asm, global_asm};
use core::ptr::NonNull;

use crate::words::ThreadWords;

// In the initial-exec model, as the area.
global_asm!(
    ".pushsection .tbss, \"awT\", @nobits",
    ".balign {align}",
    concat!(".globl ", symbol!("thread_words")),
    concat!(".hidden ", symbol!("thread_words")),
    concat!(".type ", symbol!("thread_words"), ", @object"),
    concat!(".size ", symbol!("thread_words"), ", {size}"),
    concat!(symbol!("thread_words"), ":"),
    ".zero {size}",
    ".popsection",
    align = const align_of::<ThreadWords>(),
    size = const size_of::<ThreadWords>(),
);

#[inline]
pub(crate) fn thread_words() -> Option<NonNull<ThreadWords>> {
    let words;
    // SAFETY: computes an address: the thread pointer stands at fs:0 (psABI).
    unsafe {
        asm!(
            "mov {words}, qword ptr fs:[0]",
            concat!("add {words}, qword ptr [rip + ", symbol!("thread_words"), "@gottpoff]"),
            words = out(reg) words,
            options(nostack, readonly),
        );
    }
    NonNull::new(words)
}
