//! One cell of the matrix.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use percid_rseq::inject::{aborts, disarm, set_delay};
use percid_rseq::section::retry;
use percid_rseq::{Refusal, enter_thread};

use crate::disturbance::{self, Disturbance};
use crate::stripes::By;

/// Workers of a cell.
pub(crate) const THREADS: usize = 4;

/// Rounds that a section spins at its point.
const DELAY: u32 = 1_500;

/// One operation at work, on stripes of its own.
pub(crate) trait Workload: Sync {
    /// Does one step; a refusal has changed nothing.
    fn step(&self, thread: usize, turn: u64, held: &mut Held) -> Result<(), Refusal>;

    /// Whether everything is where it belongs, or what is not.
    fn is_exact(&self, held: &[Held]) -> Result<(), String>;
}

/// What a thread has in hand.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) steps: u64,
    pub(crate) units: u64,
    pub(crate) tokens: Vec<u64>,
}

/// Makes a workload.
pub(crate) type Make = fn(By) -> Box<dyn Workload>;

/// How long a cell goes on.
pub(crate) struct Effort {
    /// Steps that it takes at the least.
    steps: u64,
    /// Aborts inside sections, or claims that were met, that it waits for, where a delay
    /// opens them.
    aborts: u64,
    /// When it gives up waiting.
    patience: Duration,
}

impl Effort {
    pub(crate) const QUICK: Effort = Effort {
        steps: 2_000,
        aborts: 3,
        patience: Duration::from_secs(20),
    };
    pub(crate) const FULL: Effort = Effort {
        steps: 50_000,
        aborts: 100,
        patience: Duration::from_secs(120),
    };
}

/// An operation, an index, a disturbance and a point; point 0 is no delay.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) operation: &'static str,
    pub(crate) make: Make,
    pub(crate) by: By,
    pub(crate) disturbance: Disturbance,
    pub(crate) point: usize,
}

/// What happened in a cell.
pub(crate) struct Seen {
    pub(crate) steps: u64,
    pub(crate) aborts: u64,
}

/// Delays, aborts and the timer are the process's: one cell at a time.
static ALONE: Mutex<()> = Mutex::new(());

impl Cell {
    /// Runs the cell and checks it.
    pub(crate) fn run(&self, effort: &Effort) -> Seen {
        let _alone = ALONE.lock();
        let (seen, exact) = self.run_and_check(effort);
        let Cell {
            operation,
            by,
            disturbance,
            point,
            ..
        } = self;
        let name = format!("{operation}, by {by:?}, {disturbance:?}, point {point}");
        if let Err(what) = exact {
            panic!(
                "{name}: {what}, after {} steps and {} aborts",
                seen.steps, seen.aborts
            );
        }
        let proven = *point == 0 || seen.aborts >= effort.aborts;
        assert!(
            proven,
            "{name}: {} aborts in {} steps",
            seen.aborts, seen.steps
        );
        seen
    }

    /// Whether the cell is exact although its sections are not protected.
    pub(crate) fn holds_unprotected(&self) -> bool {
        let effort = Effort {
            steps: 20_000,
            aborts: 0,
            patience: Duration::from_secs(10),
        };
        let _alone = ALONE.lock();
        disarm(true);
        // All on one CPU, where they get in each other's way on any machine.
        let on_one_cpu = || {
            disturbance::stay_on_this_cpu();
            self.run_and_check(&effort).1.is_ok()
        };
        let exact = std::thread::scope(|scope| scope.spawn(on_one_cpu).join());
        disarm(false);
        exact.unwrap_or(false)
    }

    fn run_and_check(&self, effort: &Effort) -> (Seen, Result<(), String>) {
        disturbance::handle_signals();
        disturbance::block_signals();
        let workload = (self.make)(self.by);
        if self.point > 0 {
            set_delay(self.point, DELAY);
        }
        let before = aborts();
        let enough = |steps: u64, start: Instant| {
            let aborted = self.point == 0 || aborts() - before >= effort.aborts;
            steps >= effort.steps && aborted || start.elapsed() > effort.patience
        };
        let held = self.workers(&*workload, enough);
        let seen = Seen {
            steps: held.iter().map(|held| held.steps).sum(),
            aborts: aborts() - before,
        };
        if self.point > 0 {
            set_delay(self.point, 0);
        }
        (seen, workload.is_exact(&held))
    }

    fn workers(
        &self,
        workload: &dyn Workload,
        enough: impl Fn(u64, Instant) -> bool + Sync,
    ) -> Vec<Held> {
        let start = Instant::now();
        let steps = AtomicU64::new(0);
        let done = AtomicBool::new(false);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (sender, steps, done, enough) = (sender.clone(), &steps, &done, &enough);
                    scope.spawn(move || {
                        unblock_timer();
                        self.disturbance.place(thread);
                        sender.send(disturbance::thread_id()).unwrap();
                        if self.by != By::Thread {
                            enter_thread().unwrap();
                        }
                        let mut held = Held::default();
                        while !done.load(Ordering::Relaxed) {
                            let turn = held.steps;
                            match retry(|| workload.step(thread, turn, &mut held)) {
                                // A step that keeps being aborted is tried again, like
                                // any other.
                                Ok(()) | Err(Refusal::Aborted) => held.steps += 1,
                                Err(refusal) => panic!("{refusal}"),
                            }
                            if steps.fetch_add(1, Ordering::Relaxed) % 64 == 0
                                && enough(steps.load(Ordering::Relaxed), start)
                            {
                                done.store(true, Ordering::Relaxed);
                            }
                        }
                        held
                    })
                })
                .collect();
            for rival in 0..self.disturbance.rivals() {
                let done = &done;
                scope.spawn(move || {
                    self.disturbance.place(rival);
                    disturbance::rival(done);
                });
            }
            let threads: Vec<i32> = receiver.iter().take(THREADS).collect();
            let done = &done;
            scope.spawn(move || self.disturbance.disturb(&threads, done));
            let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            done.store(true, Ordering::Relaxed);
            outcomes
                .into_iter()
                .map(|outcome| outcome.expect("a worker failed"))
                .collect()
        })
    }
}

/// The timer's signal is for the workers.
fn unblock_timer() {
    // SAFETY: zeroed is a valid place for a set, which is filled before its use.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGALRM);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}
