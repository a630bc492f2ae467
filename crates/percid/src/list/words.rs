//! The words of a list in one stripe, the sections on them, and chains of nodes.
//!
//! Lists know links only: a node *is* the address of its link, so that the link's offset is
//! 0 for every type of node.

use core::sync::atomic::{AtomicU64, Ordering};

use percid_rseq::portable::{LOW, claimable};
use percid_rseq::section::{self, Index, WordAddress, retry};
use percid_rseq::{Refusal, portable};

use super::api::Link;
use crate::arena::{Operation, StripeOwner, StripeRef};

/// Words of a stripe.
pub(super) const WORDS: u32 = 3;

const HEAD: usize = 0;
/// Directly after the head, as sections want it.
const STOP: usize = 1;
const TAKEN: usize = 2;

/// Pushes a chain, from the link of its first node to that of its last.
#[derive(Clone, Copy)]
pub(super) struct Push(pub(super) u64, pub(super) u64);

impl Operation for Push {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        let [head, tail] = [self.0, self.1].map(node);
        // SAFETY: the caller's contract, and that of who pushes: the chain is his.
        unsafe { section::gated_list_push::<I, SHIFT, 0>(index, first.offset(HEAD), head, tail) }
    }
}

/// Pops a node.
#[derive(Clone, Copy)]
pub(super) struct Pop;

impl Operation for Pop {
    type Output = u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<u64, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::gated_list_pop::<I, SHIFT, 0>(index, first.offset(HEAD)) }
            .map(|node| node.addr() as u64)
    }
}

/// Whether the list is stopped: not 0 then.
pub(super) struct Stopped;

impl Operation for Stopped {
    type Output = u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<u64, Refusal> {
        // SAFETY: the caller's contract; nothing is changed.
        unsafe { section::load::<I, SHIFT>(index, first.offset(STOP)) }
    }
}

#[inline(always)]
fn node(link: u64) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(link as usize)
}

/// A list, seen from outside.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    words: &'a [AtomicU64],
    pub(super) cid: Option<u32>,
}

impl<'a> Words<'a> {
    #[inline]
    pub(super) fn of(stripe: StripeRef<'a>) -> Words<'a> {
        Words {
            words: stripe.words(),
            cid: match stripe.owner() {
                StripeOwner::Cid(cid) => Some(cid),
                _ => None,
            },
        }
    }

    /// Whether it holds nothing, at this moment.
    // Ordering: Relaxed. A hint.
    pub(super) fn is_empty(&self) -> bool {
        let [head, taken] = [HEAD, TAKEN].map(|word| self.words[word].load(Ordering::Relaxed));
        head & !LOW == 0 && taken == 0
    }

    // Ordering: Relaxed. Only who holds control sets and asks; for sections the fence that
    // follows orders it.
    pub(super) fn stop(&self) {
        self.words[STOP].store(1, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.words[STOP].load(Ordering::Relaxed) != 0
    }

    /// Lets sections in again.
    // Ordering: Release pairs with the Acquire of the section's load of the stop word: the
    // head that `set_aside` left is seen with it.
    pub(super) fn open(&self) {
        self.words[STOP].store(0, Ordering::Release);
    }

    /// Sets aside what the list holds, for [`take_aside`](Self::take_aside). For who holds
    /// control, of a list that is stopped and fenced.
    pub(super) fn set_aside(&self) {
        debug_assert!(
            self.words[TAKEN].load(Ordering::Relaxed) == 0,
            "nodes that were set aside and not taken"
        );
        let first = self.words[HEAD].load(Ordering::Relaxed);
        self.words[HEAD].store(0, Ordering::Relaxed);
        // Ordering: Release, after the head: a child of fork may find the nodes in one of
        // the two words or in none, and must not find them in both.
        self.words[TAKEN].store(first, Ordering::Release);
    }

    /// Takes what was set aside; the link of its first node, or 0. For who holds control.
    // Ordering: Relaxed. Control orders its holders.
    pub(super) fn take_aside(&self) -> u64 {
        let first = self.words[TAKEN].load(Ordering::Relaxed);
        self.words[TAKEN].store(0, Ordering::Relaxed);
        first
    }

    /// In a stripe of threads: takes what the list holds. Nothing while one of them pops.
    pub(super) fn take_by_thread(&self) -> u64 {
        retry(|| claimable::swap::<LOW>(&self.words[HEAD], 0)).unwrap_or(0)
    }

    /// In a stripe of threads: pushes a chain.
    ///
    /// # Safety
    ///
    /// The chain is the caller's.
    pub(super) unsafe fn push_by_thread(&self, first: u64, last: u64) -> bool {
        // SAFETY: the caller's contract.
        retry(|| unsafe { self.try_push_by_thread(first, last) }).is_ok()
    }

    /// As [`push_by_thread`](Self::push_by_thread), once.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn try_push_by_thread(&self, first: u64, last: u64) -> Result<(), Refusal> {
        let [first, last] = [first, last].map(node);
        // SAFETY: a head and its stop word, which only these change; the caller's contract.
        unsafe { portable::gated_list_push::<0>(self.head(), first, last) }
    }

    /// In a stripe of threads: pops a node.
    pub(super) fn pop_by_thread(&self) -> Option<u64> {
        retry(|| self.try_pop_by_thread()).ok()
    }

    /// As [`pop_by_thread`](Self::pop_by_thread), once.
    #[inline(always)]
    pub(super) fn try_pop_by_thread(&self) -> Result<u64, Refusal> {
        // SAFETY: as in `try_push_by_thread`.
        let popped = unsafe { portable::gated_list_pop::<0>(self.head()) };
        popped.map(|node| node.addr() as u64)
    }

    /// Its head, for the portable body.
    #[inline]
    fn head(&self) -> *mut u64 {
        // From the whole slice: the stop word follows.
        self.words[HEAD..].as_ptr().cast::<u64>().cast_mut()
    }
}

/// What comes after a node of a chain that is the caller's.
///
/// # Safety
///
/// The link of a node that was pushed, or of one in a chain of them.
// Ordering: Relaxed, here and below: whoever handed the chain over has ordered it.
pub(super) unsafe fn next(link: u64) -> u64 {
    // SAFETY: the caller's contract; all access to links is atomic.
    unsafe { Link::at(link) }.0.load(Ordering::Relaxed)
}

/// The last node of a chain that is the caller's.
///
/// # Safety
///
/// As [`next`], for all of the chain.
pub(super) unsafe fn last(first: u64) -> u64 {
    let mut last = first;
    loop {
        // SAFETY: the caller's contract.
        match unsafe { next(last) } {
            0 => return last,
            link => last = link,
        }
    }
}

/// One chain of two.
///
/// # Safety
///
/// As [`last`], for both.
pub(super) unsafe fn join(above: u64, below: u64) -> u64 {
    if above == 0 {
        return below;
    }
    if below != 0 {
        // SAFETY: the caller's contract.
        let last = unsafe { Link::at(last(above)) };
        last.0.store(below, Ordering::Relaxed);
    }
    above
}
