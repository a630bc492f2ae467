//! Every interleaving of the parts that need no section, and of mutants that must fail.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p percid-shootdown --release --lib`

mod behind;
mod handles;
mod references;

use std::panic::{self, AssertUnwindSafe};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::fork_lock::ForkLock;
use crate::{Barriers, counted};

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

/// What a grace period does around counted readers, by its orderings.
#[derive(Clone, Copy)]
struct Period {
    /// Of the choice of a phase.
    choice: Ordering,
    fenced: bool,
    is_left: fn(&AtomicU64) -> bool,
}

const PERIOD: Period = Period {
    choice: Ordering::Release,
    fenced: true,
    is_left: counted::is_left,
};

/// A reader that counts itself, and what grace periods do around it: loom reports a read
/// of an object that is not ordered before its end. Two grace periods: one that comes to its
/// count too late for the first is in the old phase of none, and must not be missed by the
/// second.
fn counted(raise: Raise, lower: fn(&AtomicU64), period: Period) {
    let shared = Arc::new(Readers {
        phase: AtomicU64::new(0),
        counts: [AtomicU64::new(0), AtomicU64::new(0)],
        cell: AtomicU64::new(0),
        objects: [(); 3].map(|()| UnsafeCell::new(7)),
    });
    let reader = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let count = raise(&shared);
            let found = shared.cell.load(Ordering::Acquire) as usize;
            // SAFETY: loom checks just that.
            assert_eq!(shared.objects[found].with(|one| unsafe { *one }), 7);
            lower(&shared.counts[count]);
        })
    };
    for old in 0..2 {
        shared.cell.store(old + 1, Ordering::Release);
        shared.phase.store(1 - old, period.choice);
        if period.fenced {
            loom::sync::atomic::fence(Ordering::SeqCst);
        }
        while !(period.is_left)(&shared.counts[old as usize]) {
            thread::yield_now();
        }
        // SAFETY: as above.
        shared.objects[old as usize].with_mut(|one| unsafe { *one = 0 });
    }
    reader.join().unwrap();
}

struct Readers {
    phase: AtomicU64,
    counts: [AtomicU64; 2],
    cell: AtomicU64,
    objects: [UnsafeCell<u64>; 3],
}

/// Returns which count was raised.
type Raise = fn(&Readers) -> usize;

fn raise(readers: &Readers) -> usize {
    let raised = counted::raise(&readers.phase, |phase| &readers.counts[phase as usize]);
    usize::from(std::ptr::eq(raised, &raw const readers.counts[1]))
}

#[test]
fn a_counted_reader_is_waited_for() {
    loom::model(|| counted(raise, counted::lower, PERIOD));
}

/// The mutant does not look at the phase again.
#[test]
fn a_reader_that_does_not_look_again_is_found() {
    let mutant: Raise = |readers| {
        let phase = readers.phase.load(Ordering::Acquire) as usize;
        readers.counts[phase].fetch_add(1, Ordering::Relaxed);
        loom::sync::atomic::fence(Ordering::SeqCst);
        phase
    };
    found(move || counted(mutant, counted::lower, PERIOD));
}

/// The mutant looks again without a fence.
#[test]
fn a_reader_without_a_fence_is_found() {
    let mutant: Raise = |readers| {
        loop {
            let phase = readers.phase.load(Ordering::Acquire) as usize;
            readers.counts[phase].fetch_add(1, Ordering::Relaxed);
            if readers.phase.load(Ordering::Acquire) as usize == phase {
                return phase;
            }
            counted::lower(&readers.counts[phase]);
        }
    };
    found(move || counted(mutant, counted::lower, PERIOD));
}

/// The mutant leaves without release ordering.
#[test]
fn a_reader_that_leaves_early_is_found() {
    found(|| {
        let lower = |count: &AtomicU64| {
            count.fetch_sub(1, Ordering::Relaxed);
        };
        counted(raise, lower, PERIOD);
    });
}

