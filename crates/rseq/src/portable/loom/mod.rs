//! Every interleaving of the claim protocols, and of mutants that must fail.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p percid-rseq --release --lib`
//!
//! The code under test is the one that runs: a mutant is a word that leaves something
//! out, or the operation that everybody writes first.

extern crate std;

use core::array::from_fn;
use core::sync::atomic::Ordering;
use std::panic::{self, AssertUnwindSafe};
use std::vec::Vec;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

use super::word::{Cells, Word};

mod guarded;
mod list;
mod pair;
mod stack;
mod through;

/// What a word leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Claims change nothing.
    Claim,
    /// Nothing is acquired.
    Acquire,
    /// Nothing is released.
    Release,
    /// Fences do nothing.
    Fence,
}

/// A word of loom's that is claimed by `BIT`.
struct Model<const BIT: u64> {
    word: AtomicU64,
    fault: Fault,
}

impl<const BIT: u64> Model<BIT> {
    fn new(value: u64, fault: Fault) -> Self {
        let word = AtomicU64::new(value);
        Model { word, fault }
    }

    fn weaker(&self, order: Ordering) -> Ordering {
        match (self.fault, order) {
            (Fault::Acquire, Ordering::Acquire) => Ordering::Relaxed,
            (Fault::Acquire, Ordering::AcqRel) => Ordering::Release,
            (Fault::Release, Ordering::Release) => Ordering::Relaxed,
            (Fault::Release, Ordering::AcqRel) => Ordering::Acquire,
            _ => order,
        }
    }
}

impl<const BIT: u64> Word for Model<BIT> {
    fn load(&self, order: Ordering) -> u64 {
        self.word.load(self.weaker(order))
    }

    fn store(&self, value: u64, order: Ordering) {
        self.word.store(value, self.weaker(order));
    }

    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        let (success, failure) = (self.weaker(success), self.weaker(failure));
        if self.fault == Fault::Claim && new == current | BIT {
            let held = self.word.load(success);
            return if held == current { Ok(held) } else { Err(held) };
        }
        self.word.compare_exchange(current, new, success, failure)
    }

    fn fence(&self) {
        if self.fault != Fault::Fence {
            fence(Ordering::SeqCst);
        }
    }
}

/// Cells whose unordered accesses loom reports.
struct Guarded<const N: usize>([UnsafeCell<u64>; N]);

impl<const N: usize> Guarded<N> {
    fn new() -> Self {
        Guarded(from_fn(|_| UnsafeCell::new(0)))
    }
}

impl<const N: usize> Cells for Guarded<N> {
    unsafe fn read(&self, at: u64) -> u64 {
        // SAFETY: the claim's holder is alone; loom checks just that.
        self.0[at as usize].with(|cell| unsafe { *cell })
    }

    unsafe fn write(&self, at: u64, value: u64) {
        // SAFETY: as above.
        self.0[at as usize].with_mut(|cell| unsafe { *cell = value });
    }
}

/// How a model is run.
#[derive(Clone, Copy)]
struct Run {
    fault: Fault,
    /// Which half gets a thread of its own: loom does not search both alike.
    swapped: bool,
}

impl Run {
    /// Runs one half on a thread of its own and the other beside it.
    fn two<S: 'static, T: 'static, U: 'static>(
        self,
        shared: S,
        one: impl FnOnce(&S) -> T + 'static,
        two: impl FnOnce(&S) -> U + 'static,
    ) -> (Arc<S>, T, U) {
        let shared = Arc::new(shared);
        let beside = Arc::clone(&shared);
        if self.swapped {
            let beside = thread::spawn(move || two(&beside));
            let one = one(&shared);
            (shared, one, beside.join().unwrap())
        } else {
            let beside = thread::spawn(move || one(&beside));
            let two = two(&shared);
            (shared, beside.join().unwrap(), two)
        }
    }
}

/// The model holds without a fault, and loom finds each of the others.
fn check(model: fn(Run), faults: &[Fault]) {
    let run = move |fault| {
        for swapped in [false, true] {
            loom::model(move || model(Run { fault, swapped }));
        }
    };
    run(Fault::None);
    for &fault in faults {
        found(move || run(fault), fault);
    }
}

fn found(mutant: impl Fn(), name: impl core::fmt::Debug) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(mutant));
    assert!(
        outcome.is_err(),
        "{name:?} passed: this test proves nothing"
    );
}

/// The values that were taken, and whether each that was put in is somewhere once.
fn assert_exact(mut put: Vec<u64>, mut found: Vec<u64>) {
    put.sort_unstable();
    found.sort_unstable();
    assert_eq!(put, found);
}
