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
    debug_assert!(I::HAS_PLACE || head.0 != 0, "a word at address 0");
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
    debug_assert!(I::HAS_PLACE || head.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.list_pop::<SHIFT, NEXT>(head) }
}

/// Puts a chain of nodes on top of the list whose head is the current id's word, unless the
/// word after the head, its *stop word*, is set. The chain begins with `first` and ends
/// with `last`, whose link is written; of a single node, both are that node.
///
/// Anybody may set a stop word, to anything but 0. So whoever is to take a list from under
/// its sections stops it, fences ([`fence`]), takes what the head holds, stores the new
/// head and then 0 in the stop word, with release ordering. Sections load the stop word,
/// with acquire ordering, before the head.
///
/// [`fence`]: crate::membarrier::fence
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Full`] if it is stopped. The link may
/// have been written to all the same.
///
/// # Safety
///
/// As [`list_push`], for all nodes of the chain; and `head` is followed by its stop word. The
/// head changes by `gated_list_push` and `gated_list_pop` with the same `NEXT` only, or by
/// one thread at a time while the list is stopped and a fence since then has succeeded.
#[inline(always)]
pub unsafe fn gated_list_push<I: Index, const SHIFT: u32, const NEXT: usize>(
    index: I,
    head: WordAddress,
    first: *mut u8,
    last: *mut u8,
) -> Result<(), Refusal> {
    const { assert!(is_link(NEXT)) };
    debug_assert!(I::HAS_PLACE || head.0 != 0, "a word at address 0");
    debug_assert!(
        !first.is_null() && first.cast::<u64>().is_aligned(),
        "a node at {first:p}"
    );
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_list_push::<SHIFT, NEXT>(head, first, last) }
}

/// Takes the node on top of the list whose head is the current id's word, unless the list
/// is stopped.
///
/// # Errors
///
/// As [`increment`](super::increment), and [`Refusal::Empty`], also if it is stopped.
///
/// # Safety
///
/// As [`gated_list_push`].
#[inline(always)]
pub unsafe fn gated_list_pop<I: Index, const SHIFT: u32, const NEXT: usize>(
    index: I,
    head: WordAddress,
) -> Result<*mut u8, Refusal> {
    const { assert!(is_link(NEXT)) };
    debug_assert!(I::HAS_PLACE || head.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_list_pop::<SHIFT, NEXT>(head) }
}

/// Whether a link may lie there: what every architecture can say in an instruction.
const fn is_link(next: usize) -> bool {
    next.is_multiple_of(8) && next < 1 << 15
}
