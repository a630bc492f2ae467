//! Verified first, then timed in turns.
//!
//! What a machine gives changes from one second to the next, so figures from
//! different times do not compare. Here every repetition runs every
//! implementation once, in an order that rotates, and a ratio is of medians over
//! the same repetitions. All that was done while timing is verified again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Error;
use crate::suite::{Done, OPERATIONS, Timed, Who, Workload};
use crate::team::{Member, together};

/// Rounds by which each thread shows that it counts right.
const VERIFIED: u64 = 4096;

/// Rounds before timing on a thread: the first use of anything is slow.
const WARM: u64 = 64;

/// Times that a number of rounds is tried, to find how long it takes.
const TRIES: u32 = 3;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Times that each implementation is timed.
    pub repetitions: u32,
    /// About how long each time.
    pub run: Duration,
    /// Processes for each implementation that takes one of its own.
    pub processes: u32,
}

impl Effort {
    /// For figures to keep.
    pub const FULL: Effort = Effort {
        repetitions: 31,
        run: Duration::from_millis(4),
        processes: 5,
    };
    /// For a first look.
    pub const QUICK: Effort = Effort {
        repetitions: 9,
        run: Duration::from_millis(4),
        processes: 3,
    };
}

/// An implementation that has been set up and verified.
pub struct Entrant {
    /// Its name.
    pub name: &'static str,
    workload: Box<dyn Workload>,
    done: Done,
}

impl Entrant {
    /// Sets an implementation up, lets every thread use it, all at the same time,
    /// and verifies what comes out.
    ///
    /// # Errors
    ///
    /// If it cannot be set up or is wrong.
    pub fn verified(implementation: &Timed, threads: usize) -> Result<Entrant, Error> {
        let mut entrant = Entrant {
            name: implementation.name,
            workload: (implementation.make)(threads)?,
            done: Done::default(),
        };
        let work = |member: &Member<'_>| {
            entrant.workload.enter(member.number);
            member.wait()?;
            entrant.workload.run(member.number, VERIFIED);
            Ok(VERIFIED)
        };
        let rounds = together(threads, work, work)?;
        entrant.has_done(rounds.into_iter())?;
        Ok(entrant)
    }

    /// Takes note of the rounds that each thread of a team has run, and verifies
    /// the whole.
    fn has_done(&mut self, rounds: impl ExactSizeIterator<Item = u64>) -> Result<(), Error> {
        self.done.entered += rounds.len() as u64;
        self.done.operations += rounds.sum::<u64>() * OPERATIONS;
        self.workload.check(self.done)
    }

    /// The mean time that a thread takes for so many rounds, once.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started or the result is wrong.
    pub fn time_once(&mut self, threads: usize, who: Who, rounds: u64) -> Result<Duration, Error> {
        let work = |member: &Member<'_>| {
            let mut thread = Thread::new(member, who, &*self.workload)?;
            let time = thread.run(rounds)?;
            Ok((time, thread.rounds))
        };
        let threads = together(threads, work, work)?;
        self.has_done(threads.iter().map(|&(_, rounds)| rounds))?;
        let times: Vec<Duration> = threads.iter().filter_map(|&(time, _)| time).collect();
        Ok(times.iter().sum::<Duration>() / times.len().max(1) as u32)
    }
}

/// Times all entrants in turns: for each of them, nanoseconds per operation and
/// thread, one figure per repetition. Calls `step` after each.
///
/// # Errors
///
/// If a thread cannot be started or a result is wrong.
pub fn in_turns(
    entrants: &mut [Entrant],
    threads: usize,
    who: Who,
    effort: &Effort,
    step: &mut dyn FnMut(),
) -> Result<Vec<Vec<f64>>, Error> {
    let race = Race {
        entrants,
        who,
        effort,
        next: AtomicU64::new(0),
        last: AtomicBool::new(false),
    };
    let laps = together(
        threads,
        |member| race.work(member, step),
        |member| race.work(member, &mut || {}),
    )?;
    for (number, entrant) in entrants.iter_mut().enumerate() {
        entrant.has_done(laps.iter().map(|thread| thread[number].rounds))?;
    }
    let mean = |number: usize, repetition: usize| {
        let times: Vec<f64> = laps
            .iter()
            .filter_map(|thread| thread[number].times.get(repetition).copied())
            .collect();
        times.iter().sum::<f64>() / times.len() as f64
    };
    let repetitions = effort.repetitions as usize;
    Ok((0..entrants.len())
        .map(|number| (0..repetitions).map(|lap| mean(number, lap)).collect())
        .collect())
}

