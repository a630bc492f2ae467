//! Ending lives while others get and put.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use percid::Ref;
use percid_rseq::membarrier;

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

/// When a thread that churns gives up waiting for the one that kills.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one thread does while others churn.
pub(super) trait Ending: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    fn new() -> Self;

    /// What is timed.
    fn end(&self);

    /// What the others use meanwhile.
    fn used(&self) -> &Ref;

    /// How often something ended, of so many times.
    fn ended(&self, times: u64) -> u64;
}

/// The implementation for the case `kill`.
pub(super) const fn of<E: Ending>() -> Timed {
    Timed {
        name: E::NAME,
        make: |threads| {
            Ok(Box::new(Scene {
                ending: E::new(),
                times: AtomicU64::new(0),
                turns: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            }))
        },
    }
}

struct Scene<E> {
    ending: E,
    times: AtomicU64,
    /// Runs that each thread has begun; the first thread's, ended.
    turns: Vec<AtomicU64>,
}

impl<E: Ending> Workload for Scene<E> {
    fn begin(&self) {}

    fn run(&self, thread: usize, rounds: u64) {
        // Ordering: Release and Acquire, so that churning ends after the last kill.
        if thread == 0 {
            for _ in 0..rounds * OPERATIONS {
                self.ending.end();
            }
            self.times.fetch_add(rounds * OPERATIONS, Ordering::Relaxed);
            self.turns[0].fetch_add(1, Ordering::Release);
            return;
        }
        let turn = self.turns[thread].fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        while self.turns[0].load(Ordering::Acquire) <= turn {
            for _ in 0..64 {
                drop(self.ending.used().try_get_live());
            }
            if start.elapsed() > PATIENCE {
                break;
            }
        }
    }

    fn check(&self, _: Done) -> Result<(), Error> {
        let times = self.times.load(Ordering::Relaxed);
        expect(E::NAME, self.ending.ended(times), times)
    }
}

static RELEASES: AtomicU64 = AtomicU64::new(0);

fn released() {
    RELEASES.fetch_add(1, Ordering::Relaxed);
}

/// A count, by cid or on one word.
pub(super) struct Killed<const ATOMIC: bool = false> {
    count: Ref,
    ended: AtomicU64,
}

impl<const ATOMIC: bool> Ending for Killed<ATOMIC> {
    const NAME: &'static str = if ATOMIC { "percid:atomic" } else { "percid" };

    fn new() -> Self {
        let count: Ref = Ref::new(released);
        if ATOMIC {
            // A count that was never used needs no fence, so this is not refused.
            let _ = count.switch_to_atomic();
        } else {
            count.get();
            count.put();
        }
        Killed {
            count,
            ended: AtomicU64::new(0),
        }
    }

    /// Until it is released, and then the next life.
    fn end(&self) {
        // Implementations take turns, so it is this one's releases.
        let before = RELEASES.load(Ordering::Relaxed);
        if self.count.kill().is_err() {
            return;
        }
        let mut looks = 0;
        while RELEASES.load(Ordering::Relaxed) == before {
            looks += 1;
            // Who holds it may wait for this CPU.
            if looks % 1024 == 0 {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        if self.count.reinit().is_ok() && RELEASES.load(Ordering::Relaxed) == before + 1 {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn used(&self) -> &Ref {
        &self.count
    }

    fn ended(&self, _: u64) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}

/// The fence that a kill cannot do without.
pub(super) struct Barrier {
    count: Ref,
}

impl Ending for Barrier {
    const NAME: &'static str = "barrier";

    fn new() -> Barrier {
        Barrier {
            count: Ref::new(released),
        }
    }

    fn end(&self) {
        // Refused in a sandbox, where its figure means nothing: nor does the kill's then.
        let _ = membarrier::fence();
    }

    fn used(&self) -> &Ref {
        &self.count
    }

    fn ended(&self, times: u64) -> u64 {
        times
    }
}
