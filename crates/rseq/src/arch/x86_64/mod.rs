//! The sections of x86-64.
//!
//! Measured forms, where several would do (Golden Cove, an increment in a loop;
//! one cycle is an increment of a thread-local):
//!
//! | instead of | form here | cycles saved |
//! | --- | --- | --- |
//! | `add [word + stripe], n` (indexed) | one plain address register | 3.5 |
//! | `add [w], n` with n in a register, where more than that is looked at | `mov`, `add`, `mov` | 4 |
//!
//! They cost so much because that processor forwards a store to the next
//! load at rename, in no time, only for the plain forms. On Zen 4 `add [w], n` is the
//! fastest, and one instruction cannot be torn: a bare add is that.
//!
//! Where the area stands (Zen 4, nanoseconds of an increment, and of two in one function,
//! both in a loop; each with a look at `cpu_id` in every section, which would cost 0.11
//! each and is not there):
//!
//! | form | one | two |
//! | --- | --- | --- |
//! | its address, computed once from the thread pointer (here) | 0.68 | 1.23 |
//! | the same, computed for every increment | 1.03 | 1.82 |
//! | its address in a thread-local | 0.83 | 1.56 |
//! | `fs:[offset + field]`, offset in a register | 0.85 | 1.63 |

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
pub(crate) use thread::{anchor, libc_area, own_area, set_area_offset, thread_area, thread_state};
pub(crate) use trial::{start_thread, wait_inside};
pub(crate) use words::thread_words;

pub(crate) const SUPPORTED: bool = true;

/// `ud1 %edi, SIGNATURE(%rip)` before every abort handler: librseq's and
/// glibc's, so that areas registered by either accept these sections.
pub(crate) const SIGNATURE: u32 = 0x5305_3053;
