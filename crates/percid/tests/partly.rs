//! A process in which some threads run sections and some cannot, or not now: totals
//! are exact, and the kernel is not asked again and again.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::sync::Barrier;

use percid::{Counter, Reason, Source, arena_stats, backend, prepare_unload};
use percid_rseq::testing::unregister_thread;
use support::{Fate, catch, in_child, without_libcs_areas};

static COUNTER: Counter = Counter::new();

const THREADS: u64 = 8;
const ADDS: u64 = 100_000;

/// Counts in threads, every other of which is `spoilt` before each add.
fn counts_exactly(spoil: impl Fn(u64) + Sync) {
    assert_eq!(COUNTER.take(), 0);
    let start = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, spoil) = (&start, &spoil);
            scope.spawn(move || {
                start.wait();
                for turn in 0..ADDS {
                    if thread % 2 == 0 {
                        spoil(turn);
                    }
                    COUNTER.inc();
                }
            });
        }
    });
    assert_eq!(COUNTER.take(), THREADS * ADDS);
    assert_eq!(COUNTER.sum(), 0);
}

/// Whether percid registers areas itself in this process; says why not.
fn percid_registers() -> bool {
    let registers = backend().reason == Reason::PercidRegisters;
    if !registers {
        println!("skipped: {}", backend().reason);
    }
    registers
}

/// An area that is not percid's, for the calling thread.
fn take_the_area() {
    #[repr(align(64))]
    struct Area(#[allow(dead_code, reason = "the kernel reads it")] [u32; 32]);
    let area = Box::leak(Box::new(Area([0; 32])));
    // SAFETY: memory for an area that lives as long as the process.
    let taken = unsafe { libc::syscall(libc::SYS_rseq, area, 32, 0, 0x1234_5678) };
    assert_eq!(taken, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn threads_that_a_sandbox_refuses() {
    let name = "threads_that_a_sandbox_refuses";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    for errno in [libc::ENOSYS, libc::EPERM, libc::EFAULT] {
        counts_exactly(|turn| {
            if turn == 0 {
                catch(&[libc::SYS_rseq], Fate::Errno(errno)).unwrap();
            }
        });
    }
    assert!(arena_stats().thread_stripes > 0, "nobody fell back");
}

/// Once it knows, a thread must not ask the kernel at each add: the question kills.
#[test]
fn threads_whose_area_is_somebody_elses() {
    let name = "threads_whose_area_is_somebody_elses";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    counts_exactly(|turn| match turn {
        0 => take_the_area(),
        1 => catch(&[libc::SYS_rseq], Fate::Death).unwrap(),
        _ => {}
    });
    assert!(arena_stats().thread_stripes > 0, "nobody fell back");
}

#[test]
fn threads_that_go_in_and_out() {
    let name = "threads_that_go_in_and_out";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    counts_exactly(|turn| match turn % 50 {
        0 => prepare_unload(),
        // SAFETY: nothing follows a pointer here.
        25 => drop(unsafe { unregister_thread() }),
        _ => {}
    });
}

#[test]
fn threads_that_lose_libcs_area_on_the_way() {
    if !in_child("threads_that_lose_libcs_area_on_the_way", |_| ()) {
        return;
    }
    counts_exactly(|turn| match turn {
        // SAFETY: nothing follows a pointer here.
        1000 => drop(unsafe { unregister_thread() }),
        2000.. if turn % 50 == 0 => prepare_unload(),
        _ => {}
    });
    if backend().source == Source::MmCid {
        let stats = arena_stats();
        assert!(stats.cid_stripes > 0, "{stats:?}");
    }
}

/// Leaving gives the stripe back as well, and a thread that ends gives back none.
#[test]
fn threads_that_leave_the_fallback() {
    let ask = |child: &mut std::process::Command| {
        child.env("PERCID_BACKEND", "fallback");
    };
    if !in_child("threads_that_leave_the_fallback", ask) {
        return;
    }
    for _ in 0..200 {
        let left = std::thread::spawn(|| {
            COUNTER.inc();
            prepare_unload();
            COUNTER.inc();
            prepare_unload();
        });
        left.join().unwrap();
    }
    assert_eq!(COUNTER.take(), 400);
    assert_eq!(arena_stats().thread_stripes, 1, "one after the other");
    counts_exactly(|turn| {
        if turn % 50 == 0 {
            prepare_unload();
        }
    });
}
