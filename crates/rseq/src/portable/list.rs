//! An intrusive list with its head in the word.
//!
//! Push is one compare-exchange and claims nothing: whatever happened between its load
//! and its store, the node on top is the one that it links to. Pop must read the link of
//! a node that is still on the list, and so it claims the head. Without that, two others
//! may pop the node and its successor and push the node again, and a compare-exchange
//! would bring the successor back: ABA.

use core::ptr;
use core::sync::atomic::Ordering;

use super::LOW;
use super::claim::{Claim, aborted, delay};
use super::word::{Cells, Word, at};
use crate::Refusal;

/// Puts a node on top of the list. The node's link lies `NEXT` bytes after its start.
///
/// # Errors
///
/// [`Refusal::Aborted`]. The node's link may have been written to all the same.
///
/// # Safety
///
/// `head` is an aligned word; it changes by `list_push` and `list_pop` with the same
/// `NEXT`, and by [`claimable`](super::claimable) with [`LOW`], only. The node is the
/// caller's, it lies at an even address, its link is an aligned word, and both stay
/// mapped for as long as the node is on the list.
#[inline]
pub unsafe fn list_push<const NEXT: usize>(head: *mut u64, node: *mut u8) -> Result<(), Refusal> {
    debug_assert!(!node.is_null(), "a node at null");
    // SAFETY: the caller's contract.
    let head = unsafe { at(head) };
    // SAFETY: the caller owns the node.
    unsafe { push(head, &Links(NEXT), node.expose_provenance() as u64) }
}

/// Takes the node on top of the list.
///
/// # Errors
///
/// [`Refusal::Empty`], [`Refusal::Aborted`].
///
/// # Safety
///
/// As [`list_push`].
#[inline]
pub unsafe fn list_pop<const NEXT: usize>(head: *mut u64) -> Result<*mut u8, Refusal> {
    // SAFETY: the caller's contract.
    let head = unsafe { at(head) };
    // SAFETY: what is on the list was pushed, and is mapped.
    let node = unsafe { pop(head, &Links(NEXT)) }?;
    Ok(ptr::with_exposed_provenance_mut(node as usize))
}

/// The links of nodes, so many bytes after their starts.
pub(super) struct Links(pub(super) usize);

impl Links {
    #[inline(always)]
    fn of(&self, node: u64) -> *mut u64 {
        ptr::with_exposed_provenance_mut::<u8>(node as usize)
            .wrapping_add(self.0)
            .cast()
    }
}

// Ordering: Relaxed. The claim and the push order them; atomics only for who walks the
// list from outside, as over a list of sections.
impl Cells for Links {
    #[inline(always)]
    unsafe fn read(&self, node: u64) -> u64 {
        // SAFETY: the caller says that there is such a link.
        unsafe { at(self.of(node)) }.load(Ordering::Relaxed)
    }

    #[inline(always)]
    unsafe fn write(&self, node: u64, link: u64) {
        // SAFETY: the caller says that there is such a link.
        unsafe { at(self.of(node)) }.store(link, Ordering::Relaxed);
    }
}

/// # Safety
///
/// The node is the caller's and has a link.
// Ordering: Release pairs with the Acquire of the claim in `pop`: the node and its link
// are there. Relaxed for the load: the head's address is not followed.
pub(super) unsafe fn push<W: Word>(head: &W, links: &impl Cells, node: u64) -> Result<(), Refusal> {
    debug_assert!(node & LOW == 0, "a node at an odd address");
    let top = head.load(Ordering::Relaxed);
    if top & LOW != 0 {
        return Err(aborted());
    }
    delay(1);
    // SAFETY: nobody else reaches the node before it is on the list.
    unsafe { links.write(node, top) };
    delay(3);
    head.compare_exchange(top, node, Ordering::Release, Ordering::Relaxed)
        .map(drop)
        .map_err(|_| aborted())
}

/// # Safety
///
/// Every node that was pushed has a link.
pub(super) unsafe fn pop<W: Word>(head: &W, links: &impl Cells) -> Result<u64, Refusal> {
    let some = |top| match top {
        0 => Err(Refusal::Empty),
        _ => Ok(()),
    };
    let claim = Claim::<W, LOW>::take(head, some)?;
    let node = claim.held();
    // SAFETY: the node is on the list for as long as the head is claimed.
    let below = unsafe { links.read(node) };
    claim.commit(below);
    Ok(node)
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;
    use core::sync::atomic::AtomicU64;

    use super::*;

    #[repr(C)]
    struct Node(u64, AtomicU64);

    const NEXT: usize = offset_of!(Node, 1);

    #[test]
    fn what_was_pushed_last_is_popped_first() {
        let head = AtomicU64::new(0);
        let nodes = [1, 2, 3].map(|name| Node(name, AtomicU64::new(u64::MAX)));
        let push = |node: &Node| {
            let node = ptr::from_ref(node).cast_mut().cast();
            // SAFETY: the node lives to the end and is on no list.
            unsafe { list_push::<NEXT>(head.as_ptr(), node) }
        };
        let pop = || {
            // SAFETY: every node on the list is one of these.
            unsafe { list_pop::<NEXT>(head.as_ptr()).map(|node| (*node.cast::<Node>()).0) }
        };
        assert_eq!(pop(), Err(Refusal::Empty));
        nodes.iter().for_each(|node| push(node).unwrap());
        assert_eq!([pop(), pop()], [Ok(3), Ok(2)]);
        assert_eq!((push(&nodes[2]), pop()), (Ok(()), Ok(3)));
        assert_eq!([pop(), pop()], [Ok(1), Err(Refusal::Empty)]);
    }

    #[test]
    fn a_claimed_list_is_left_alone() {
        let head = AtomicU64::new(LOW);
        let node = Node(0, AtomicU64::new(0));
        let start = ptr::from_ref(&node).cast_mut().cast();
        // SAFETY: the node is on no list; the list is empty.
        let outcomes = unsafe {
            (
                list_push::<NEXT>(head.as_ptr(), start),
                list_pop::<NEXT>(head.as_ptr()),
            )
        };
        assert_eq!(outcomes, (Err(Refusal::Aborted), Err(Refusal::Aborted)));
        assert_eq!(head.load(Ordering::Relaxed), LOW);
    }
}
