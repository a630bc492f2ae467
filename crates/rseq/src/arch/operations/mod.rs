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
use super::thread::known_area;
use crate::Refusal;
use crate::arch::Operations;
use crate::area::Area;
use crate::section::{Cpu, MmCid, Placed, SLOTS, Table, WordAddress};

/// All operations by one kind of index.
macro_rules! operations {
    ($vector:ident: $($type:ty, $index:ident, $has_place:literal;)*) => {$(
        // SAFETY (all of them): what a section touches is the thread's own area
        // and, in a registered thread and with an id below the limit or from a slot,
        // what the caller vouches for.
        impl Operations for $type {
            const HAS_PLACE: bool = $has_place;

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
    MmCid<'_>, mm_cid, false;
    Placed<'_>, placed, true;
    Table<'_>, table, false;
    Cpu<'_>, cpu_id, false;
));

/// No section without an id has stripes.
const SHIFT: u32 = 0;

/// Where a pointer stands, in the place of a word's address.
struct Pointer(*mut *mut u8);

#[inline(always)]
pub(crate) unsafe fn load_through(pointer: *mut *mut u8) -> Result<u64, Refusal> {
    let (area, known) = known_area();
    macro_rules! load_through {
        ($how:ident) => {{
            let (outcome, value);
            // SAFETY: what the section touches is the thread's own area and, in a registered
            // thread, what the caller vouches for.
            unsafe {
                value_section!(
                    $how(area), Pointer(pointer), outcome, body!(load_through, $how),
                    value = out(reg) value,
                );
            }
            status::followed(outcome, value)
        }};
    }
    if known {
        load_through!(known)
    } else {
        load_through!(registered)
    }
}

with_vector_class!(copies_through!());
