//! The thread's words for what stands on this crate.

use core::arch::{asm, global_asm};
use core::ptr::NonNull;

use crate::words::ThreadWords;

// In the initial-exec model, as the area.
global_asm!(
    ".pushsection .tbss, \"awT\", %nobits",
    ".balign {align}",
    concat!(".globl ", symbol!("thread_words")),
    concat!(".hidden ", symbol!("thread_words")),
    concat!(".type ", symbol!("thread_words"), ", %object"),
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
    // SAFETY: computes an address from the thread pointer.
    unsafe {
        asm!(
            concat!("adrp {words}, :gottprel:", symbol!("thread_words")),
            concat!("ldr {words}, [{words}, :gottprel_lo12:", symbol!("thread_words"), "]"),
            "mrs {thread}, tpidr_el0",
            "add {words}, {words}, {thread}",
            thread = out(reg) _,
            words = out(reg) words,
            options(nostack, preserves_flags, readonly),
        );
    }
    NonNull::new(words)
}
