//! One run: a machine, a workload, a policy, costs and a seed.

use crate::bill::Time;
use crate::costs::Costs;
use crate::dice::Dice;
use crate::engine::Engine;
use crate::error::Error;
use crate::machine::{MOST_CPUS, Machine};
use crate::policy::Name;
use crate::report::{Ids, Report, Shares};
use crate::stage::Stage;
use crate::workload::{Kind, Sizes};

/// Most threads that may be asked for.
pub const MOST_THREADS: u32 = 1 << 16;

/// Longest simulated time: an hour.
pub const MOST_DURATION: Time = 3_600_000_000_000;

/// One run.
///
/// ```
/// use percid_sim::{Kind, Machine, Name, Scenario};
///
/// let machine = Machine::flat(4)?;
/// let mut scenario = Scenario::new(machine, Kind::Roaming);
/// scenario.sizes.duration = 100_000_000;
/// let report = scenario.run(Name::Strict)?;
/// // One thread on four CPUs needs one id.
/// assert_eq!(report.ids.highest, 1);
/// # Ok::<(), percid_sim::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The machine.
    pub machine: Machine,
    /// What the threads do.
    pub workload: Kind,
    /// How many, and for how long.
    pub sizes: Sizes,
    /// The cost model.
    pub costs: Costs,
    /// Where chance comes from.
    pub seed: u64,
}

impl Scenario {
    /// With what suits the machine, for a second.
    #[must_use]
    pub fn new(machine: Machine, workload: Kind) -> Scenario {
        Scenario {
            machine,
            workload,
            sizes: Sizes::default(),
            costs: Costs::default(),
            seed: 1,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.sizes.threads > MOST_THREADS {
            return Err(Error::Threads(self.sizes.threads));
        }
        if self.sizes.duration == 0 || self.sizes.duration > MOST_DURATION {
            return Err(Error::Duration);
        }
        if self.sizes.pause == 0 || self.sizes.hop == 0 {
            return Err(Error::NoTime);
        }
        if let Some(set) = &self.sizes.cpuset {
            let cpus = self.machine.cpus();
            if !set.iter().any(|cpu| cpu < cpus) {
                return Err(Error::Affinity {
                    set: set.to_string(),
                    cpus,
                });
            }
        }
        Ok(())
    }

    /// Runs it under a policy.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn run(&self, policy: Name) -> Result<Report, Error> {
        self.run_watched(policy, &mut |_| {})
    }

    /// Runs it; `passed` is told of simulated time that has passed.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn run_watched(&self, policy: Name, passed: &mut dyn FnMut(Time)) -> Result<Report, Error> {
        self.check()?;
        let mut sizes = self.sizes.clone();
        if let Some(set) = &mut sizes.cpuset {
            (self.machine.cpus()..MOST_CPUS).for_each(|cpu| set.remove(cpu));
        }
        let workload = self.workload.make(&self.machine, &sizes);
        let stage = Stage::new(
            self.machine,
            self.costs.clone(),
            policy.make(),
            workload.subject(),
        );
        let mut engine = Engine::new(stage, workload, Dice::new(self.seed));
        engine.run(sizes.duration, passed);
        let Engine {
            stage, busy, turns, ..
        } = engine;
        Ok(Report {
            workload: self.workload.as_str().to_owned(),
            policy: policy.as_str(),
            machine: self.machine,
            threads: stage.observer.most_threads,
            seed: self.seed,
            duration: sizes.duration,
            busy,
            turns,
            shares: Shares::new(&stage.tally, busy, turns),
            ids: Ids::new(&stage.observer),
            tally: stage.tally,
        })
    }
}
