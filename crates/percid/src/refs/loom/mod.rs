//! Every interleaving of the switches with those who get and put, and of mutants that
//! must fail.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `getting` | who gets and puts while the owner kills |
//! | `switching` | how often, and in which order, it is switched |
//!
//! A section is what a stripe's mutex is held for, and a fence takes each mutex once: so
//! what was begun before it has ended. A section that the kernel aborts is one that
//! begins later.

use std::array;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

use ::loom::cell::UnsafeCell;
use ::loom::sync::atomic::AtomicBool;
use ::loom::sync::{Arc, Mutex};
use ::loom::thread;
use percid_rseq::membarrier::BarrierError;

use super::core::{BIAS, COUNT, Core, DEAD};
use super::error::RefError;
use crate::arena::Gated;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

mod getting;
mod switching;

/// What the memory leaves out or does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// The fence waits for nobody.
    Fence,
    /// Stripes are zeroed when the gate closes.
    ZeroedEarly,
    /// Stripes are never zeroed.
    NotZeroed,
    /// The fence is refused, once.
    Refused,
}

const STRIPES: usize = 2;

/// The cid of threads that run no sections.
const NONE: usize = usize::MAX;

::loom::thread_local! {
    static CID: Cell<usize> = Cell::new(0);
}

struct Model {
    is_open: AtomicBool,
    is_new: AtomicBool,
    refuse: AtomicBool,
    /// Held for the length of a section.
    sections: [Mutex<()>; STRIPES],
    words: [AtomicU64; STRIPES],
    /// What was zeroed early.
    kept: AtomicU64,
    fault: Fault,
}

impl Model {
    fn new(fault: Fault) -> Model {
        Model {
            is_open: AtomicBool::new(false),
            is_new: AtomicBool::new(true),
            refuse: AtomicBool::new(fault == Fault::Refused),
            sections: array::from_fn(|_| Mutex::new(())),
            words: array::from_fn(|_| AtomicU64::new(0)),
            kept: AtomicU64::new(0),
            fault,
        }
    }

    fn added(&self) -> u64 {
        let words = self.words.iter().map(|word| word.load(Ordering::Relaxed));
        words.fold(0, u64::wrapping_add)
    }

    fn zero(&self) {
        for word in &self.words {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl Gated for Model {
    fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed)
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    fn add(&self, n: u64) -> bool {
        let cid = CID.with(Cell::get);
        if cid == NONE {
            return false;
        }
        let _section = self.sections[cid].lock().unwrap();
        if !self.is_open.load(Ordering::Acquire) {
            return false;
        }
        let word = self.words[cid].load(Ordering::Relaxed);
        self.words[cid].store(word.wrapping_add(n), Ordering::Relaxed);
        true
    }

    fn add_slow(&self, _: u64) -> bool {
        false
    }

    fn place(&self) -> bool {
        if self.fault != Fault::NotZeroed {
            self.zero();
        }
        self.is_new.store(false, Ordering::Relaxed);
        true
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        // What was in them is not lost, but sections may be under way.
        if self.fault == Fault::ZeroedEarly {
            self.kept.store(self.added(), Ordering::Relaxed);
            self.zero();
        }
    }

    fn fence(&self) -> Result<(), BarrierError> {
        if self.refuse.swap(false, Ordering::Relaxed) {
            return Err(BarrierError::Unsupported);
        }
        if self.fault != Fault::Fence {
            for section in &self.sections {
                drop(section.lock().unwrap());
            }
        }
        Ok(())
    }

    fn sum(&self) -> u64 {
        self.added()
            .wrapping_add(self.kept.swap(0, Ordering::Relaxed))
    }
}

/// A counted object: its users read it, its releaser writes it, once.
struct Object {
    core: Core<Model>,
    body: UnsafeCell<u32>,
    confirmed: AtomicBool,
}

impl Object {
    /// Counted by cid.
    fn new(fault: Fault) -> Arc<Object> {
        let object = Object {
            core: Core::new(Model::new(fault)),
            body: UnsafeCell::new(0),
            confirmed: AtomicBool::new(false),
        };
        assert!(object.core.switch_to_percid());
        Arc::new(object)
    }

    /// What a holder does.
    fn read(&self) {
        // SAFETY: loom reports a read that is not ordered with the release.
        self.body
            .with(|body| assert_eq!(unsafe { *body }, 0, "released"));
    }

    fn put(&self) {
        if self.core.put() {
            // SAFETY: as `read`.
            self.body.with_mut(|body| unsafe { *body += 1 });
        }
    }

    fn kill(&self) {
        self.core.kill().unwrap();
        // Ordering: Release, for who asks whether it was confirmed.
        self.confirmed.store(true, Ordering::Release);
        self.put();
    }

    /// How often it was released, when all threads have ended.
    fn releases(&self) -> u32 {
        // SAFETY: the threads have ended.
        self.body.with(|body| unsafe { *body })
    }
}

/// Runs it on another thread under a cid.
fn beside(
    object: &Arc<Object>,
    cid: usize,
    work: impl FnOnce(&Object) + 'static,
) -> thread::JoinHandle<()> {
    let object = Arc::clone(object);
    thread::spawn(move || {
        CID.with(|mine| mine.set(cid));
        work(&object);
    })
}

/// Checks all interleavings with up to so many preemptions: what three threads do in full
/// takes minutes.
fn holds(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn check(model: fn(Fault), faults: &[Fault]) {
    holds(move || model(Fault::None));
    for &fault in faults {
        is_found(move || model(fault), fault);
    }
}

fn is_found(mutant: impl Fn() + Sync + Send + 'static, name: impl std::fmt::Debug) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| holds(mutant)));
    assert!(
        outcome.is_err(),
        "{name:?} passed: this test proves nothing"
    );
}
