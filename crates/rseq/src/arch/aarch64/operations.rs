//! The operations, each a body for every kind of index.

use core::arch::asm;
use core::mem::offset_of;

use super::status::{self, aborted, refused};
use crate::Refusal;
use crate::arch::Operations;
use crate::area::Area;
use crate::section::{Cpu, MmCid, Table, TableHead, WordAddress};

/// Copies `$count` words, the last ones first, two at a time. Uses `{outcome}`,
/// which is free until the end, `{scratch}` and `{wide}`.
macro_rules! copy_words {
    ($from:literal, $to:literal, $count:literal) => {
        concat!(
            "mov {outcome:w}, ",
            $count,
            "\n",
            "27: subs {outcome}, {outcome}, #2\n",
            "b.lo 28f\n",
            "add {scratch}, ",
            $from,
            ", {outcome}, lsl #3\n",
            "ldr {wide:q}, [{scratch}]\n",
            "add {scratch}, ",
            $to,
            ", {outcome}, lsl #3\n",
            "str {wide:q}, [{scratch}]\n",
            "b 27b\n",
            "28: add {outcome}, {outcome}, #2\n",
            "cbz {outcome}, 29f\n",
            "ldr {scratch}, [",
            $from,
            "]\n",
            "str {scratch}, [",
            $to,
            "]\n",
            "29:"
        )
    };
}

/// Copies `{bytes}` bytes, the last ones first, sixteen at a time, then eight, then
/// one by one. Uses `{outcome}`, which is free until the end, `{scratch}` and
/// `{wide}`.
macro_rules! copy_bytes {
    ($from:literal, $to:literal) => {
        concat!(
            "mov {outcome}, {bytes}\n",
            "27: subs {outcome}, {outcome}, #16\n",
            "b.lo 28f\n",
            "ldr {wide:q}, [",
            $from,
            ", {outcome}]\n",
            "str {wide:q}, [",
            $to,
            ", {outcome}]\n",
            "b 27b\n",
            "28: add {outcome}, {outcome}, #16\n",
            "cmp {outcome}, #8\n",
            "b.lo 33f\n",
            "sub {outcome}, {outcome}, #8\n",
            "ldr {scratch}, [",
            $from,
            ", {outcome}]\n",
            "str {scratch}, [",
            $to,
            ", {outcome}]\n",
            "33: cbz {outcome}, 29f\n",
            "sub {outcome}, {outcome}, #1\n",
            "ldrb {scratch:w}, [",
            $from,
            ", {outcome}]\n",
            "strb {scratch:w}, [",
            $to,
            ", {outcome}]\n",
            "b 33b\n",
            "29:"
        )
    };
}

