//! The operations by every kind of index: what goes into a section and what comes
//! out. The architecture says what happens inside (`body!`), and how a section is
//! framed (`store_section!`, `value_section!`).
//!
//! In a section without a result each way out is a label. Labels and results do not
//! go together, so one with a result leaves a status.

#[macro_use]
mod claims;
#[macro_use]
mod copies;
#[macro_use]
mod gated;
#[macro_use]
mod lists;
#[macro_use]
mod stacks;
#[macro_use]
mod words;

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(percid_compare_twice)]
use super::status::broken;
use super::status::{self, aborted, refused};
use crate::Refusal;
use crate::arch::Operations;
use crate::area::Area;
use crate::section::{Cpu, MmCid, Table, TableHead, WordAddress};

/// All operations by one kind of index.
macro_rules! operations {
    ($vector:ident: $($type:ty, $index:ident;)*) => {$(
        // SAFETY (all of them): what a section touches is the thread's own area
        // and, below the limit and in a registered thread, what the caller vouches
        // for.
        impl Operations for $type {
            words!($index);
            claims!($index);
            lists!($index);
            stacks!($vector, $index);
            gated!($vector, $index);
            copies!($vector, $index);
        }
    )*};
}

with_vector_class!(operations!(
    MmCid<'_>, mm_cid;
    Table<'_>, table;
    Cpu<'_>, cpu_id;
));

/// No section without an id has stripes.
const SHIFT: u32 = 0;

#[inline(always)]
pub(crate) unsafe fn load_through(pointer: WordAddress) -> Result<u64, Refusal> {
    let (outcome, value);
    // SAFETY: what the section touches is the thread's own area and, in a registered
    // thread, what the caller vouches for.
    unsafe {
        value_section!(
            registered(()), pointer, outcome, body!(load_through, registered),
            value = out(reg) value,
        );
    }
    status::result(outcome, value, Refusal::Empty)
}

with_vector_class!(copies_through!());
