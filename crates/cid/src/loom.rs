//! Every interleaving of the sets of ids, and of mutants that must fail.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p percid-cid --release --lib`

use std::array;
use std::panic::{self, AssertUnwindSafe};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use loom::sync::atomic::{AtomicU32, Ordering, fence};

use crate::domain::{Bitmap, Claim};
use crate::{IdSet, Limit};

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

/// Two threads claim an id of a domain, write what belongs to it, and free it. One
/// that is contended has lost to the other, and takes the fallback.
fn bitmap_model(taken: u32, clear: fn(&Bitmap<2>, u32)) {
    let ids = Bitmap::<2>::new();
    (0..taken).for_each(|cid| ids.set(cid));
    let shared = Arc::new((ids, array::from_fn(|_| UnsafeCell::new(0))));
    let visit = move |shared: &(Bitmap<2>, [UnsafeCell<u32>; 2])| {
        match shared.0.claim_lowest(taken + 2) {
            Claim::Id(cid) => {
                let word = &shared.1[(cid - taken) as usize];
                // SAFETY: the id's owner is alone; loom checks just that.
                word.with_mut(|word| unsafe { *word += 1 });
                clear(&shared.0, cid);
                true
            }
            Claim::Contended => false,
            Claim::Full => panic!("two ids for two threads"),
        }
    };
    let other = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || visit(&shared))
    };
    let mine = visit(&shared);
    let others = other.join().unwrap();
    assert!(mine || others, "somebody gets on");
    assert_eq!(shared.0.count(), taken);
}

#[test]
fn an_id_of_a_bitmap_has_one_owner() {
    loom::model(|| bitmap_model(0, Bitmap::clear));
}

/// One id in the first word, one in the second.
#[test]
fn an_id_across_words_has_one_owner() {
    loom::model(|| bitmap_model(63, Bitmap::clear));
}

/// The mutant frees every id, its own and the other's.
#[test]
fn a_bit_that_is_freed_too_early_is_found() {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        loom::model(|| bitmap_model(0, |ids, _| ids.clear_all()));
    }));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
}

/// The mutant frees its id without the order that hands over what was written.
#[test]
fn a_bit_that_is_freed_without_order_is_found() {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        loom::model(|| bitmap_model(0, Bitmap::clear_relaxed));
    }));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
}

/// Memory comes under a domain's limit while another thread raises the limit: whatever is
/// published then is open, whichever of them did it.
fn limit_model(announce: fn(&Limit, u32)) {
    struct Domain {
        limit: Limit,
        attached: AtomicU32,
        opened: AtomicU32,
    }

    let domain = Arc::new(Domain {
        limit: Limit::new(),
        attached: AtomicU32::new(0),
        opened: AtomicU32::new(0),
    });
    let raiser = {
        let domain = Arc::clone(&domain);
        thread::spawn(move || {
            announce(&domain.limit, 1);
            if domain.attached.load(Ordering::Acquire) == 1 {
                domain.opened.fetch_max(1, Ordering::Relaxed);
            }
            domain.limit.publish(1);
        })
    };
    domain.attached.store(1, Ordering::Release);
    fence(Ordering::SeqCst);
    let to = domain.limit.announced();
    domain.opened.fetch_max(to, Ordering::Relaxed);
    // From here on structures are handed out: a section may see the limit.
    if domain.limit.get() == 1 {
        assert_eq!(domain.opened.load(Ordering::Relaxed), 1, "a closed stripe");
    }
    raiser.join().unwrap();
    assert_eq!(domain.limit.get(), 1);
    assert_eq!(domain.opened.load(Ordering::Relaxed), 1, "a closed stripe");
}

#[test]
fn what_is_below_the_limit_is_open() {
    loom::model(|| limit_model(Limit::announce));
}

/// The mutant announces nothing: neither sees the other.
#[test]
fn a_limit_that_is_not_announced_is_found() {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        loom::model(|| limit_model(|_, _| ()));
    }));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
}
