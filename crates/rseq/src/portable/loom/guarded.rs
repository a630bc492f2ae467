//! Adds under a flag that another thread closes.

use core::sync::atomic::Ordering;

use loom::sync::atomic::AtomicU32;

use super::{Fault, Guarded, Model, Run, check};
use crate::Refusal;
use crate::portable::LOW;
use crate::portable::claim::{observe, replace};
use crate::portable::guarded::add_while;
use crate::portable::word::{Cells, Word};

struct Shared {
    word: Model<LOW>,
    flag: AtomicU32,
    /// What the closer writes before it opens again.
    beside: Guarded<1>,
}

impl Shared {
    fn new(fault: Fault) -> Shared {
        Shared {
            word: Model::new(0, fault),
            flag: AtomicU32::new(1),
            beside: Guarded::new(),
        }
    }

    fn add(&self) -> Result<(), Refusal> {
        let is_open = || self.flag.load(Ordering::Acquire) == 1;
        add_while::<_, LOW>(&self.word, is_open, 2)
    }
}

/// One thread adds; the other closes the flag and looks: what it finds is all there is.
fn closed(run: Run) {
    let add = |shared: &Shared| shared.add().map(|()| 0);
    let close = |shared: &Shared| {
        shared.flag.store(0, Ordering::Relaxed);
        observe::<_, LOW>(&shared.word)
    };
    let (shared, added, found) = run.two(Shared::new(run.fault), add, close);
    let now = observe::<_, LOW>(&shared.word).expect("nobody is there");
    assert_eq!(now, 2 * u64::from(added.is_ok()));
    match found {
        Ok(found) => assert_eq!(found, now, "an add came after the look"),
        Err(why) => assert_eq!(why, Refusal::Aborted),
    }
}

#[test]
fn nobody_adds_after_the_flag_was_closed() {
    check(closed, &[Fault::Claim, Fault::Fence]);
}

/// The other closes, empties the word and opens again: no add is lost, none is doubled.
fn opened_again(run: Run) {
    let add = |shared: &Shared| {
        let added = shared.add().is_ok();
        2 * u64::from(added)
    };
    let empty = |shared: &Shared| {
        shared.flag.store(0, Ordering::Relaxed);
        shared.word.fence();
        let found = replace::<_, LOW>(&shared.word, 0).unwrap_or(0);
        shared.flag.store(1, Ordering::Release);
        found
    };
    let (shared, added, found) = run.two(Shared::new(run.fault), add, empty);
    let left = observe::<_, LOW>(&shared.word).expect("nobody is there");
    assert_eq!(found + left, added);
}

#[test]
fn an_add_is_in_one_life_of_the_word() {
    check(opened_again, &[Fault::Claim]);
}

/// What was written before the flag was opened is there for who added.
fn published(run: Run) {
    let shared = Shared::new(run.fault);
    shared.flag.store(0, Ordering::Relaxed);
    let add = |shared: &Shared| {
        if shared.add().is_ok() {
            // SAFETY: opened after it was written; loom checks just that.
            assert_eq!(unsafe { shared.beside.read(0) }, 5);
        }
    };
    let open = |shared: &Shared| {
        // SAFETY: nobody is let through yet.
        unsafe { shared.beside.write(0, 5) };
        let release = match shared.word.fault {
            Fault::Release => Ordering::Relaxed,
            _ => Ordering::Release,
        };
        shared.flag.store(1, release);
    };
    run.two(shared, add, open);
}

#[test]
fn an_open_flag_publishes() {
    check(published, &[Fault::Release]);
}
