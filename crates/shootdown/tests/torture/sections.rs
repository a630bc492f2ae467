//! Readers in the sections of a domain.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use percid::{Domain, Process, Scope};
use percid_shootdown::ReclaimDomain;

use crate::disturbance::{disturb, handle, thread_id};
use crate::{Run, cpus};

const ALIVE: u64 = 1;
const GOING: u64 = 2;
const POISON: u64 = 3;

const OBJECTS: usize = 1 << 12;

/// A domain, and what its readers find.
struct Stage<S: Scope> {
    domain: ReclaimDomain<S>,
    /// The number of the object that readers find.
    current: AtomicU64,
    objects: Box<[AtomicU64]>,
    /// What handlers have found.
    handled: AtomicU64,
    bad_in_handler: AtomicBool,
}

static PROCESS: LazyLock<Stage<Process>> = LazyLock::new(|| Stage::new(ReclaimDomain::new()));

static SCOPED: LazyLock<Stage<Domain>> = LazyLock::new(|| {
    let ids = Domain::builder().period(Duration::from_millis(5)).build();
    let domain = ReclaimDomain::in_domain(&ids.expect("a domain"));
    Stage::new(domain.expect("memory"))
});

/// What is retired is the address of an object's word.
unsafe fn poison(object: *mut u8) {
    // SAFETY: a word of a stage, which stays.
    unsafe { AtomicU64::from_ptr(object.cast()) }.store(POISON, Ordering::Relaxed);
}

/// Reads in a handler, which may have interrupted a section, a slow path, or another read.
extern "C" fn read_in_handler(_: i32) {
    PROCESS.read_in_handler();
    SCOPED.read_in_handler();
}

impl<S: Scope> Stage<S> {
    fn new(domain: ReclaimDomain<S>) -> Stage<S> {
        Stage {
            domain,
            current: AtomicU64::new(0),
            objects: (0..OBJECTS).map(|_| AtomicU64::new(ALIVE)).collect(),
            handled: AtomicU64::new(0),
            bad_in_handler: AtomicBool::new(false),
        }
    }

    /// Reads under a guard, and holds it for a while.
    fn read(&self, guards: u64, patience: u64) -> bool {
        let guards: Vec<_> = (0..guards).map(|_| self.domain.enter()).collect();
        let found = self.current.load(Ordering::Acquire) as usize;
        for _ in 0..patience {
            std::hint::spin_loop();
        }
        let is_alive = self.objects[found].load(Ordering::Relaxed) != POISON;
        drop(guards);
        is_alive
    }

    fn read_in_handler(&self) {
        let guard = self.domain.enter();
        let found = self.current.load(Ordering::Acquire) as usize;
        if self.objects[found].load(Ordering::Relaxed) == POISON {
            self.bad_in_handler.store(true, Ordering::Relaxed);
        }
        drop(guard);
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    fn hold_what_they_found(&self, name: &str) {
        let Stage {
            domain,
            current,
            objects,
            ..
        } = self;
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
                        run.note(self.read(guards, patience));
                    }
                });
            }
            let threads: Vec<i32> = receiver.iter().take(readers as usize).collect();
            let run = &run;
            scope.spawn(move || disturb(run, &threads, libc::SIGUSR2));
            run.write(false, |turn| {
                let old = turn as usize % OBJECTS;
                let new = (old + 1) % OBJECTS;
                if objects[new].load(Ordering::Relaxed) == GOING {
                    // All are on their way: what waits for readers must not be linked again.
                    domain.barrier();
                }
                objects[new].store(ALIVE, Ordering::Relaxed);
                current.store(new as u64, Ordering::Release);
                objects[old].store(GOING, Ordering::Relaxed);
                let address = objects[old].as_ptr().cast();
                // SAFETY: unlinked, once; poisoning may be done by any thread.
                unsafe { domain.retire_with(address, poison) };
                // So that readers see many grace periods.
                match turn % 4 {
                    0 => domain.synchronize(),
                    1 => domain.flush(),
                    _ => {}
                }
            });
        });
        domain.barrier();
        let stats = domain.stats();
        assert_eq!((stats.unfreed, stats.holding), (0, 0));
        assert!(!self.bad_in_handler.load(Ordering::Relaxed), "in a handler");
        println!(
            "{} grace periods, {} reads in handlers",
            stats.grace_periods,
            self.handled.load(Ordering::Relaxed)
        );
        run.check(name, false);
    }
}

/// One stage after the other: a signal has one handler, which reads on both.
#[test]
fn sections_hold_what_they_found() {
    LazyLock::force(&PROCESS);
    LazyLock::force(&SCOPED);
    handle(libc::SIGUSR2, read_in_handler);
    PROCESS.hold_what_they_found("sections");
    SCOPED.hold_what_they_found("sections in a domain");
}
