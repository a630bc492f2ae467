//! Nodes that no stripe has room for at this moment: one chain that all share.
//!
//! # Algorithm
//!
//! Pushed to by compare-exchange, and only ever taken whole. So there is no ABA: whatever
//! happened between a push's load and its exchange, the chain below the pushed nodes is
//! the one that the head names.
//!
//! Nobody waits for anybody: a push that fails has met one that succeeded.

use core::sync::atomic::Ordering;

use crate::sync::atomic::AtomicU64;

pub(super) struct Loose {
    head: AtomicU64,
}

impl Loose {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Loose {
        Loose {
            head: AtomicU64::new(0),
        }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Loose {
        Loose {
            head: AtomicU64::new(0),
        }
    }

    /// Whether there is none, at this moment.
    // Ordering: Relaxed. A hint.
    pub(super) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed) == 0
    }

    /// Pushes a chain, from `first` to the node whose link is `last`.
    // Ordering: Release pairs with the Acquire of `take`: nodes come with what was written
    // to them. Relaxed for the load: what it names is not looked at.
    pub(super) fn push(&self, first: u64, last: &AtomicU64) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            last.store(head, Ordering::Relaxed);
            match self
                .head
                .compare_exchange_weak(head, first, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all of them, as a chain; 0 if there is none.
    // Ordering: Acquire, as `push` says; of all pushes since the last taking, for each is a
    // read-modify-write of the one before.
    pub(super) fn take(&self) -> u64 {
        self.head.swap(0, Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Nodes are numbers from 1 on, with a link and a load each.
    struct Nodes {
        loose: Loose,
        links: [AtomicU64; 4],
        loads: [UnsafeCell<u64>; 4],
    }

    fn push(nodes: &Nodes, node: u64) {
        nodes.loads[node as usize].with_mut(|load| {
            // SAFETY: the node is this thread's; loom checks just that.
            unsafe { *load = node }
        });
        nodes.loose.push(node, &nodes.links[node as usize]);
    }

    /// Takes all, keeps one and pushes the rest back: what was kept.
    fn pop(nodes: &Nodes) -> u64 {
        let first = nodes.loose.take();
        if first == 0 {
            return 0;
        }
        nodes.loads[first as usize].with_mut(|load| {
            // SAFETY: as in `push`.
            assert_eq!(unsafe { *load }, first);
        });
        let rest = nodes.links[first as usize].load(Ordering::Relaxed);
        if rest != 0 {
            let mut last = rest;
            loop {
                match nodes.links[last as usize].load(Ordering::Relaxed) {
                    0 => break,
                    next => last = next,
                }
            }
            nodes.loose.push(rest, &nodes.links[last as usize]);
        }
        first
    }

    #[test]
    fn loom_loose_nodes_are_had_once() {
        loom::model(|| {
            let nodes = Arc::new(Nodes {
                loose: Loose::new(),
                links: std::array::from_fn(|_| AtomicU64::new(0)),
                loads: std::array::from_fn(|_| UnsafeCell::new(0)),
            });
            push(&nodes, 1);
            push(&nodes, 2);
            let other = {
                let nodes = Arc::clone(&nodes);
                thread::spawn(move || {
                    push(&nodes, 3);
                    pop(&nodes)
                })
            };
            let mut found = vec![pop(&nodes)];
            // ABA, if there were any: the same node again.
            if found[0] != 0 {
                push(&nodes, found[0]);
                found[0] = 0;
            }
            found.push(other.join().unwrap());
            let mut next = nodes.loose.take();
            while next != 0 {
                found.push(next);
                next = nodes.links[next as usize].load(Ordering::Relaxed);
            }
            found.retain(|&node| node != 0);
            found.sort_unstable();
            assert_eq!(found, [1, 2, 3]);
        });
    }
}