/// The mutant's second look is not an acquire.
#[test]
fn a_second_look_that_acquires_nothing_is_found() {
    let mutant: Raise = |readers| {
        loop {
            let phase = readers.phase.load(Ordering::Acquire) as usize;
            readers.counts[phase].fetch_add(1, Ordering::Relaxed);
            loom::sync::atomic::fence(Ordering::SeqCst);
            if readers.phase.load(Ordering::Relaxed) as usize == phase {
                return phase;
            }
            counted::lower(&readers.counts[phase]);
        }
    };
    found(move || counted(mutant, counted::lower, PERIOD));
}

/// The mutant looks at the count without acquiring what was done under it.
#[test]
fn a_count_that_is_not_acquired_is_found() {
    let is_left = |count: &AtomicU64| count.load(Ordering::Relaxed) == 0;
    found(move || counted(raise, counted::lower, Period { is_left, ..PERIOD }));
}

/// The mutant does not fence between the choice and the look.
#[test]
fn a_choice_without_a_fence_is_found() {
    let fenced = false;
    found(move || counted(raise, counted::lower, Period { fenced, ..PERIOD }));
}

/// The mutant chooses without releasing what was unlinked.
#[test]
fn a_choice_that_is_not_released_is_found() {
    let choice = Ordering::Relaxed;
    found(move || counted(raise, counted::lower, Period { choice, ..PERIOD }));
}

/// A reader of a cell of copies that counts itself, the first there ever was, and a writer,
/// who asks for counts only if there was one.
fn copied(seen_first: bool, fenced: bool) {
    let shared = Arc::new((
        AtomicU64::new(0),
        AtomicU64::new(0),
        AtomicU64::new(0),
        [(); 2].map(|()| UnsafeCell::new(7)),
    ));
    let reader = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (seen, count, cell, blocks) = &*shared;
            if seen_first {
                seen.store(1, Ordering::Relaxed);
            }
            count.fetch_add(1, Ordering::Relaxed);
            loom::sync::atomic::fence(Ordering::SeqCst);
            if !seen_first {
                seen.store(1, Ordering::Relaxed);
            }
            let found = cell.load(Ordering::Acquire) as usize;
            // SAFETY: loom checks just that.
            assert_eq!(blocks[found].with(|block| unsafe { *block }), 7);
            counted::lower(count);
        })
    };
    let (seen, count, cell, blocks) = &*shared;
    cell.swap(1, Ordering::AcqRel);
    if fenced {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
    if seen.load(Ordering::Relaxed) == 1 {
        while !counted::is_left(count) {
            thread::yield_now();
        }
    }
    // SAFETY: as above.
    blocks[0].with_mut(|block| unsafe { *block = 0 });
    reader.join().unwrap();
}

#[test]
fn a_counted_reader_of_copies_is_seen() {
    loom::model(|| copied(true, true));
}

/// The mutant says too late that there are counts.
#[test]
fn a_reader_of_copies_that_is_seen_late_is_found() {
    found(|| copied(false, true));
}

/// The mutant asks whether there are counts before others see what it replaced.
#[test]
fn a_writer_of_copies_without_a_fence_is_found() {
    found(|| copied(true, false));
}

/// A number that loom watches.
struct Watched(UnsafeCell<u64>);

impl Default for Watched {
    fn default() -> Watched {
        Watched(UnsafeCell::new(0))
    }
}

/// Two threads change what a lock guards.
#[test]
fn a_lock_has_one_holder() {
    loom::model(|| {
        let lock = Arc::new(ForkLock::new(Watched::default()));
        let change = |lock: &ForkLock<Watched>| {
            // SAFETY: loom checks just that.
            lock.lock().0.with_mut(|number| unsafe { *number += 1 });
        };
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || change(&lock))
        };
        change(&lock);
        other.join().unwrap();
        // SAFETY: as above.
        assert_eq!(lock.lock().0.with(|number| unsafe { *number }), 2);
    });
}
