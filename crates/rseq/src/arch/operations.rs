//! The operations by every kind of index: what goes into a section and what comes
//! out. The architecture says what happens inside (`body!`), and how a section is
//! framed (`store_section!`, `value_section!`).
//!
//! In a section without a result each way out is a label. Labels and results do not
//! go together, so one with a result leaves a status.

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

/// The copy where a pointer leads.
macro_rules! copies_through {
    ($vector:ident:) => {
        #[inline(always)]
        pub(crate) unsafe fn copy_through(
            pointer: WordAddress,
            target: *mut u8,
            bytes: usize,
        ) -> Result<(), Refusal> {
            let outcome;
            // SAFETY: as in `load_through`. Nothing that others can reach is written; the
            // section ends with the last load.
            unsafe {
                value_section!(
                    registered(()), pointer, outcome, body!(copy_through, registered),
                    target = in(reg) target,
                    bytes = in(reg) bytes,
                    left = out(reg) _,
                    temp = out(reg) _,
                    wide = out($vector) _,
                );
            }
            status::result(outcome, (), Refusal::Empty)
        }
    };
}

/// All operations by one kind of index.
macro_rules! operations {
    ($vector:ident: $($type:ty, $index:ident;)*) => {$(
        // SAFETY (all of them): what a section touches is the thread's own area
        // and, below the limit and in a registered thread, what the caller vouches
        // for.
        impl Operations for $type {
            #[inline(always)]
            unsafe fn increment<const SHIFT: u32>(self, word: WordAddress) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!($index(self), word, body!(increment, $index),);
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn add<const SHIFT: u32>(
                self,
                word: WordAddress,
                n: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!(
                        $index(self), word, body!(add, $index),
                        n = in(reg) n,
                        temp = out(reg) _,
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn add_within<const SHIFT: u32, const AT: usize>(
                self,
                word: WordAddress,
                n: u64,
                most: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!(
                        $index(self), word, body!(add_within, $index),
                        n = in(reg) n,
                        most = in(reg) most,
                        at = const 8 * AT,
                        other = const 8 - 8 * AT,
                        temp = out(reg) _,
                        full = label { return Err(Refusal::Full) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn add_through<const SHIFT: u32>(
                self,
                word: WordAddress,
                distance: isize,
                n: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!(
                        $index(self), word, body!(add_through, $index),
                        distance = in(reg) distance,
                        n = in(reg) n,
                        temp = out(reg) _,
                        empty = label { return Err(Refusal::Empty) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn add_if<const SHIFT: u32>(
                self,
                word: WordAddress,
                flag: &AtomicU32,
                expected: u32,
                n: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above. The flag is a reference to an atomic.
                unsafe {
                    store_section!(
                        $index(self), word, body!(add_if, $index),
                        flag = in(reg) flag.as_ptr(),
                        expected = in(reg) expected,
                        n = in(reg) n,
                        temp = out(reg) _,
                        mismatch = label { return Err(Refusal::Mismatch) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn load<const SHIFT: u32>(self, word: WordAddress) -> Result<u64, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), word, outcome, body!(load, $index),
                        value = out(reg) value,
                    );
                }
                status::result(outcome, value, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn swap<const SHIFT: u32>(
                self,
                word: WordAddress,
                new: u64,
            ) -> Result<u64, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), word, outcome, body!(swap, $index),
                        new = in(reg) new,
                        value = out(reg) value,
                    );
                }
                status::result(outcome, value, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn claim<const SHIFT: u32>(
                self,
                word: WordAddress,
                held: u64,
            ) -> Result<*mut u64, Refusal> {
                let address: u64;
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), word, address, body!(claim, $index),
                        held = in(reg) held,
                    );
                }
                let lock = core::ptr::with_exposed_provenance_mut(address as usize);
                status::result(address, lock, Refusal::Mismatch)
            }

            #[inline(always)]
            unsafe fn claim_first<const SHIFT: u32>(
                self,
                words: WordAddress,
                count: u32,
                mark: &AtomicU64,
            ) -> Result<*mut u64, Refusal> {
                let address: u64;
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), words, address, body!(claim_first, $index),
                        mark = in(reg) mark.as_ptr(),
                        count = in(reg) count,
                        left = out(reg) _,
                        held = out(reg) _,
                    );
                }
                let lock = core::ptr::with_exposed_provenance_mut(address as usize);
                status::result(address, lock, Refusal::Mismatch)
            }

            #[inline(always)]
            unsafe fn compare_store<const SHIFT: u32>(
                self,
                word: WordAddress,
                expected: u64,
                new: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!(
                        $index(self), word, body!(compare_store, $index),
                        expected = in(reg) expected,
                        new = in(reg) new,
                        mismatch = label { return Err(Refusal::Mismatch) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn compare_compare_store<const SHIFT: u32>(
                self,
                word: WordAddress,
                expected: u64,
                distance: isize,
                second: u64,
                new: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!(
                        $index(self), word, body!(compare_compare_store, $index),
                        expected = in(reg) expected,
                        distance = in(reg) distance,
                        second = in(reg) second,
                        new = in(reg) new,
                        mismatch = label { return Err(Refusal::Mismatch) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn list_push<const SHIFT: u32, const NEXT: usize>(
                self,
                head: WordAddress,
                node: *mut u8,
            ) -> Result<(), Refusal> {
                // SAFETY: see above. The node's link is written before the commit:
                // until then nobody else reaches the node.
                unsafe {
                    store_section!(
                        $index(self), head, body!(list_push, $index),
                        node = in(reg) node,
                        next = const NEXT,
                        temp = out(reg) _,
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn list_pop<const SHIFT: u32, const NEXT: usize>(
                self,
                head: WordAddress,
            ) -> Result<*mut u8, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), head, outcome, body!(list_pop, $index),
                        next = const NEXT,
                        value = out(reg) value,
                        temp = out(reg) _,
                    );
                }
                status::result(outcome, value, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn array_push<const SHIFT: u32>(
                self,
                len: WordAddress,
                capacity: u32,
                value: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!(
                        $index(self), len, body!(array_push, $index),
                        capacity = in(reg) capacity,
                        value = in(reg) value,
                        temp = out(reg) _,
                        full = label { return Err(Refusal::Full) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn array_pop<const SHIFT: u32>(self, len: WordAddress) -> Result<u64, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(array_pop, $index),
                        value = out(reg) value,
                        temp = out(reg) _,
                    );
                }
                status::result(outcome, value, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn array_push_pair<const SHIFT: u32>(
                self,
                word: WordAddress,
                chosen: &AtomicU64,
                capacity: u32,
                first: u64,
                second: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above. What lies above the length is nobody's until
                // the commit.
                unsafe {
                    store_section!(
                        $index(self), word, body!(array_push_pair, $index),
                        chosen = in(reg) chosen.as_ptr(),
                        capacity = in(reg) capacity,
                        below = in(reg) first,
                        above = in(reg) second,
                        temp = out(reg) _,
                        full = label { return Err(Refusal::Full) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn array_push_batch<const SHIFT: u32>(
                self,
                len: WordAddress,
                capacity: u32,
                source: *const u64,
                count: u32,
            ) -> Result<u32, Refusal> {
                let (outcome, taken);
                // SAFETY: see above. What lies above the length is nobody's until
                // the commit.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(array_push_batch, $index),
                        capacity = in(reg) capacity,
                        source = in(reg) source,
                        count = in(reg) count,
                        held = out(reg) _,
                        taken = out(reg) taken,
                        left = out(reg) _,
                        wide = out($vector) _,
                    );
                }
                status::result(outcome, taken, Refusal::Full)
            }

            #[inline(always)]
            unsafe fn array_pop_batch<const SHIFT: u32>(
                self,
                len: WordAddress,
                target: *mut u64,
                count: u32,
            ) -> Result<u32, Refusal> {
                let (outcome, taken);
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(array_pop_batch, $index),
                        target = in(reg) target,
                        count = in(reg) count,
                        held = out(reg) _,
                        taken = out(reg) taken,
                        left = out(reg) _,
                        wide = out($vector) _,
                    );
                }
                status::result(outcome, taken, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn gated_push<const SHIFT: u32>(
                self,
                len: WordAddress,
                value: u64,
            ) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!(
                        $index(self), len, body!(gated_push, $index),
                        value = in(reg) value,
                        temp = out(reg) _,
                        full = label { return Err(Refusal::Full) },
                    );
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn gated_pop<const SHIFT: u32>(self, len: WordAddress) -> Result<u64, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(gated_pop, $index),
                        value = out(reg) value,
                        temp = out(reg) _,
                    );
                }
                status::result(outcome, value, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn gated_push_batch<const SHIFT: u32>(
                self,
                len: WordAddress,
                source: *const u64,
                count: u32,
            ) -> Result<u32, Refusal> {
                let (outcome, taken);
                // SAFETY: see above. What lies above the length is nobody's until
                // the commit.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(gated_push_batch, $index),
                        source = in(reg) source,
                        count = in(reg) count,
                        held = out(reg) _,
                        taken = out(reg) taken,
                        left = out(reg) _,
                        wide = out($vector) _,
                    );
                }
                status::result(outcome, taken, Refusal::Full)
            }

            #[inline(always)]
            unsafe fn gated_pop_batch<const SHIFT: u32>(
                self,
                len: WordAddress,
                target: *mut u64,
                count: u32,
            ) -> Result<u32, Refusal> {
                let (outcome, taken);
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(gated_pop_batch, $index),
                        target = in(reg) target,
                        count = in(reg) count,
                        held = out(reg) _,
                        taken = out(reg) taken,
                        left = out(reg) _,
                        wide = out($vector) _,
                    );
                }
                status::result(outcome, taken, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn copy_push<const SHIFT: u32>(
                self,
                len: WordAddress,
                capacity: usize,
                source: *const u8,
                bytes: usize,
            ) -> Result<(), Refusal> {
                let outcome;
                // SAFETY: see above. What lies above the length is nobody's until
                // the commit.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(copy_push, $index),
                        capacity = in(reg) capacity,
                        source = in(reg) source,
                        bytes = in(reg) bytes,
                        held = out(reg) _,
                        left = out(reg) _,
                        temp = out(reg) _,
                        wide = out($vector) _,
                    );
                }
                status::result(outcome, (), Refusal::Full)
            }

            #[inline(always)]
            unsafe fn copy_pop<const SHIFT: u32>(
                self,
                len: WordAddress,
                target: *mut u8,
                bytes: usize,
            ) -> Result<(), Refusal> {
                let outcome;
                // SAFETY: see above.
                unsafe {
                    value_section!(
                        $index(self), len, outcome, body!(copy_pop, $index),
                        target = in(reg) target,
                        bytes = in(reg) bytes,
                        held = out(reg) _,
                        left = out(reg) _,
                        temp = out(reg) _,
                        wide = out($vector) _,
                    );
                }
                status::result(outcome, (), Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn copy_out<const SHIFT: u32>(
                self,
                word: WordAddress,
                target: *mut u8,
                bytes: usize,
            ) -> Result<(), Refusal> {
                let outcome;
                // SAFETY: see above. Nothing of the stripe is written; the section
                // ends with the last load.
                unsafe {
                    value_section!(
                        $index(self), word, outcome, body!(copy_out, $index),
                        target = in(reg) target,
                        bytes = in(reg) bytes,
                        left = out(reg) _,
                        temp = out(reg) _,
                        wide = out($vector) _,
                    );
                }
                status::result(outcome, (), Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn hit<const SHIFT: u32>(
                self,
                slot: WordAddress,
                expected: u64,
            ) -> Result<*mut u64, Refusal> {
                let address: u64;
                // SAFETY: see above. Nothing but the commit is written.
                unsafe {
                    value_section!(
                        $index(self), slot, address, body!(hit, $index),
                        expected = in(reg) expected,
                        held = in(reg) 1_u64,
                    );
                }
                let slot = core::ptr::with_exposed_provenance_mut(address as usize);
                status::result(address, slot, Refusal::Mismatch)
            }

            #[inline(always)]
            unsafe fn leave(self, slot: WordAddress) -> Result<(), Refusal> {
                // The id is checked, as everywhere, and then nothing is done with it.
                const SHIFT: u32 = 0;
                // SAFETY: see above, and what the caller says of the slot.
                unsafe {
                    store_section!(
                        $index(self), slot, body!(leave, $index),
                        mismatch = label { return Err(Refusal::Mismatch) },
                    );
                }
                Ok(())
            }
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
