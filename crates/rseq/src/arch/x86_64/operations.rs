//! The operations, each a body for every kind of index.

use core::arch::asm;
use core::mem::offset_of;

use super::status::{self, aborted, refused};
use crate::Refusal;
use crate::arch::Operations;
use crate::area::Area;
use crate::section::{Cpu, MmCid, Table, TableHead, WordAddress};

/// Copies `$count` words, the last ones first, two at a time. Uses `{outcome}`,
/// which is free until the end, and `{wide}`.
macro_rules! copy_words {
    ($from:literal, $to:literal, $count:literal) => {
        concat!(
            "mov {outcome:e}, ",
            $count,
            "\n",
            "27: cmp {outcome:e}, 2\n",
            "jb 28f\n",
            "movups {wide}, xmmword ptr [",
            $from,
            " + 8*{outcome} - 16]\n",
            "movups xmmword ptr [",
            $to,
            " + 8*{outcome} - 16], {wide}\n",
            "sub {outcome:e}, 2\n",
            "jmp 27b\n",
            "28: test {outcome:e}, {outcome:e}\n",
            "jz 29f\n",
            "movq {wide}, qword ptr [",
            $from,
            "]\n",
            "movq qword ptr [",
            $to,
            "], {wide}\n",
            "29:"
        )
    };
}

