//! Verified first, then timed in turns.
//!
//! What a machine gives changes from one second to the next, so figures from
//! different times do not compare. Here every repetition runs every
//! implementation once, in an order that rotates, and a ratio is of medians over
//! the same repetitions. Numbers of threads alternate every few repetitions. All
//! that was done while timing is verified again.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::suite::{Done, OPERATIONS, Timed, Who, Workload};
use crate::team::{Member, together};
use crate::{Error, cpus};

/// Rounds by which each thread shows that it counts right.
const VERIFIED: u64 = 4096;

/// Rounds before timing on a thread: the first use of anything is slow.
const WARM: u64 = 64;

/// Rounds that no operation reaches; one that costs nothing would.
const MOST: u64 = 1 << 32;

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
    /// How long a case shall take. One that has taken longer keeps the repetitions
    /// that it has, [`FEWEST`](Effort::FEWEST) at least of those in this process and
    /// one of the others.
    pub budget: Option<Duration>,
}

impl Effort {
    /// For figures to keep.
    pub const FULL: Effort = Effort {
        repetitions: 31,
        run: Duration::from_millis(4),
        processes: 5,
        budget: None,
    };
    /// For figures that are to be trusted to a tenth.
    pub const QUICK: Effort = Effort {
        repetitions: 9,
        run: Duration::from_millis(4),
        processes: 3,
        budget: Some(Duration::from_secs(4)),
    };
    /// For a first look.
    pub const LOOK: Effort = Effort {
        repetitions: 11,
        run: Duration::from_millis(4),
        processes: 1,
        budget: Some(Duration::from_secs(4)),
    };
    /// Repetitions that are made however long they take.
    pub const FEWEST: u32 = 4;

    /// The same within a budget that `cases` more cases share, if that is less.
    #[must_use]
    pub fn sharing(self, left: Duration, cases: usize) -> Effort {
        let share = left / u32::try_from(cases.max(1)).unwrap_or(u32::MAX);
        Effort {
            budget: Some(self.budget.map_or(share, |own| own.min(share))),
            ..self
        }
    }

    /// Whether a case that began then has used its budget.
    pub(crate) fn is_over(&self, begun: Instant) -> bool {
        self.budget.is_some_and(|budget| begun.elapsed() >= budget)
    }
}

/// An implementation that has been set up and verified.
pub struct Entrant {
    /// Its name.
    pub name: &'static str,
    workload: Box<dyn Workload>,
}

impl Entrant {
    /// Sets an implementation up, lets every thread use it, all at the same time,
    /// and verifies what comes out.
    ///
    /// # Errors
    ///
    /// If it cannot be set up or is wrong.
    pub fn verified(implementation: &Timed, threads: usize) -> Result<Entrant, Error> {
        let entrant = Entrant {
            name: implementation.name,
            workload: (implementation.make)(threads)?,
        };
        let cpus = cpus::allowed();
        let work = |member: &Member<'_>| {
            spread(member, &cpus);
            entrant.workload.enter(member.number);
            member.wait()?;
            entrant.workload.run(member.number, VERIFIED);
            Ok(VERIFIED)
        };
        entrant.workload.begin();
        let rounds = together(threads, work, work)?;
        entrant.has_done(rounds.into_iter())?;
        Ok(entrant)
    }

    /// Verifies the rounds that each thread of a team has run.
    fn has_done(&self, rounds: impl ExactSizeIterator<Item = u64>) -> Result<(), Error> {
        self.workload.check(Done {
            threads: rounds.len() as u64,
            operations: rounds.sum::<u64>() * OPERATIONS,
        })
    }

    /// The mean time that a thread takes for so many rounds, once.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started or the result is wrong.
    pub fn time_once(&self, threads: usize, who: Who, rounds: u64) -> Result<Duration, Error> {
        let cpus = cpus::allowed();
        let work = |member: &Member<'_>| {
            spread(member, &cpus);
            let mut runner = Runner::new(member, who, self)?;
            let time = runner.run(rounds)?;
            Ok((time, runner.rounds))
        };
        self.workload.begin();
        let threads = together(threads, work, work)?;
        self.has_done(threads.iter().map(|&(_, rounds)| rounds))?;
        let times: Vec<Duration> = threads.iter().filter_map(|&(time, _)| time).collect();
        Ok(times.iter().sum::<Duration>() / times.len().max(1) as u32)
    }
}

