//! Intrusive lists: the operations of `section::lists`.

macro_rules! lists {
    ($index:ident) => {
        #[inline(always)]
        unsafe fn list_push<const SHIFT: u32, const NEXT: usize>(
            self,
            head: WordAddress,
            node: *mut u8,
        ) -> Result<(), Refusal> {
            // SAFETY: see `operations!`. The node's link is written before the commit:
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
            // SAFETY: see `operations!`.
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
        unsafe fn gated_list_push<const SHIFT: u32, const NEXT: usize>(
            self,
            head: WordAddress,
            first: *mut u8,
            last: *mut u8,
        ) -> Result<(), Refusal> {
            // SAFETY: see `operations!`. The last link is written before the commit: until
            // then nobody else reaches the chain.
            unsafe {
                store_section!(
                    $index(self), head, body!(gated_list_push, $index),
                    head_of = in(reg) first,
                    tail_of = in(reg) last,
                    next = const NEXT,
                    temp = out(reg) _,
                    full = label { return Err(Refusal::Full) },
                );
            }
            Ok(())
        }

        #[inline(always)]
        unsafe fn gated_list_pop<const SHIFT: u32, const NEXT: usize>(
            self,
            head: WordAddress,
        ) -> Result<*mut u8, Refusal> {
            let (outcome, value);
            // SAFETY: see `operations!`.
            unsafe {
                value_section!(
                    $index(self), head, outcome, body!(gated_list_pop, $index),
                    next = const NEXT,
                    value = out(reg) value,
                    temp = out(reg) _,
                );
            }
            status::result(outcome, value, Refusal::Empty)
        }
    };
}
