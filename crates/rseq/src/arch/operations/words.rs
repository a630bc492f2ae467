//! One word of the stripe: the operations of `section::words`.

macro_rules! words {
    ($index:ident) => {
        #[inline(always)]
        unsafe fn increment<const SHIFT: u32>(self, word: WordAddress) -> Result<(), Refusal> {
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`. The flag is a reference to an atomic.
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
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`.
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
        unsafe fn compare_store<const SHIFT: u32>(
            self,
            word: WordAddress,
            expected: u64,
            new: u64,
        ) -> Result<(), Refusal> {
            // SAFETY: see `operations!`.
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
            // SAFETY: see `operations!`.
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
    };
}
