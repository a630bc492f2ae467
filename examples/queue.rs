//! The queue of Michael and Scott: producers and consumers, first in, first out.
//!
//! ```text
//! cargo run --release --example queue -- [PAIRS] [NUMBERS]
//! ```
//!
//! The idea to take home: two ends that move by themselves, and a node that one end may
//! still look at while the other has taken it away. The guard keeps it for both.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use percid_shootdown::{Atomic, Brand, Guarded, Owned, brand};

brand! {
    /// The domain of all queues.
    pub struct Queues;
}

/// A queue that many threads append to and take from.
pub struct Queue<T: Send + 'static> {
    /// A node whose value has been taken; the first value is in the one after it.
    head: Atomic<Node<T>, Queues>,
    /// The last node, or one before it.
    tail: Atomic<Node<T>, Queues>,
}

struct Node<T: Send + 'static> {
    /// Taken by whoever moves the head to this node.
    value: UnsafeCell<Option<T>>,
    next: Atomic<Node<T>, Queues>,
}

// SAFETY: one thread takes the value: the one whose exchange moves the head to the node.
unsafe impl<T: Send> Sync for Node<T> {}

impl<T: Send + 'static> Node<T> {
    fn new(value: Option<T>) -> Owned<Node<T>> {
        Owned::new(Node {
            value: UnsafeCell::new(value),
            next: Atomic::null(),
        })
    }
}

impl<T: Send + 'static> Queue<T> {
    /// An empty queue.
    pub fn new() -> Queue<T> {
        let guard = Queues::enter();
        let queue = Queue {
            head: Atomic::null(),
            tail: Atomic::null(),
        };
        let first = Node::new(None).into_guarded(&guard);
        // SAFETY: both ends lead to the node; `pop` retires it when it has left both.
        unsafe {
            queue.head.store_linked(first);
            queue.tail.store_linked(first);
        }
        queue
    }

    /// Appends a value.
    pub fn push(&self, value: T) {
        let guard = Queues::enter();
        let node = Node::new(Some(value)).into_guarded(&guard);
        loop {
            let tail = self.tail.load(&guard);
            let next = &tail.as_ref().expect("a queue has a node").next;
            // SAFETY: linked from the node before; the tail is only a hint.
            let linked = unsafe { next.compare_exchange_linked(Guarded::null(), node, &guard) };
            let last = linked.unwrap_or_else(|found| found);
            // SAFETY: as above. If it fails another thread has moved it on.
            let _ = unsafe { self.tail.compare_exchange_linked(tail, last, &guard) };
            if linked.is_ok() {
                return;
            }
        }
    }

    /// Takes the value that has been there for longest.
    pub fn pop(&self) -> Option<T> {
        let guard = Queues::enter();
        loop {
            let head = self.head.load(&guard);
            let next = head.as_ref().expect("a queue has a node").next.load(&guard);
            let first = next.as_ref()?;
            let tail = self.tail.load(&guard);
            if tail == head {
                // The tail must not stay on a node that goes.
                // SAFETY: as in `push`.
                let _ = unsafe { self.tail.compare_exchange_linked(tail, next, &guard) };
                continue;
            }
            // SAFETY: `head` has left both ends then, and is retired.
            if unsafe { self.head.compare_exchange_linked(head, next, &guard) }.is_ok() {
                // SAFETY: this thread has moved the head to the node.
                let value = unsafe { (*first.value.get()).take() };
                // SAFETY: unlinked, once.
                unsafe { head.retire() };
                return value;
            }
        }
    }
}

impl<T: Send + 'static> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue::new()
    }
}

impl<T: Send + 'static> Drop for Queue<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
        let guard = Queues::enter();
        // SAFETY: the one node that is left, which both ends lead to; the queue goes.
        unsafe { self.head.load(&guard).retire() };
    }
}

/// Pairs of producers and consumers; the sum of what came out, and whether each producer's
/// numbers came in order.
fn flow(queue: &Queue<(u64, u64)>, pairs: u64, numbers: u64) -> (u64, bool) {
    let (sum, left) = (AtomicU64::new(0), AtomicU64::new(pairs * numbers));
    let ordered = thread::scope(|scope| {
        for producer in 0..pairs {
            scope.spawn(move || (0..numbers).for_each(|number| queue.push((producer, number))));
        }
        let consumers: Vec<_> = (0..pairs)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = vec![None; pairs as usize];
                    let mut ordered = true;
                    while left.load(Ordering::Relaxed) > 0 {
                        let Some((producer, number)) = queue.pop() else {
                            thread::yield_now();
                            continue;
                        };
                        left.fetch_sub(1, Ordering::Relaxed);
                        sum.fetch_add(number, Ordering::Relaxed);
                        let last = &mut last[producer as usize];
                        ordered &= last.is_none_or(|last| last < number);
                        *last = Some(number);
                    }
                    ordered
                })
            })
            .collect();
        let consumers = consumers.into_iter().map(|one| one.join().unwrap_or(false));
        consumers.filter(|ordered| !ordered).count() == 0
    });
    (sum.into_inner(), ordered)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|one| one.parse());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (pairs, numbers) = (next(2), next(100_000));
    let (sum, ordered) = flow(&Queue::new(), pairs, numbers);
    assert_eq!(sum, pairs * (numbers * (numbers - 1) / 2));
    assert!(ordered, "a producer's numbers came out of order");
    println!("{} numbers through one queue, in order", pairs * numbers);
    println!("{:?}", Queues::domain().stats());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comes_first() {
        let queue = Queue::new();
        assert_eq!(queue.pop(), None);
        queue.push("a".to_owned());
        queue.push("b".to_owned());
        assert_eq!(queue.pop().as_deref(), Some("a"));
        queue.push("c".to_owned());
        drop(queue);
    }

    #[test]
    fn every_number_comes_once_and_in_order() {
        let (sum, ordered) = flow(&Queue::new(), 2, 3_000);
        assert_eq!(sum, 2 * (3_000 * 2_999 / 2));
        assert!(ordered);
    }
}
