//! Intrusive lists.

use super::{Index, WordAddress};
use crate::Refusal;

/// Puts a node on top of the list whose head is the current id's word. The node's
/// link lies `NEXT` bytes after its start.
///
/// # Errors
///
/// As [`increment`](super::increment).
///
/// # Safety
///
/// As [`increment`](super::increment). The node is the caller's, its link is an aligned
/// word, and both stay mapped for as long as anybody may pop from the list. `head` changes
/// by `list_push` and `list_pop` with the same `NEXT` only, or by who has fenced all
/// sections out.
#[inline(always)]
pub unsafe fn list_push<I: Index, const SHIFT: u32, const NEXT: usize>(
    index: I,
    head: WordAddress,
    node: *mut u8,
) -> Result<(), Refusal> {
    const { assert!(is_link(NEXT)) };
    debug_assert!(head.0 != 0, "a word at address 0");
    debug_assert!(
        !node.is_null() && node.cast::<u64>().is_aligned(),
        "a node at {node:p}"
    );
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.list_push::<SHIFT, NEXT>(head, node) }
}

/// Takes the node on top of the list whose head is the current id's word.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Empty`].
///
/// # Safety
///
/// As [`increment`](super::increment). As [`list_push`].
#[inline(always)]
pub unsafe fn list_pop<I: Index, const SHIFT: u32, const NEXT: usize>(
    index: I,
    head: WordAddress,
) -> Result<*mut u8, Refusal> {
    const { assert!(is_link(NEXT)) };
    debug_assert!(head.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.list_pop::<SHIFT, NEXT>(head) }
}

/// Whether a link may lie there: what every architecture can say in an instruction.
const fn is_link(next: usize) -> bool {
    next.is_multiple_of(8) && next < 1 << 15
}
