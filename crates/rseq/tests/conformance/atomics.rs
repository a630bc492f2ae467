//! The operations of the portable body in the shape of the sections'.

use std::sync::atomic::{AtomicU32, AtomicU64};

use percid_rseq::Refusal;
use percid_rseq::portable::{self, TOP};
pub(crate) use percid_rseq::portable::{
    add_within, array_pop, array_pop_batch, array_push, array_push_batch, array_push_pair,
    copy_pop, copy_push, gated_list_pop, gated_list_push, gated_pop, gated_pop_batch, gated_push,
    gated_push_batch, list_pop, list_push,
};

/// Those on one word, which take a reference.
macro_rules! on_one_word {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $outcome:expr;)*) => {$(
        /// # Safety
        ///
        /// As the section form's.
        pub(crate) unsafe fn $name(
            word: *mut u64,
            $($argument: $type),*
        ) -> Result<$result, Refusal> {
            // SAFETY: a word of a page.
            let word = unsafe { AtomicU64::from_ptr(word) };
            ($outcome)(word)
        }
    )*};
}

on_one_word! {
    increment() -> () = |word| { portable::increment(word); Ok(()) };
    add(n: u64) -> () = |word| { portable::add(word, n); Ok(()) };
    load() -> u64 = |word| Ok(portable::load(word));
    swap(new: u64) -> u64 = |word| Ok(portable::swap(word, new));
    claim(held: u64) -> *mut u64 = |word| portable::claim(word, held);
    compare_store(expected: u64, new: u64) -> () =
        |word| portable::compare_store(word, expected, new);
    add_through(distance: isize, n: u64) -> () = |word| {
        // SAFETY: the caller's contract.
        unsafe { portable::add_through(word, distance, n) }
    };
}

/// # Safety
///
/// As the section form's.
pub(crate) unsafe fn add_if(
    word: *mut u64,
    flag: &AtomicU32,
    expected: u32,
    n: u64,
) -> Result<(), Refusal> {
    // SAFETY: a word of a page.
    let word = unsafe { AtomicU64::from_ptr(word) };
    portable::add_if::<TOP>(word, flag, expected, n)
}

/// # Safety
///
/// As the section form's.
pub(crate) unsafe fn compare_compare_store(
    word: *mut u64,
    expected: u64,
    distance: isize,
    second: u64,
    new: u64,
) -> Result<(), Refusal> {
    // SAFETY: the caller's contract; the workload counts in both words.
    unsafe { portable::compare_compare_store::<TOP>(word, expected, distance, second, new) }
}

/// # Safety
///
/// As the section form's.
pub(crate) unsafe fn copy_out(
    word: *mut u64,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    // SAFETY: the caller's contract; the workload copies stacks.
    unsafe { portable::copy_out::<TOP>(word, target, bytes) }
}

/// # Safety
///
/// As the section form's.
pub(crate) unsafe fn claim_any<const COUNT: u32>(words: *mut u64) -> Result<*mut u64, Refusal> {
    // SAFETY: words of a page.
    let words = unsafe { std::slice::from_raw_parts(words.cast::<AtomicU64>(), COUNT as usize) };
    portable::claim_any(words)
}

/// # Safety
///
/// As the section form's.
pub(crate) unsafe fn claim_first(
    words: *mut u64,
    count: u32,
    mark: &AtomicU64,
) -> Result<*mut u64, Refusal> {
    // SAFETY: words of a page.
    let words = unsafe { std::slice::from_raw_parts(words.cast::<AtomicU64>(), count as usize) };
    portable::claim_first(words, mark)
}