/// Copies `{bytes}` bytes, the last ones first, sixteen at a time, then eight, then
/// one by one. Uses `{outcome}`, which is free until the end, `{wide}` and `{byte}`.
macro_rules! copy_bytes {
    ($from:literal, $to:literal) => {
        concat!(
            "mov {outcome}, {bytes}\n",
            "27: cmp {outcome}, 16\n",
            "jb 28f\n",
            "movups {wide}, xmmword ptr [",
            $from,
            " + {outcome} - 16]\n",
            "movups xmmword ptr [",
            $to,
            " + {outcome} - 16], {wide}\n",
            "sub {outcome}, 16\n",
            "jmp 27b\n",
            "28: cmp {outcome}, 8\n",
            "jb 33f\n",
            "movq {wide}, qword ptr [",
            $from,
            " + {outcome} - 8]\n",
            "movq qword ptr [",
            $to,
            " + {outcome} - 8], {wide}\n",
            "sub {outcome}, 8\n",
            "33: test {outcome}, {outcome}\n",
            "jz 29f\n",
            "mov {byte:l}, byte ptr [",
            $from,
            " + {outcome} - 1]\n",
            "mov byte ptr [",
            $to,
            " + {outcome} - 1], {byte:l}\n",
            "dec {outcome}\n",
            "jmp 33b\n",
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
                        delay!(3),
                        "inc qword ptr [{stripe}]",
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
                        "mov {sum}, qword ptr [{stripe}]",
                        "add {sum}, {n}",
                        delay!(3),
                        "mov qword ptr [{stripe}], {sum}",
                    } n = in(reg) n, sum = out(reg) _,);
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
                        "mov {stripe}, qword ptr [{stripe}]",
                        "test {stripe}, {stripe}",
                        "jz {empty}",
                        "add {stripe}, {distance}",
                        "mov {sum}, qword ptr [{stripe}]",
                        "add {sum}, {n}",
                        delay!(3),
                        "mov qword ptr [{stripe}], {sum}",
                    }
                    distance = in(reg) distance,
                    n = in(reg) n,
                    sum = out(reg) _,
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
                        "mov {value}, qword ptr [{stripe}]",
                    } value = out(reg) value,);
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
                        "mov {value}, qword ptr [{stripe}]",
                        delay!(3),
                        "mov qword ptr [{stripe}], {new}",
                    } new = in(reg) new, value = out(reg) value,);
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
                        "cmp qword ptr [{stripe}], 0",
                        "jne 24f",
                        "mov {value}, {stripe}",
                        delay!(3),
                        "mov qword ptr [{stripe}], {held}",
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
                        "cmp qword ptr [{stripe}], {expected}",
                        "jne {mismatch}",
                        delay!(3),
                        "mov qword ptr [{stripe}], {new}",
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
                        "cmp qword ptr [{stripe}], {expected}",
                        "jne {mismatch}",
                        "cmp qword ptr [{stripe} + {distance}], {second}",
                        "jne {mismatch}",
                        delay!(3),
                        "mov qword ptr [{stripe}], {new}",
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
                        "mov {link}, qword ptr [{stripe}]",
                        "mov qword ptr [{node} + {next}], {link}",
                        delay!(3),
                        "mov qword ptr [{stripe}], {node}",
                    } node = in(reg) node, next = in(reg) next, link = out(reg) _,);
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
                        "mov {value}, qword ptr [{stripe}]",
                        "test {value}, {value}",
                        "jz 24f",
                        "mov {link}, qword ptr [{value} + {next}]",
                        delay!(3),
                        "mov qword ptr [{stripe}], {link}",
                    } next = in(reg) next, value = out(reg) value, link = out(reg) _,);
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
                        "mov {count:e}, dword ptr [{stripe}]",
                        "cmp {count:e}, {capacity:e}",
                        "jae {full}",
                        "mov qword ptr [{stripe} + 8*{count} + 8], {value}",
                        "inc {count:e}",
                        delay!(3),
                        "mov dword ptr [{stripe}], {count:e}",
                    }
                    capacity = in(reg) capacity,
                    value = in(reg) value,
                    count = out(reg) _,
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
                        "mov {count:e}, dword ptr [{stripe}]",
                        "test {count:e}, {count:e}",
                        "jz 24f",
                        "mov {value}, qword ptr [{stripe} + 8*{count}]",
                        "dec {count:e}",
                        delay!(3),
                        "mov dword ptr [{stripe}], {count:e}",
                    } value = out(reg) value, count = out(reg) _,);
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
                        "mov {held:e}, dword ptr [{stripe}]",
                        "mov {taken:e}, {capacity:e}",
                        "sub {taken:e}, {held:e}",
                        "jbe 24f",
                        "cmp {taken:e}, {count:e}",
                        "cmova {taken:e}, {count:e}",
                        "lea {area}, [{stripe} + 8*{held} + 8]",
                        copy_words!("{source}", "{area}", "{taken:e}"),
                        "add {held:e}, {taken:e}",
                        delay!(3),
                        "mov dword ptr [{stripe}], {held:e}",
                    }
                    capacity = in(reg) capacity,
                    source = in(reg) source,
                    count = in(reg) count,
                    held = out(reg) _,
                    taken = out(reg) taken,
                    wide = out(xmm_reg) _,);
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
                        "mov {held:e}, dword ptr [{stripe}]",
                        "test {held:e}, {held:e}",
                        "jz 24f",
                        "mov {taken:e}, {count:e}",
                        "cmp {taken:e}, {held:e}",
                        "cmova {taken:e}, {held:e}",
                        "sub {held:e}, {taken:e}",
                        "lea {area}, [{stripe} + 8*{held} + 8]",
                        copy_words!("{area}", "{target}", "{taken:e}"),
                        delay!(3),
                        "mov dword ptr [{stripe}], {held:e}",
                    }
                    target = in(reg) target,
                    count = in(reg) count,
                    held = out(reg) _,
                    taken = out(reg) taken,
                    wide = out(xmm_reg) _,);
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
                        "mov {held}, qword ptr [{stripe}]",
                        "lea {area}, [{stripe} + {held} + 8]",
                        "add {held}, {bytes}",
                        "cmp {held}, {capacity}",
                        "ja 24f",
                        copy_bytes!("{source}", "{area}"),
                        delay!(3),
                        "mov qword ptr [{stripe}], {held}",
                    }
                    capacity = in(reg) capacity,
                    source = in(reg) source,
                    bytes = in(reg) bytes,
                    held = out(reg) _,
                    byte = out(reg) _,
                    wide = out(xmm_reg) _,);
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
                        "mov {held}, qword ptr [{stripe}]",
                        "sub {held}, {bytes}",
                        "jb 24f",
                        "lea {area}, [{stripe} + {held} + 8]",
                        copy_bytes!("{area}", "{target}"),
                        delay!(3),
                        "mov qword ptr [{stripe}], {held}",
                    }
                    target = in(reg) target,
                    bytes = in(reg) bytes,
                    held = out(reg) _,
                    byte = out(reg) _,
                    wide = out(xmm_reg) _,);
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
                    byte = out(reg) _,
                    wide = out(xmm_reg) _,);
                }
                status::result(outcome, (), Refusal::Empty)
            }
        }
    };
}

operations!(MmCid<'_>, mm_cid);
operations!(Table<'_>, table);
operations!(Cpu<'_>, cpu_id);
