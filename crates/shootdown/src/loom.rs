//! Every interleaving of the parts that need no section, and of mutants that must fail.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p percid-shootdown --release --lib`

use std::panic::{self, AssertUnwindSafe};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::Barriers;

/// The mutant that `model` is must fail.
#[track_caller]
fn found(model: impl Fn() + Sync + Send + 'static) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| loom::model(model)));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
}

/// Two threads each unlink something and wait for a fence. The kernel's fence is a look
/// at what is unlinked: what it saw is what readers see after it.
fn barriers(wait: fn(&Barriers, &Shared, usize)) {
    let shared = Arc::new((Barriers::new(), Shared::default()));
    let run = move |shared: &(Barriers, Shared), which: usize| {
        let (barriers, memory) = shared;
        memory.unlinked[which].store(1, Ordering::Relaxed);
        wait(barriers, memory, which);
        assert_eq!(
            memory.seen[which].load(Ordering::Relaxed),
            1,
            "served by a fence that has not seen what was unlinked"
        );
    };
    let other = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || run(&shared, 1))
    };
    run(&shared, 0);
    other.join().unwrap();
}

#[derive(Default)]
struct Shared {
    unlinked: [AtomicU64; 2],
    seen: [AtomicU64; 2],
}

/// The kernel's fence: what every reader sees from here on.
fn kernel(memory: &Shared) -> Result<(), ()> {
    loom::sync::atomic::fence(Ordering::SeqCst);
    for (unlinked, seen) in memory.unlinked.iter().zip(&memory.seen) {
        if unlinked.load(Ordering::Relaxed) == 1 {
            seen.store(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

#[test]
fn a_fence_serves_what_came_before_it() {
    loom::model(|| {
        barriers(|barriers, memory, _| {
            let point = barriers.point();
            barriers.wait_or_make(point, || kernel(memory)).unwrap();
        });
    });
}

/// The mutant takes its point before it unlinks.
#[test]
fn a_point_that_is_too_early_is_found() {
    found(|| {
        let shared = Arc::new((Barriers::new(), Shared::default()));
        let point = shared.0.point();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let point = shared.0.point();
                shared.0.wait_or_make(point, || kernel(&shared.1)).unwrap();
            })
        };
        shared.1.unlinked[0].store(1, Ordering::Relaxed);
        shared.0.wait_or_make(point, || kernel(&shared.1)).unwrap();
        assert_eq!(shared.1.seen[0].load(Ordering::Relaxed), 1);
        other.join().unwrap();
    });
}

/// The mutant is served by a fence that has begun, whether it has ended or not.
#[test]
fn a_fence_that_has_not_ended_is_found() {
    found(|| {
        barriers(|barriers, memory, _| {
            let point = barriers.point();
            if barriers.point() == point {
                barriers.wait_or_make(point, || kernel(memory)).unwrap();
            }
        });
    });
}
