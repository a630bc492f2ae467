//! Locks: the operations of `section::claims`.

macro_rules! claims {
    ($index:ident) => {
        #[inline(always)]
        unsafe fn claim<const SHIFT: u32>(
            self,
            word: WordAddress,
            held: u64,
        ) -> Result<*mut u64, Refusal> {
            let address: u64;
            // SAFETY: see `operations!`.
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
        unsafe fn claim_any<const SHIFT: u32, const COUNT: u32>(
            self,
            words: WordAddress,
        ) -> Result<*mut u64, Refusal> {
            let address: u64;
            // SAFETY: see `operations!`.
            unsafe {
                value_section!(
                    $index(self), words, address, body!(claim_any, $index),
                    count = const COUNT,
                    left = out(reg) _,
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
            // SAFETY: see `operations!`.
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
    };
}
