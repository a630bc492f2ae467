//! Blocks that wait to be needed, and those of them that nobody has needed for a period.
//!
//! # Algorithm
//!
//! Two stacks, of which one is *young*: blocks are pushed to it, and popped from it first, from
//! the other if it is empty. When the old one is empty, the two change names. So what is still
//! in the old stack a period later was there all the time and nobody needed it: the working set
//! of that period was had without. That is the *surplus*.
//!
//! Changing names is one store, and blocks are taken away one by one, so that those who look
//! meanwhile find the others. A thread that has looked for the young one before and pushes after
//! the change makes its block look older than it is.
//!
//! Source: the working sets of J. Bonwick and J. Adams, *Magazines and Vmem* (2001), section
//! 3.3, which count the least number of full magazines in a period.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use super::Stack;
use super::clock::{is_over, now};

/// Two stacks of blocks.
#[derive(Debug)]
pub(super) struct Aged {
    stacks: [Stack; 2],
    /// Which stack is the young one.
    young: AtomicU32,
    /// When the stacks changed names.
    turned_at: AtomicU64,
}

impl Aged {
    pub(super) const fn new() -> Aged {
        Aged {
            stacks: [const { Stack::new() }; 2],
            young: AtomicU32::new(0),
            turned_at: AtomicU64::new(0),
        }
    }

    fn stacks(&self) -> [&Stack; 2] {
        // Ordering: Relaxed, here and in `turn`. Either is a place for any block.
        let young = self.young.load(Ordering::Relaxed) as usize % 2;
        [&self.stacks[young], &self.stacks[1 - young]]
    }

    /// Where blocks are pushed, and looked for first.
    pub(super) fn young(&self) -> &Stack {
        self.stacks()[0]
    }

    pub(super) fn old(&self) -> &Stack {
        self.stacks()[1]
    }

    /// Whether there is something in the old stack that nobody has needed for a period.
    pub(super) fn has_surplus(&self, period: Duration) -> bool {
        !self.old().is_empty() && is_over(&self.turned_at, period)
    }

    /// Lets the stacks change names, if the old one is empty and the young one is not.
    pub(super) fn turn(&self) {
        let [young, old] = self.stacks();
        if old.is_empty() && !young.is_empty() {
            self.turned_at.store(now(), Ordering::Relaxed);
            self.young.fetch_xor(1, Ordering::Relaxed);
        }
    }
}
