//! Stacks with a capacity in the stripe: the operations of `section::gated`.

macro_rules! gated {
    ($vector:ident, $index:ident) => {
        #[inline(always)]
        unsafe fn gated_push<const SHIFT: u32>(
            self,
            len: WordAddress,
            value: u64,
        ) -> Result<(), Refusal> {
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`. What lies above the length is nobody's until
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
            // SAFETY: see `operations!`.
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
    };
}