/// The implementations of a case for one number of threads, ready to be timed.
pub struct Field {
    entrants: Vec<Entrant>,
    threads: usize,
    who: Who,
    cpus: Vec<usize>,
    /// For each entrant, rounds that take about as long as a run shall.
    rounds: Vec<u64>,
    /// For each entrant, nanoseconds per operation and thread of each repetition.
    times: Vec<Vec<f64>>,
}

impl Field {
    /// Sets all up, verifies them, and finds how many rounds a run takes.
    ///
    /// # Errors
    ///
    /// If one cannot be set up or is wrong, or a thread cannot be started.
    pub fn new(
        implementations: &[Timed],
        threads: usize,
        who: Who,
        run: Duration,
    ) -> Result<Field, Error> {
        let entrants = implementations
            .iter()
            .map(|one| Entrant::verified(one, threads))
            .collect::<Result<Vec<_>, _>>()?;
        let mut field = Field {
            times: vec![Vec::new(); entrants.len()],
            rounds: Vec::new(),
            entrants,
            threads,
            who,
            cpus: cpus::allowed(),
        };
        let agreed = Agreed::default();
        let calibrate = |runners: &mut [Runner<'_>]| {
            let calibrated = runners.iter_mut().map(|one| one.calibrate(run, &agreed));
            calibrated.collect::<Result<Vec<u64>, Error>>()
        };
        field.rounds = field.team(calibrate, calibrate)?.swap_remove(0);
        Ok(field)
    }

    /// Times all of them once per repetition, in turns, and calls `step` each time.
    ///
    /// # Errors
    ///
    /// If one is wrong, or a thread cannot be started.
    pub fn run(&mut self, repetitions: Range<u32>, step: &mut dyn FnMut()) -> Result<(), Error> {
        let count = repetitions.len();
        let rounds = &self.rounds;
        let race = |runners: &mut [Runner<'_>], step: &mut dyn FnMut()| {
            let mut times = vec![Vec::with_capacity(count); runners.len()];
            for repetition in repetitions.clone() {
                for turn in 0..runners.len() {
                    let number = (repetition as usize + turn) % runners.len();
                    if let Some(time) = runners[number].run(rounds[number])? {
                        let operations = (rounds[number] * OPERATIONS) as f64;
                        times[number].push(time.as_secs_f64() * 1e9 / operations);
                    }
                    step();
                }
            }
            Ok(times)
        };
        let by_thread = self.team(
            |runners| race(runners, step),
            |runners| race(runners, &mut || {}),
        )?;
        for (number, all) in self.times.iter_mut().enumerate() {
            let timed: Vec<&Vec<f64>> = by_thread
                .iter()
                .map(|times| &times[number])
                .filter(|times| !times.is_empty())
                .collect();
            all.extend((0..count).map(|repetition| {
                timed.iter().map(|times| times[repetition]).sum::<f64>() / timed.len() as f64
            }));
        }
        Ok(())
    }

    /// For each entrant, what its repetitions came to.
    #[must_use]
    pub fn times(self) -> Vec<Vec<f64>> {
        self.times
    }

