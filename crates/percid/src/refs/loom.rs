//! Every interleaving of the switches with those who get and put, and of mutants that
//! must fail.
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

use super::*;

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

/// A holder gets and puts under one cid, and puts what it had, while the owner kills.
fn holder(fault: Fault) {
    let object = Object::new(fault);
    object.core.get();
    let other = beside(&object, 1, |object| {
        object.core.get();
        object.put();
        object.read();
        object.put();
    });
    object.kill();
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
    assert!(object.core.is_zero());
}

#[test]
fn a_holder_puts_while_the_owner_kills() {
    check(holder, &[Fault::Fence]);
}

/// A reference that is got under one cid is put under another, or on the word.
fn across(fault: Fault, cid: usize) {
    let object = Object::new(fault);
    object.core.get();
    let putter = beside(&object, cid, |object| {
        object.read();
        object.put();
    });
    let getter = beside(&object, 1, |object| {
        if object.core.try_get() {
            object.read();
            object.put();
        }
    });
    object.kill();
    putter.join().unwrap();
    getter.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn references_move_between_cids_and_the_word() {
    check(|fault| across(fault, 0), &[Fault::Fence]);
    check(|fault| across(fault, NONE), &[Fault::Fence]);
}

/// Nobody gets a live reference once the kill is confirmed.
fn live(kill: fn(&Object), try_get: fn(&Object) -> bool, fault: Fault, cid: usize) {
    let object = Object::new(fault);
    let other = beside(&object, cid, move |object| {
        // Ordering: Acquire pairs with the kill's Release.
        let confirmed = object.confirmed.load(Ordering::Acquire);
        let got = try_get(object);
        assert!(!(confirmed && got), "live after it was confirmed dead");
        if got {
            object.read();
            object.put();
        }
    });
    kill(&object);
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn no_live_reference_after_the_kill() {
    for cid in [0, 1, NONE] {
        holds(move || live(Object::kill, |it| it.core.try_get_live(), Fault::None, cid));
    }
    is_found(
        || live(Object::kill, |it| it.core.try_get_live(), Fault::Fence, 1),
        Fault::Fence,
    );
}

/// A second reader on the word keeps it above zero, so that only the mark can refuse.
fn live_on_the_word(try_get_live: fn(&Object, &AtomicBool) -> bool, mark: fn(&AtomicBool)) {
    let object = Object::new(Fault::None);
    object.core.get();
    let dead = Arc::new(AtomicBool::new(false));
    let other = {
        let dead = Arc::clone(&dead);
        beside(&object, NONE, move |object| {
            if try_get_live(object, &dead) {
                // The confirmation may have come since the mark was read; the reference
                // must have been got before it.
                object.put();
            }
        })
    };
    mark(&dead);
    object.core.kill().unwrap();
    let confirmed = object.core.count.load(Ordering::Relaxed) & COUNT;
    // Once it is confirmed, references only become fewer.
    thread::yield_now();
    let later = object.core.count.load(Ordering::Relaxed) & COUNT;
    assert!(later <= confirmed, "{later} references after {confirmed}");
    object.put();
    object.put();
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn the_mark_is_in_the_counted_word() {
    holds(|| live_on_the_word(|object, _| object.core.try_get_live(), |_| ()));
    // The mark in a word of its own: read first, and then an exchange that does not fail.
    let read_first =
        |object: &Object, dead: &AtomicBool| !dead.load(Ordering::Acquire) && object.core.try_get();
    is_found(
        move || live_on_the_word(read_first, |dead| dead.store(true, Ordering::Release)),
        "DEAD outside the word",
    );
}

/// The owner kills; the fold is made as the mutant says.
fn folded(kill: fn(&Object)) {
    let object = Object::new(Fault::None);
    object.core.get();
    // Held on the word: the stripes have one less.
    let other = beside(&object, NONE, |object| {
        object.read();
        object.put();
    });
    kill(&object);
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn the_bias_stays_until_the_fold() {
    holds(|| folded(Object::kill));
    let without_bias = |object: &Object| {
        let core = &object.core;
        core.count.fetch_or(DEAD, Ordering::AcqRel);
        core.gate.close();
        core.count.fetch_sub(BIAS, Ordering::Relaxed);
        core.gate.fence().unwrap();
        core.count.fetch_add(core.gate.sum(), Ordering::AcqRel);
        object.put();
    };
    is_found(move || folded(without_bias), "no bias while folding");
}

/// The put of the last holder releases, so it must come after what the others did.
#[test]
fn the_fold_hands_on_what_came_before_puts() {
    let relaxed = |object: &Object| {
        let core = &object.core;
        core.count.fetch_or(DEAD, Ordering::Relaxed);
        core.gate.close();
        core.gate.fence().unwrap();
        let change = core.gate.sum().wrapping_sub(BIAS);
        core.count.fetch_add(change, Ordering::Relaxed);
        // The first reference, without the Release of a put.
        core.count.fetch_sub(1, Ordering::Relaxed);
    };
    let model = |kill: fn(&Object)| {
        let object = Object::new(Fault::None);
        object.core.get();
        object.core.get();
        let reader = beside(&object, 1, |object| {
            object.read();
            object.put();
        });
        let last = beside(&object, NONE, Object::put);
        kill(&object);
        reader.join().unwrap();
        last.join().unwrap();
        assert_eq!(object.releases(), 1);
    };
    holds(move || model(Object::kill));
    is_found(move || model(relaxed), "a fold that releases nothing");
}

/// There and back while a holder gets and puts.
fn switched(fault: Fault) {
    let object = Object::new(fault);
    let other = beside(&object, 1, |object| {
        object.core.get();
        object.put();
    });
    object.core.switch_to_atomic().unwrap();
    assert!(object.core.switch_to_percid());
    other.join().unwrap();
    object.kill();
    assert_eq!(object.releases(), 1);
}

#[test]
fn switches_lose_and_double_nothing() {
    check(
        switched,
        &[Fault::Fence, Fault::ZeroedEarly, Fault::NotZeroed],
    );
}

/// A kill is taken back while a holder puts; the next one releases.
fn resurrected(fault: Fault) {
    let object = Object::new(fault);
    object.core.get();
    let other = beside(&object, 1, |object| {
        object.read();
        object.put();
    });
    object.core.kill().unwrap();
    let back = object.core.resurrect();
    assert_eq!(back, Ok(()), "the killer has not put its reference");
    object.put();
    object.kill();
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn a_kill_that_is_taken_back_releases_nothing() {
    check(resurrected, &[Fault::NotZeroed]);
}

/// Two kill, and one of them does.
#[test]
fn one_of_two_kills() {
    holds(|| {
        let object = Object::new(Fault::None);
        let kill = |object: &Object| match object.core.kill() {
            Ok(()) => object.put(),
            Err(why) => assert_eq!(why, RefError::AlreadyKilled),
        };
        let other = beside(&object, 1, kill);
        kill(&object);
        other.join().unwrap();
        assert_eq!(object.releases(), 1);
    });
}

/// A kill whose fence is refused ends nothing; the next goes on.
#[test]
fn a_refused_fence_releases_nothing() {
    holds(|| {
        let object = Object::new(Fault::Refused);
        let other = beside(&object, 1, |object| {
            if object.core.try_get() {
                object.read();
                object.put();
            }
        });
        assert!(matches!(object.core.kill(), Err(RefError::Fence(_))));
        assert!(!object.core.is_zero());
        object.kill();
        other.join().unwrap();
        assert_eq!(object.releases(), 1);
    });
}

/// The first use opens the gate, whoever comes at the same time.
#[test]
fn two_first_uses() {
    holds(|| {
        let object = Arc::new(Object {
            core: Core::new(Model::new(Fault::None)),
            body: UnsafeCell::new(0),
            confirmed: AtomicBool::new(false),
        });
        let other = beside(&object, 1, |object| {
            if object.core.try_get() {
                object.read();
                object.put();
            }
        });
        object.core.get();
        object.put();
        object.kill();
        other.join().unwrap();
        assert_eq!(object.releases(), 1);
    });
}

/// Another life begins when the first has ended; each is released once, perhaps both at
/// the same time.
#[test]
fn lives_follow_one_another() {
    holds(|| {
        let object = Object::new(Fault::None);
        let releases = Arc::new(AtomicU32::new(0));
        let put = |object: &Object, releases: &AtomicU32| {
            if object.core.put() {
                releases.fetch_add(1, Ordering::Relaxed);
            }
        };
        let other = {
            let releases = Arc::clone(&releases);
            beside(&object, 1, move |object| {
                if object.core.try_get() {
                    put(object, &releases);
                }
            })
        };
        let mut lives = 1;
        object.core.kill().unwrap();
        put(&object, &releases);
        match object.core.reinit() {
            Ok(()) => {
                lives += 1;
                object.core.kill().unwrap();
                put(&object, &releases);
            }
            Err(why) => assert_eq!(why, RefError::InUse),
        }
        other.join().unwrap();
        assert_eq!(releases.load(Ordering::Relaxed), lives);
    });
}