/// What all threads of a race share.
struct Race<'a> {
    entrants: &'a [Entrant],
    who: Who,
    effort: &'a Effort,
    /// While calibrating: rounds to run next, as the first thread says.
    next: AtomicU64,
    /// Whether these are the rounds to time.
    last: AtomicBool,
}

/// What one thread did with one entrant.
struct Lap {
    /// Nanoseconds per operation; empty if this thread is not timed.
    times: Vec<f64>,
    rounds: u64,
}

impl Race<'_> {
    fn work(&self, member: &Member<'_>, step: &mut dyn FnMut()) -> Result<Vec<Lap>, Error> {
        let mut threads = Vec::new();
        let mut laps = Vec::new();
        for entrant in self.entrants {
            let mut thread = Thread::new(member, self.who, &*entrant.workload)?;
            let rounds = self.calibrate(&mut thread)?;
            threads.push((thread, rounds));
            laps.push(Vec::new());
        }
        for repetition in 0..self.effort.repetitions as usize {
            for turn in 0..threads.len() {
                let number = (repetition + turn) % threads.len();
                let (thread, rounds) = &mut threads[number];
                if let Some(time) = thread.run(*rounds)? {
                    let operations = (*rounds * OPERATIONS) as f64;
                    laps[number].push(time.as_secs_f64() * 1e9 / operations);
                }
                step();
            }
        }
        Ok(threads
            .into_iter()
            .zip(laps)
            .map(|((thread, _), times)| Lap {
                times,
                rounds: thread.rounds,
            })
            .collect())
    }

    /// Rounds that take about as long as a run shall. The first thread decides,
    /// by the best of some tries: somebody else may have had its CPU.
    fn calibrate(&self, thread: &mut Thread<'_>) -> Result<u64, Error> {
        let wanted = self.effort.run;
        let mut rounds = WARM;
        loop {
            let mut best = Duration::MAX;
            for _ in 0..TRIES {
                best = best.min(thread.run(rounds)?.unwrap_or(Duration::MAX));
            }
            if thread.member.number == 0 {
                let factor = wanted.as_secs_f64() / best.as_secs_f64().max(1e-9);
                // The last step is taken from close by.
                let last = factor < 4.0;
                let by = if last { factor } else { 4.0 };
                // Ordering: Relaxed, here and below. The barrier orders it.
                self.next
                    .store(((rounds as f64 * by) as u64).max(1), Ordering::Relaxed);
                self.last.store(last, Ordering::Relaxed);
            }
            thread.member.wait()?;
            rounds = self.next.load(Ordering::Relaxed);
            let last = self.last.load(Ordering::Relaxed);
            thread.member.wait()?;
            if last {
                return Ok(rounds);
            }
        }
    }
}

/// A thread of a team with one workload that it has entered.
struct Thread<'a> {
    member: &'a Member<'a>,
    who: Who,
    workload: &'a dyn Workload,
    /// Rounds that it has run.
    rounds: u64,
}

impl<'a> Thread<'a> {
    fn new(
        member: &'a Member<'a>,
        who: Who,
        workload: &'a dyn Workload,
    ) -> Result<Thread<'a>, Error> {
        workload.enter(member.number);
        let mut thread = Thread {
            member,
            who,
            workload,
            rounds: 0,
        };
        thread.run(WARM)?;
        Ok(thread)
    }

    /// Runs together with the others; how long it took, if this thread works.
    fn run(&mut self, rounds: u64) -> Result<Option<Duration>, Error> {
        self.member.wait()?;
        let works = self.who == Who::All || self.member.number == 0;
        let time = works.then(|| {
            let start = Instant::now();
            self.workload.run(self.member.number, rounds);
            self.rounds += rounds;
            start.elapsed()
        });
        self.member.wait()?;
        Ok(time)
    }
}
