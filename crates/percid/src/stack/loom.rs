//! Every interleaving of the stack of numbers, and of mutants that must fail.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p percid --release --lib`
//!
//! A mutant is the same stack written again with something left out; written again with
//! nothing left out it must hold, or its failures would prove nothing.

use core::array::from_fn;
use std::panic::{self, AssertUnwindSafe};
use std::vec::Vec;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::{NONE, Stack};

/// What the stack written again leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// Heads do not change their tags.
    Tag,
    /// A pop acquires nothing.
    Acquire,
    /// A push releases nothing.
    Release,
}

/// The stack, or the stack written again.
enum Subject {
    Real(Stack),
    Again(AtomicU64, Fault),
}

/// Links are read by any thread and so are atomic; what numbers stand for is its holder's,
/// and loom reports two that access it.
struct Things {
    links: [AtomicU64; 3],
    owned: [UnsafeCell<u64>; 3],
}

impl Subject {
    fn retag(fault: Fault, head: u64, number: u32) -> u64 {
        let step = u64::from(fault != Fault::Tag);
        ((head >> 32) + step) << 32 | u64::from(number)
    }

    fn push(&self, number: u32, things: &Things) {
        let link = |number: u32| &things.links[number as usize];
        match self {
            Subject::Real(stack) => stack.push_chain(number, link(number)),
            Subject::Again(word, fault) => {
                let order = match fault {
                    Fault::Release => Ordering::Relaxed,
                    _ => Ordering::Release,
                };
                let mut head = word.load(Ordering::Relaxed);
                loop {
                    link(number).store(u64::from(head as u32), Ordering::Relaxed);
                    let new = Subject::retag(*fault, head, number);
                    match word.compare_exchange(head, new, order, Ordering::Relaxed) {
                        Ok(_) => return,
                        Err(now) => head = now,
                    }
                }
            }
        }
    }

    fn pop(&self, things: &Things) -> Option<u32> {
        let link = |number: u32| &things.links[number as usize];
        match self {
            Subject::Real(stack) => stack.pop(link),
            Subject::Again(word, fault) => {
                let order = match fault {
                    Fault::Acquire => Ordering::Relaxed,
                    _ => Ordering::Acquire,
                };
                let mut head = word.load(order);
                while head as u32 != NONE {
                    let next = link(head as u32).load(Ordering::Relaxed) as u32;
                    let new = Subject::retag(*fault, head, next);
                    match word.compare_exchange(head, new, order, order) {
                        Ok(_) => return Some(head as u32),
                        Err(now) => head = now,
                    }
                }
                None
            }
        }
    }
}

impl Things {
    /// What its holder does with one.
    fn use_it(&self, number: u32) {
        // SAFETY: the holder is alone with it, which loom checks.
        self.owned[number as usize].with_mut(|it| unsafe { *it += 1 });
    }
}

/// One thread pops; the other pops two and pushes the first again.
fn scene(subject: impl Fn() -> Subject + Send + Sync + 'static) {
    ::loom::model(move || {
        let things = Things {
            links: from_fn(|_| AtomicU64::new(0)),
            owned: from_fn(|_| UnsafeCell::new(0)),
        };
        let shared = Arc::new((subject(), things));
        for number in [1, 2] {
            shared.0.push(number, &shared.1);
        }
        let beside = Arc::clone(&shared);
        let other = thread::spawn(move || {
            let (stack, things) = &*beside;
            let popped = stack.pop(things);
            popped.into_iter().for_each(|number| things.use_it(number));
            popped
        });
        let (stack, things) = &*shared;
        let mut mine = Vec::new();
        mine.extend(stack.pop(things));
        mine.extend(stack.pop(things));
        mine.iter().for_each(|&number| things.use_it(number));
        if let Some(first) = mine.first().copied() {
            mine.remove(0);
            stack.push(first, things);
        }
        let theirs = other.join().unwrap();
        let mut found: Vec<u32> = mine.into_iter().chain(theirs).collect();
        while let Some(number) = stack.pop(things) {
            things.use_it(number);
            found.push(number);
            assert!(found.len() <= 2, "a number is there twice");
        }
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
    });
}

fn again(fault: Fault) {
    scene(move || Subject::Again(AtomicU64::new(0), fault));
}

#[test]
fn each_number_is_popped_once() {
    scene(|| Subject::Real(Stack::new()));
    again(Fault::Nothing);
}

#[test]
fn mutants_are_found() {
    for fault in [Fault::Tag, Fault::Acquire, Fault::Release] {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| again(fault)));
        assert!(
            outcome.is_err(),
            "{fault:?} passed: this test proves nothing"
        );
    }
}
