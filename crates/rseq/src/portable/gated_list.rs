//! An intrusive list with its head in the word, and a stop word after it.
//!
//! Both operations claim the head and then look whether it is stopped. So who stops a list
//! and then exchanges its head ([`claimable`](super::claimable)) needs no fence: whoever
//! claims it later has acquired the exchange, and sees the stop word that came before.

use core::ptr;
use core::sync::atomic::Ordering;

use super::LOW;
use super::claim::Claim;
use super::list::Links;
use super::word::{Cells, Word, at};
use crate::Refusal;

/// Puts a chain of nodes on top of the list, from `first` to `last`, whose link is written,
/// unless the list is stopped. A link lies `NEXT` bytes after its node's start.
///
/// # Errors
///
/// [`Refusal::Full`] if it is stopped; [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`list_push`](super::list_push), for all nodes of the chain. The word after `head` is
/// its stop word, which anybody may store to.
#[inline]
pub unsafe fn gated_list_push<const NEXT: usize>(
    head: *mut u64,
    first: *mut u8,
    last: *mut u8,
) -> Result<(), Refusal> {
    debug_assert!(!first.is_null() && !last.is_null(), "a node at null");
    // SAFETY: the caller's contract.
    let [head, stop] = unsafe { [at(head), at(head.add(1))] };
    let [first, last] = [first, last].map(|node| node.expose_provenance() as u64);
    // SAFETY: the caller owns the nodes.
    unsafe { push(head, stop, &Links(NEXT), first, last) }
}

/// Takes the node on top of the list, unless the list is stopped.
///
/// # Errors
///
/// [`Refusal::Empty`], also if it is stopped; [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`gated_list_push`].
#[inline]
pub unsafe fn gated_list_pop<const NEXT: usize>(head: *mut u64) -> Result<*mut u8, Refusal> {
    // SAFETY: the caller's contract.
    let [head, stop] = unsafe { [at(head), at(head.add(1))] };
    // SAFETY: what is on the list was pushed, and is mapped.
    let node = unsafe { pop(head, stop, &Links(NEXT)) }?;
    Ok(ptr::with_exposed_provenance_mut(node as usize))
}

/// # Safety
///
/// The chain is the caller's and its last node has a link.
// Ordering: Relaxed for the stop word, here and below. The claim has acquired the exchange
// of who stopped it, if that came first.
pub(super) unsafe fn push<W: Word>(
    head: &W,
    stop: &W,
    links: &impl Cells,
    first: u64,
    last: u64,
) -> Result<(), Refusal> {
    debug_assert!((first | last) & LOW == 0, "a node at an odd address");
    let claim = Claim::<W, LOW>::take(head, |_| Ok(()))?;
    if stop.load(Ordering::Relaxed) != 0 {
        claim.give_back();
        return Err(Refusal::Full);
    }
    // SAFETY: nobody else reaches the node before it is on the list.
    unsafe { links.write(last, claim.held()) };
    claim.commit(first);
    Ok(())
}

/// # Safety
///
/// Every node that was pushed has a link.
pub(super) unsafe fn pop<W: Word>(head: &W, stop: &W, links: &impl Cells) -> Result<u64, Refusal> {
    let some = |top| match top {
        0 => Err(Refusal::Empty),
        _ => Ok(()),
    };
    let claim = Claim::<W, LOW>::take(head, some)?;
    if stop.load(Ordering::Relaxed) != 0 {
        claim.give_back();
        return Err(Refusal::Empty);
    }
    let node = claim.held();
    // SAFETY: the node is on the list for as long as the head is claimed.
    let below = unsafe { links.read(node) };
    claim.commit(below);
    Ok(node)
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn chains_go_on_top_and_a_stopped_list_is_left_alone() {
        let list = [0, 0].map(AtomicU64::new);
        let head = list.as_ptr().cast::<u64>().cast_mut();
        let nodes: [AtomicU64; 3] = core::array::from_fn(|_| AtomicU64::new(0));
        let [a, b, c] = [0, 1, 2].map(|at| nodes[at].as_ptr().cast::<u8>());
        nodes[1].store(c.expose_provenance() as u64, Ordering::Relaxed);
        // SAFETY: nodes that live to the end, on no list; two words.
        unsafe {
            assert_eq!(gated_list_pop::<0>(head), Err(Refusal::Empty));
            assert_eq!(gated_list_push::<0>(head, a, a), Ok(()));
            assert_eq!(gated_list_push::<0>(head, b, c), Ok(()));
            list[1].store(1, Ordering::Relaxed);
            assert_eq!(gated_list_pop::<0>(head), Err(Refusal::Empty));
            list[1].store(0, Ordering::Relaxed);
            assert_eq!(gated_list_pop::<0>(head), Ok(b));
            list[1].store(7, Ordering::Relaxed);
            assert_eq!(gated_list_push::<0>(head, b, b), Err(Refusal::Full));
            list[1].store(0, Ordering::Relaxed);
            assert_eq!(gated_list_pop::<0>(head), Ok(c));
            assert_eq!(gated_list_pop::<0>(head), Ok(a));
            assert_eq!(gated_list_pop::<0>(head), Err(Refusal::Empty));
        }
    }
}
