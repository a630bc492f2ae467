//! A process in which some threads run sections and some cannot, or not now.

use std::sync::Barrier;
use std::sync::atomic::AtomicU64;

use percid_rseq::{enter_thread, portable, prepare_unload, testing};

use crate::child::{in_child, without_libcs_areas};
use crate::host::{Stripes, has_mm_cid, percid_registers};
use crate::seccomp::{Fate, catch};

const THREADS: usize = 8;
const ADDS: u64 = 200_000;

/// Adds in a section, or as the fallback does, on a word of its own.
fn add(stripes: &Stripes, fallback: &AtomicU64) {
    use percid_rseq::Refusal::{Aborted, NotRegistered};
    match stripes.increment() {
        Ok(()) => {}
        Err(Aborted | NotRegistered) => portable::add(fallback, 1),
        Err(other) => panic!("{other}"),
    }
}

/// Half of the threads are `spoilt` before each add; all adds must be there.
fn counts_exactly(spoil: impl Fn(u64) + Sync) {
    let (stripes, fallback) = (Stripes::new(), AtomicU64::new(0));
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (stripes, fallback) = (&stripes, &fallback);
            let (spoil, start) = (&spoil, &start);
            scope.spawn(move || {
                start.wait();
                for turn in 0..ADDS {
                    if thread % 2 == 0 {
                        spoil(turn);
                    }
                    add(stripes, fallback);
                }
            });
        }
    });
    let (sections, others) = (stripes.sum(), portable::load(&fallback));
    assert_eq!(sections + others, THREADS as u64 * ADDS);
    assert!(sections > 0, "nobody ran sections");
    assert!(others > 0, "nobody fell back");
}

#[test]
fn threads_lose_their_area() {
    if !in_child("partly::threads_lose_their_area", |_| ()) || !has_mm_cid() {
        return;
    }
    counts_exactly(|turn| {
        if turn == ADDS / 4 {
            // SAFETY: nothing follows a pointer here.
            assert!(unsafe { testing::unregister_thread() });
        }
    });
}

#[test]
fn threads_are_refused_from_the_start() {
    let name = "partly::threads_are_refused_from_the_start";
    if !in_child(name, without_libcs_areas) || !percid_registers() || !has_mm_cid() {
        return;
    }
    counts_exactly(|turn| {
        if turn == 0 {
            catch(&[libc::SYS_rseq], Fate::Errno(libc::ENOSYS)).unwrap();
        }
    });
}

/// Threads that leave and come back all the time; some are refused when they do.
#[test]
fn threads_go_in_and_out() {
    let name = "partly::threads_go_in_and_out";
    if !in_child(name, without_libcs_areas) || !percid_registers() || !has_mm_cid() {
        return;
    }
    counts_exactly(|turn| match turn % 64 {
        _ if turn == ADDS / 2 => {
            prepare_unload();
            catch(&[libc::SYS_rseq], Fate::Errno(libc::EPERM)).unwrap();
        }
        0 => prepare_unload(),
        // SAFETY: nothing follows a pointer here.
        16 => drop(unsafe { testing::unregister_thread() }),
        32 => drop(enter_thread()),
        _ => {}
    });
}