    /// A team each of whose threads enters all entrants and then acts; verifies
    /// all that it has done.
    fn team<T: Send>(
        &self,
        lead: impl FnOnce(&mut [Runner<'_>]) -> Result<T, Error>,
        follow: impl Fn(&mut [Runner<'_>]) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let rounds = |runners: &[Runner<'_>]| -> Vec<u64> {
            runners.iter().map(|runner| runner.rounds).collect()
        };
        self.entrants.iter().for_each(|one| one.workload.begin());
        let done = together(
            self.threads,
            |member| {
                let mut runners = self.enter(member)?;
                Ok((lead(&mut runners)?, rounds(&runners)))
            },
            |member| {
                let mut runners = self.enter(member)?;
                Ok((follow(&mut runners)?, rounds(&runners)))
            },
        )?;
        for (number, entrant) in self.entrants.iter().enumerate() {
            entrant.has_done(done.iter().map(|(_, rounds)| rounds[number]))?;
        }
        Ok(done.into_iter().map(|(acted, _)| acted).collect())
    }

    /// One thread's runners, one for each entrant.
    fn enter<'a>(&'a self, member: &'a Member<'a>) -> Result<Vec<Runner<'a>>, Error> {
        spread(member, &self.cpus);
        let entrants = self.entrants.iter();
        entrants
            .map(|entrant| Runner::new(member, self.who, entrant))
            .collect()
    }
}

/// Sends the threads of a team to different CPUs: the scheduler may leave a new
/// thread where its parent is for longer than a measurement takes. They are not
/// kept there, since somebody else may need that CPU.
fn spread(member: &Member<'_>, cpus: &[usize]) {
    if let Some(&cpu) = cpus.get(member.number % cpus.len().max(1)) {
        cpus::go_to(cpu);
    }
}

/// A thread of a team with one entrant.
struct Runner<'a> {
    member: &'a Member<'a>,
    works: bool,
    workload: &'a dyn Workload,
    /// Rounds that it has run.
    rounds: u64,
}

impl<'a> Runner<'a> {
    fn new(member: &'a Member<'a>, who: Who, entrant: &'a Entrant) -> Result<Runner<'a>, Error> {
        let mut runner = Runner {
            member,
            works: who == Who::All || member.number == 0,
            workload: &*entrant.workload,
            rounds: 0,
        };
        runner.workload.enter(member.number);
        runner.run(WARM)?;
        Ok(runner)
    }

    /// Runs together with the others; how long it took, if this thread works.
    fn run(&mut self, rounds: u64) -> Result<Option<Duration>, Error> {
        self.member.wait()?;
        let time = self.works.then(|| {
            let start = Instant::now();
            self.workload.run(self.member.number, rounds);
            let time = start.elapsed();
            self.rounds += rounds;
            time
        });
        self.member.wait()?;
        Ok(time)
    }

    /// Rounds that take about as long as `wanted`. The first thread decides, by
    /// the best of some tries: somebody else may have had its CPU.
    fn calibrate(&mut self, wanted: Duration, agreed: &Agreed) -> Result<u64, Error> {
        let mut rounds = WARM;
        loop {
            let mut best = Duration::MAX;
            for _ in 0..TRIES {
                best = best.min(self.run(rounds)?.unwrap_or(best));
            }
            if self.member.number == 0 {
                let factor = wanted.as_secs_f64() / best.as_secs_f64().max(1e-9);
                // The last step is taken from close by, or where there is no end.
                let last = factor < 4.0 || rounds >= MOST;
                let next = (rounds as f64 * factor.min(4.0)) as u64;
                // Ordering: Relaxed, here and below. The barrier orders it.
                agreed.rounds.store(next.max(1), Ordering::Relaxed);
                agreed.last.store(last, Ordering::Relaxed);
            }
            self.member.wait()?;
            rounds = agreed.rounds.load(Ordering::Relaxed);
            let last = agreed.last.load(Ordering::Relaxed);
            self.member.wait()?;
            if last {
                return Ok(rounds);
            }
        }
    }
}

/// While calibrating, what the first thread tells the others.
#[derive(Default)]
struct Agreed {
    /// Rounds to run next.
    rounds: AtomicU64,
    /// Whether these are the rounds to time.
    last: AtomicBool,
}
