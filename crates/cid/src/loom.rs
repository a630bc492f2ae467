//! Every interleaving of the set of ids, and of a mutant that must fail.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p percid-cid --release --lib`

use std::array;
use std::panic::{self, AssertUnwindSafe};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::IdSet;

/// Two threads take an id, write what belongs to it, and return it. Loom reports
/// writes that are not ordered.
fn model(release: fn(&IdSet, u32)) {
    let shared = Arc::new((IdSet::new(), array::from_fn(|_| UnsafeCell::new(0))));
    let visit = move |shared: &(IdSet, [UnsafeCell<u32>; 2])| {
        let id = shared.0.acquire().expect("two ids for two threads");
        assert!(id < 2, "ids are compact");
        // SAFETY: the id's owner is alone; loom checks just that.
        shared.1[id as usize].with_mut(|word| unsafe { *word += 1 });
        release(&shared.0, id);
    };
    let other = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || visit(&shared))
    };
    visit(&shared);
    other.join().unwrap();
    assert!(shared.0.is_empty());
}

#[test]
fn an_id_has_one_owner() {
    loom::model(|| model(IdSet::release));
}

/// The mutant frees every id, its own and the other's.
#[test]
fn an_id_that_is_freed_too_early_is_found() {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        loom::model(|| model(|ids, _| ids.clear()));
    }));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
}
