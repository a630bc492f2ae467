//! Treiber's stack: threads push and pop numbers, and every number comes out once.
//!
//! ```text
//! cargo run --release --example stack -- [THREADS] [NUMBERS]
//! ```
//!
//! The idea to take home: a guard is what makes the classic compare-and-exchange loop right.
//! While it lives, the node on top cannot be freed, so nobody can find its address used
//! again, and `next` may be read although another thread has just popped the node.

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use percid_shootdown::{Atomic, Brand, Guarded, Owned, brand};

brand! {
    /// The domain of all stacks.
    pub struct Stacks;
}

/// A stack that many threads push to and pop from.
pub struct Stack<T: Send + Sync + 'static> {
    top: Atomic<Node<T>, Stacks>,
}

struct Node<T: Send + Sync + 'static> {
    /// Moved out by whoever pops the node.
    value: ManuallyDrop<T>,
    next: Atomic<Node<T>, Stacks>,
}

impl<T: Send + Sync + 'static> Stack<T> {
    /// An empty stack.
    pub const fn new() -> Stack<T> {
        Stack {
            top: Atomic::null(),
        }
    }

    /// Puts a value on top.
    pub fn push(&self, value: T) {
        let guard = Stacks::enter();
        let node = Owned::new(Node {
            value: ManuallyDrop::new(value),
            next: Atomic::null(),
        })
        .into_guarded(&guard);
        let mut top = self.top.load(&guard);
        loop {
            let next = &node.as_ref().expect("made above").next;
            // SAFETY: a node is linked from one place, and what pops it retires it.
            unsafe { next.store_linked(top) };
            // SAFETY: as above.
            match unsafe { self.top.compare_exchange_linked(top, node, &guard) } {
                Ok(_) => return,
                Err(found) => top = found,
            }
        }
    }

    /// Takes the value on top.
    pub fn pop(&self) -> Option<T> {
        let guard = Stacks::enter();
        let mut top = self.top.load(&guard);
        loop {
            let node = top.as_ref()?;
            let next = node.next.load(&guard);
            // SAFETY: the node that is unlinked led to `next`, and is retired below.
            match unsafe { self.top.compare_exchange_linked(top, next, &guard) } {
                Ok(_) => {
                    // SAFETY: one thread unlinks a node, and moves the value out; the node's
                    // destructor leaves it alone.
                    let value = unsafe { ptr::read(&*node.value) };
                    // SAFETY: unlinked, once.
                    unsafe { top.retire() };
                    return Some(value);
                }
                Err(found) => top = found,
            }
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Stack<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
        debug_assert!(self.top.load(&Stacks::enter()) == Guarded::null());
    }
}

impl<T: Send + Sync + 'static> Default for Stack<T> {
    fn default() -> Stack<T> {
        Stack::new()
    }
}

/// Each thread pushes its numbers and pops as many; the sum of what came out.
fn exchange(stack: &Stack<u64>, threads: u64, numbers: u64) -> u64 {
    let sum = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (stack, sum) = (stack, &sum);
            scope.spawn(move || {
                for number in 0..numbers {
                    stack.push(thread * numbers + number);
                    if let Some(popped) = stack.pop() {
                        sum.fetch_add(popped, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    while let Some(popped) = stack.pop() {
        sum.fetch_add(popped, Ordering::Relaxed);
    }
    sum.into_inner()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|one| one.parse());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (threads, numbers) = (next(4), next(100_000));
    let sum = exchange(&Stack::new(), threads, numbers);
    let all = threads * numbers;
    assert_eq!(
        sum,
        all * (all - 1) / 2,
        "a number is missing, or came twice"
    );
    println!("{all} numbers through one stack, by {threads} threads");
    println!("{:?}", Stacks::domain().stats());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_comes_first() {
        let stack = Stack::new();
        assert_eq!(stack.pop(), None);
        stack.push("a".to_owned());
        stack.push("b".to_owned());
        assert_eq!(stack.pop().as_deref(), Some("b"));
        stack.push("c".to_owned());
        drop(stack);
    }

    #[test]
    fn every_number_comes_out_once() {
        assert_eq!(exchange(&Stack::new(), 4, 2_000), 8_000 * 7_999 / 2);
    }
}
