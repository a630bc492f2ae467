//! Readers in the sections of a domain.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use percid_shootdown::ReclaimDomain;

use crate::disturbance::{disturb, handle, thread_id};
use crate::{Run, cpus};

const ALIVE: u64 = 1;
const GOING: u64 = 2;
const POISON: u64 = 3;

const OBJECTS: usize = 1 << 12;

static DOMAIN: ReclaimDomain = ReclaimDomain::new();

/// The object that readers find.
static CURRENT: AtomicU64 = AtomicU64::new(0);

static OBJECT: [AtomicU64; OBJECTS] = [const { AtomicU64::new(ALIVE) }; OBJECTS];

/// What handlers have found.
static HANDLED: AtomicU64 = AtomicU64::new(0);
static BAD_IN_HANDLER: AtomicBool = AtomicBool::new(false);

/// The number is an address that nobody follows.
unsafe fn poison(object: *mut u8) {
    OBJECT[object.addr() - 1].store(POISON, Ordering::Relaxed);
}

/// Reads under a guard, and holds it for a while.
fn read(guards: u64, patience: u64) -> bool {
    let guards: Vec<_> = (0..guards).map(|_| DOMAIN.enter()).collect();
    let found = CURRENT.load(Ordering::Acquire) as usize;
    for _ in 0..patience {
        std::hint::spin_loop();
    }
    let is_alive = OBJECT[found].load(Ordering::Relaxed) != POISON;
    drop(guards);
    is_alive
}

/// Reads in a handler, which may have interrupted a section, a slow path, or another read.
extern "C" fn read_in_handler(_: i32) {
    let guard = DOMAIN.enter();
    let found = CURRENT.load(Ordering::Acquire) as usize;
    if OBJECT[found].load(Ordering::Relaxed) == POISON {
        BAD_IN_HANDLER.store(true, Ordering::Relaxed);
    }
    drop(guard);
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn sections_hold_what_they_found() {
    handle(libc::SIGUSR2, read_in_handler);
    let run = Run::default();
    let (sender, receiver) = mpsc::channel();
    let readers = cpus().len().min(4) as u64 + 2;
    std::thread::scope(|scope| {
        for reader in 0..readers {
            let (run, sender) = (&run, sender.clone());
            scope.spawn(move || {
                let _ = sender.send(thread_id());
                let mut turn = reader;
                while !run.is_done() {
                    turn += 1;
                    // Also more guards than there are seats, and guards that stay.
                    let guards = if turn % 97 == 0 { 12 } else { 1 };
                    let patience = if turn % 31 == 0 {
                        20_000
                    } else {
                        turn % 7 * 10
                    };
                    run.note(read(guards, patience));
                }
            });
        }
        let threads: Vec<i32> = receiver.iter().take(readers as usize).collect();
        let run = &run;
        scope.spawn(move || disturb(run, &threads, libc::SIGUSR2));
        run.write(false, |turn| {
            let old = turn as usize % OBJECTS;
            let new = (old + 1) % OBJECTS;
            if OBJECT[new].load(Ordering::Relaxed) == GOING {
                // All are on their way: what waits for readers must not be linked again.
                DOMAIN.barrier();
            }
            OBJECT[new].store(ALIVE, Ordering::Relaxed);
            CURRENT.store(new as u64, Ordering::Release);
            OBJECT[old].store(GOING, Ordering::Relaxed);
            let address = std::ptr::without_provenance_mut(1 + old);
            // SAFETY: unlinked, once; poisoning may be done by any thread.
            unsafe { DOMAIN.retire_with(address, poison) };
            // So that readers see many grace periods.
            match turn % 4 {
                0 => DOMAIN.synchronize(),
                1 => DOMAIN.flush(),
                _ => {}
            }
        });
    });
    DOMAIN.barrier();
    let stats = DOMAIN.stats();
    assert_eq!((stats.unfreed, stats.holding), (0, 0));
    assert!(!BAD_IN_HANDLER.load(Ordering::Relaxed), "in a handler");
    println!(
        "{} grace periods, {} reads in handlers",
        stats.grace_periods,
        HANDLED.load(Ordering::Relaxed)
    );
    run.check("sections", false);
}