/// All operations by one kind of index.
macro_rules! operations {
    ($type:ty, $index:ident) => {
        // SAFETY (all of them): what a section touches is the thread's own area
        // and, below the limit and in a registered thread, what the caller vouches
        // for.
        impl Operations for $type {
            #[inline(always)]
            unsafe fn increment<const SHIFT: u32>(self, word: WordAddress) -> Result<(), Refusal> {
                // SAFETY: see above.
                unsafe {
                    store_section!($index(self), word, {
                        "ldr {scratch}, [{stripe}]",
                        "add {scratch}, {scratch}, #1",
                        delay!(3),
                        "str {scratch}, [{stripe}]",
                    });
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
                    store_section!($index(self), word, {
                        "ldr {scratch}, [{stripe}]",
                        "add {scratch}, {scratch}, {n}",
                        delay!(3),
                        "str {scratch}, [{stripe}]",
                    }
                    n = in(reg) n,);
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
                    store_section!($index(self), word, {
                        "ldr {stripe}, [{stripe}]",
                        "cbz {stripe}, {empty}",
                        "add {stripe}, {stripe}, {distance}",
                        "ldr {scratch}, [{stripe}]",
                        "add {scratch}, {scratch}, {n}",
                        delay!(3),
                        "str {scratch}, [{stripe}]",
                    }
                    distance = in(reg) distance,
                    n = in(reg) n,
                    empty = label { return Err(Refusal::Empty) },);
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn load<const SHIFT: u32>(self, word: WordAddress) -> Result<u64, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!($index(self), word, outcome, {
                        delay!(3),
                        "ldr {value}, [{stripe}]",
                    }
                    value = out(reg) value,);
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
                    value_section!($index(self), word, outcome, {
                        "ldr {value}, [{stripe}]",
                        delay!(3),
                        "str {new}, [{stripe}]",
                    }
                    new = in(reg) new, value = out(reg) value,);
                }
                status::result(outcome, value, Refusal::Empty)
            }

            #[inline(always)]
            unsafe fn claim<const SHIFT: u32>(
                self,
                word: WordAddress,
                held: u64,
            ) -> Result<*mut u64, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!($index(self), word, outcome, {
                        "ldar {scratch}, [{stripe}]",
                        "cbnz {scratch}, 24f",
                        "mov {value}, {stripe}",
                        delay!(3),
                        "str {held}, [{stripe}]",
                    } held = in(reg) held, value = out(reg) value,);
                }
                status::result(outcome, value, Refusal::Mismatch)
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
                    store_section!($index(self), word, {
                        "ldr {scratch}, [{stripe}]",
                        "cmp {scratch}, {expected}",
                        "b.ne {mismatch}",
                        delay!(3),
                        "str {new}, [{stripe}]",
                    }
                    expected = in(reg) expected,
                    new = in(reg) new,
                    mismatch = label { return Err(Refusal::Mismatch) },);
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
                    store_section!($index(self), word, {
                        "ldr {scratch}, [{stripe}]",
                        "cmp {scratch}, {expected}",
                        "b.ne {mismatch}",
                        "ldr {scratch}, [{stripe}, {distance}]",
                        "cmp {scratch}, {second}",
                        "b.ne {mismatch}",
                        delay!(3),
                        "str {new}, [{stripe}]",
                    }
                    expected = in(reg) expected,
                    distance = in(reg) distance,
                    second = in(reg) second,
                    new = in(reg) new,
                    mismatch = label { return Err(Refusal::Mismatch) },);
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn list_push<const SHIFT: u32>(
                self,
                head: WordAddress,
                node: *mut u8,
                next: usize,
            ) -> Result<(), Refusal> {
                // SAFETY: see above. The node's link is written before the commit:
                // until then nobody else reaches the node.
                unsafe {
                    store_section!($index(self), head, {
                        "ldr {scratch}, [{stripe}]",
                        "str {scratch}, [{node}, {next}]",
                        delay!(3),
                        "str {node}, [{stripe}]",
                    }
                    node = in(reg) node, next = in(reg) next,);
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn list_pop<const SHIFT: u32>(
                self,
                head: WordAddress,
                next: usize,
            ) -> Result<*mut u8, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!($index(self), head, outcome, {
                        "ldr {value}, [{stripe}]",
                        "cbz {value}, 24f",
                        "ldr {scratch}, [{value}, {next}]",
                        delay!(3),
                        "str {scratch}, [{stripe}]",
                    }
                    next = in(reg) next, value = out(reg) value,);
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
                    store_section!($index(self), len, {
                        "ldr {scratch:w}, [{stripe}]",
                        "cmp {scratch:w}, {capacity:w}",
                        "b.hs {full}",
                        "add {area}, {stripe}, {scratch}, lsl #3",
                        "str {value}, [{area}, #8]",
                        "add {scratch:w}, {scratch:w}, #1",
                        delay!(3),
                        "str {scratch:w}, [{stripe}]",
                    }
                    capacity = in(reg) capacity,
                    value = in(reg) value,
                    full = label { return Err(Refusal::Full) },);
                }
                Ok(())
            }

            #[inline(always)]
            unsafe fn array_pop<const SHIFT: u32>(self, len: WordAddress) -> Result<u64, Refusal> {
                let (outcome, value);
                // SAFETY: see above.
                unsafe {
                    value_section!($index(self), len, outcome, {
                        "ldr {scratch:w}, [{stripe}]",
                        "cbz {scratch:w}, 24f",
                        "ldr {value}, [{stripe}, {scratch}, lsl #3]",
                        "sub {scratch:w}, {scratch:w}, #1",
                        delay!(3),
                        "str {scratch:w}, [{stripe}]",
                    }
                    value = out(reg) value,);
                }
                status::result(outcome, value, Refusal::Empty)
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
                    value_section!($index(self), len, outcome, {
                        "ldr {held:w}, [{stripe}]",
                        "subs {taken:w}, {capacity:w}, {held:w}",
                        "b.ls 24f",
                        "cmp {taken:w}, {count:w}",
                        "csel {taken:w}, {count:w}, {taken:w}, hi",
                        "add {area}, {stripe}, {held}, lsl #3",
                        "add {area}, {area}, #8",
                        copy_words!("{source}", "{area}", "{taken:w}"),
                        "add {held:w}, {held:w}, {taken:w}",
                        delay!(3),
                        "str {held:w}, [{stripe}]",
                    }
                    capacity = in(reg) capacity,
                    source = in(reg) source,
                    count = in(reg) count,
                    held = out(reg) _,
                    taken = out(reg) taken,
                    wide = out(vreg) _,);
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
                    value_section!($index(self), len, outcome, {
                        "ldr {held:w}, [{stripe}]",
                        "cbz {held:w}, 24f",
                        "cmp {held:w}, {count:w}",
                        "csel {taken:w}, {count:w}, {held:w}, hi",
                        "sub {held:w}, {held:w}, {taken:w}",
                        "add {area}, {stripe}, {held}, lsl #3",
                        "add {area}, {area}, #8",
                        copy_words!("{area}", "{target}", "{taken:w}"),
                        delay!(3),
                        "str {held:w}, [{stripe}]",
                    }
                    target = in(reg) target,
                    count = in(reg) count,
                    held = out(reg) _,
                    taken = out(reg) taken,
                    wide = out(vreg) _,);
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
                    value_section!($index(self), len, outcome, {
                        "ldr {held}, [{stripe}]",
                        "add {area}, {stripe}, {held}",
                        "add {area}, {area}, #8",
                        "add {held}, {held}, {bytes}",
                        "cmp {held}, {capacity}",
                        "b.hi 24f",
                        copy_bytes!("{source}", "{area}"),
                        delay!(3),
                        "str {held}, [{stripe}]",
                    }
                    capacity = in(reg) capacity,
                    source = in(reg) source,
                    bytes = in(reg) bytes,
                    held = out(reg) _,
                    wide = out(vreg) _,);
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
                    value_section!($index(self), len, outcome, {
                        "ldr {held}, [{stripe}]",
                        "subs {held}, {held}, {bytes}",
                        "b.lo 24f",
                        "add {area}, {stripe}, {held}",
                        "add {area}, {area}, #8",
                        copy_bytes!("{area}", "{target}"),
                        delay!(3),
                        "str {held}, [{stripe}]",
                    }
                    target = in(reg) target,
                    bytes = in(reg) bytes,
                    held = out(reg) _,
                    wide = out(vreg) _,);
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
                    value_section!($index(self), word, outcome, {
                        copy_bytes!("{stripe}", "{target}"),
                        delay!(3),
                        "nop",
                    }
                    target = in(reg) target,
                    bytes = in(reg) bytes,
                    wide = out(vreg) _,);
                }
                status::result(outcome, (), Refusal::Empty)
            }
        }
    };
}

operations!(MmCid<'_>, mm_cid);
operations!(Table<'_>, table);
operations!(Cpu<'_>, cpu_id);
