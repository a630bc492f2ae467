//! Runs side by side, with a bar for whoever watches.
//!
//! Each run is alone with its seed, so the order in which they end changes nothing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use percid_sim::{Report, Time};

use crate::progress;

/// How to do a run: what it is given is told of progress.
type Work<'a> = Box<dyn Fn(&mut dyn FnMut(u64)) -> Done + Sync + 'a>;

type Done = Result<Report, percid_sim::Error>;

/// A run: what is shown of it, how much it is, and how to do it.
pub(super) struct Job<'a> {
    pub(super) name: String,
    pub(super) weight: u64,
    pub(super) run: Work<'a>,
}

/// Does all of them; the reports come in the order of the jobs.
///
/// # Errors
///
/// The first one's, in that order.
pub(super) fn run(jobs: &[Job<'_>]) -> Result<Vec<Report>, percid_sim::Error> {
    let bar = progress::bar(jobs.iter().map(|job| job.weight).sum(), 28);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |all| all.get());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    // Ordering: Relaxed. A ticket; results go through the mutex.
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(number) else {
                        break;
                    };
                    bar.set_message(job.name.clone());
                    let report = (job.run)(&mut |passed| bar.inc(passed));
                    if let Ok(mut done) = done.lock() {
                        done.push((number, report));
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, report)| report).collect()
}

/// How much of a bar simulated time is.
pub(super) fn weight(time: Time, cpus: u32) -> u64 {
    (time / 1_000_000).max(1) * u64::from(cpus)
}
