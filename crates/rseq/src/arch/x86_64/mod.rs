//! The sections of x86-64.
//!
//! Measured forms, where several would do (Golden Cove, an increment in a loop;
//! one cycle is an increment of a thread-local):
//!
//! | instead of | form here | cycles saved |
//! | --- | --- | --- |
//! | `fs:[offset + field]`, offset a process-wide variable | the area's address in a thread-local | 0.6 |
//! | `add [word + stripe], n` (indexed) | one plain address register | 3.5 |
//! | `add [w], n` with n in a register, where more than that is looked at | `mov`, `add`, `mov` | 4 |
//!
//! The last two cost so much because that processor forwards a store to the next
//! load at rename, in no time, only for the plain forms. On Zen 4 `add [w], n` is the
//! fastest, and one instruction cannot be torn: a bare add is that.

#[path = "../symbol.rs"]
#[macro_use]
mod symbol;
#[path = "../operands.rs"]
#[macro_use]
mod operands;
#[macro_use]
mod section;
#[macro_use]
mod copying;
#[macro_use]
mod bodies;
#[path = "../operations/mod.rs"]
mod operations;
#[path = "../status.rs"]
mod status;
mod thread;
mod trial;
mod words;

pub(crate) use operations::{copy_through, load_through};
pub(crate) use thread::{libc_area, own_area, set_area_offset, thread_area, thread_state};
pub(crate) use trial::{start_thread, wait_inside};
pub(crate) use words::thread_words;

pub(crate) const SUPPORTED: bool = true;

/// `ud1 %edi, SIGNATURE(%rip)` before every abort handler: librseq's and
/// glibc's, so that areas registered by either accept these sections.
pub(crate) const SIGNATURE: u32 = 0x5305_3053;
