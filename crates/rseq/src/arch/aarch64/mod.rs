//! The sections of aarch64.
//!
//! A limit is loaded by `ldar`: where it is the gate of a count, what was written before
//! the gate was opened has to be there. The CPU's number and a table's slot are loaded
//! plainly. A stripe's pages are opened before the id is in a slot; a section that sees it
//! but touches the pages with an older translation takes a fault that the kernel finds
//! resolved, and goes on. Words start as zero either way, and every address depends on the
//! slot.
//!
//! Conditional branches reach one megabyte only, so unlike on x86-64 all but the
//! abort handler stays beside the section.

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

/// `brk #0x45e0` before every abort handler: librseq's and glibc's.
pub(crate) const SIGNATURE: u32 = 0xd428_bc00;
