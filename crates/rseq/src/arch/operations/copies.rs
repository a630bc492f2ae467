//! Bytes: the operations of `section::copies`.

macro_rules! copies {
    ($vector:ident, $index:ident) => {
        #[inline(always)]
        unsafe fn copy_push<const SHIFT: u32>(
            self,
            len: WordAddress,
            capacity: usize,
            source: *const u8,
            bytes: usize,
        ) -> Result<(), Refusal> {
            let outcome;
            // SAFETY: see `operations!`. What lies above the length is nobody's until
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
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`. Nothing of the stripe is written; the section
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
    };
}

/// The copy where a pointer leads.
macro_rules! copies_through {
    ($vector:ident:) => {
        #[inline(always)]
        pub(crate) unsafe fn copy_through(
            pointer: *mut *mut u8,
            target: *mut u8,
            bytes: usize,
        ) -> Result<(), Refusal> {
            let (area, known) = known_area();
            macro_rules! copy_through {
                ($how:ident) => {{
                    let outcome;
                    // SAFETY: as in `load_through`. Nothing that others can reach is
                    // written; the section ends with the last load.
                    unsafe {
                        value_section!(
                            $how(area), Pointer(pointer), outcome, body!(copy_through, $how),
                            target = in(reg) target,
                            bytes = in(reg) bytes,
                            left = out(reg) _,
                            temp = out(reg) _,
                            wide = out($vector) _,
                        );
                    }
                    status::result(outcome, (), Refusal::Empty)
                }};
            }
            if known {
                copy_through!(known)
            } else {
                copy_through!(registered)
            }
        }
    };
}
