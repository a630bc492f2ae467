//! What happens when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::bill::Time;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// What a CPU runs is at an end, or its slice is. Stale if the plan has changed.
    Plan { cpu: u32, plan: u32 },
    /// An idle CPU has somebody to run.
    Begin { cpu: u32 },
    /// The thread of a CPU comes to a section. Stale if another one runs.
    Operate { cpu: u32, run: u32 },
    /// A CPU that was idle ends its switch.
    Settle { cpu: u32 },
    /// The tick of a CPU.
    Tick { cpu: u32 },
    /// A thread has slept.
    Awake { thread: u32 },
    /// A thread begins by itself.
    Start { thread: u32 },
}

/// Events in the order of their time, and of their making where that is the same.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Time, u64, Event)>>,
    made: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Time, event: Event) {
        self.made += 1;
        self.heap.push(Reverse((at, self.made, event)));
    }

    pub(super) fn pop(&mut self) -> Option<(Time, Event)> {
        let Reverse((at, _, event)) = self.heap.pop()?;
        Some((at, event))
    }
}
