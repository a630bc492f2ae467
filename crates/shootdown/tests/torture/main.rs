//! Readers under timers, signals and migrations, while what they read is replaced and
//! poisoned; and the same with a protection taken away, which must show.
//!
//! Nothing is really freed: an object that goes is poisoned, and a reader that finds poison
//! has read it too late. So the controls, whose reads *are* too late, harm nobody.
#![cfg(target_os = "linux")]

mod copies;
mod disturbance;
mod leases;
mod seats;
mod sections;
mod slots;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use percid_rseq::membarrier::{self, BarrierError};
use percid_shootdown::Barriers;

/// Replacements that a sound protocol goes through.
const TURNS: u64 = 3_000;

/// How long it goes on at the most: a machine may be busy with something else.
const LONG: Duration = Duration::from_secs(4);

/// How long a control is given to show a bad read. It takes milliseconds; but a control
/// that shows none proves nothing, so it is given time on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a writer does between replacing an object and poisoning the old one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fence {
    /// The one of the library.
    Rseq,
    /// A full barrier on every CPU that does not restart sections.
    Memory,
    None,
}

impl Fence {
    fn make(self) -> Result<(), BarrierError> {
        match self {
            Fence::Rseq => {
                let barriers = Barriers::process();
                barriers.wait_for_one_that_started_after(barriers.point())
            }
            Fence::Memory => membarrier::heavy_barrier(),
            Fence::None => Ok(()),
        }
    }
}

/// A run: how far it has come, and what was found.
#[derive(Default)]
struct Run {
    done: AtomicBool,
    reads: AtomicU64,
    bad: AtomicU64,
}

impl Run {
    // Ordering: Relaxed, all: numbers, and a flag that is polled.
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    fn note(&self, is_good: bool) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if !is_good {
            self.bad.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn bad(&self) -> u64 {
        self.bad.load(Ordering::Relaxed)
    }

    /// Replaces until enough was done, or something bad was found; ends the run in any case.
    fn write(&self, is_control: bool, mut turn: impl FnMut(u64)) {
        /// Also if it panics: readers must not go on for ever.
        struct End<'a>(&'a Run);

        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.done.store(true, Ordering::Relaxed);
            }
        }

        let _end = End(self);
        let start = Instant::now();
        let (turns, time) = match is_control {
            true => (u64::MAX, PATIENCE),
            false => (TURNS, LONG),
        };
        for number in 0..turns {
            if self.bad() > 0 || start.elapsed() > time {
                break;
            }
            turn(number);
        }
    }

    #[track_caller]
    fn check(self, name: &str, is_control: bool) {
        let (reads, bad) = (self.reads.into_inner(), self.bad.into_inner());
        println!("{name}: {reads} reads, {bad} bad");
        if is_control {
            assert!(bad > 0, "{name}: no bad read, so the test proves nothing");
        } else {
            assert_eq!(bad, 0, "{name}: objects were read after their end");
        }
    }
}

/// CPUs that this process may use.
fn cpus() -> Vec<usize> {
    disturbance::allowed_cpus()
}
