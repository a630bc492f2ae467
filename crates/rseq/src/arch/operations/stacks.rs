//! Stacks of words: the operations of `section::stacks`.

macro_rules! stacks {
    ($vector:ident, $index:ident) => {
        #[inline(always)]
        unsafe fn array_push<const SHIFT: u32>(
            self,
            len: WordAddress,
            capacity: u32,
            value: u64,
        ) -> Result<(), Refusal> {
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`.
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
        unsafe fn array_push_batch<const SHIFT: u32>(
            self,
            len: WordAddress,
            capacity: u32,
            source: *const u64,
            count: u32,
        ) -> Result<u32, Refusal> {
            let (outcome, taken);
            // SAFETY: see `operations!`. What lies above the length is nobody's until
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
            // SAFETY: see `operations!`.
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
        unsafe fn array_push_pair<const SHIFT: u32>(
            self,
            word: WordAddress,
            chosen: &AtomicU64,
            capacity: u32,
            first: u64,
            second: u64,
        ) -> Result<(), Refusal> {
            // SAFETY: see `operations!`. What lies above the length is nobody's until
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
    };
}
