//! The lineage: all policies on the published workloads, and what was published.
//!
//! Nothing that is said of the simulator here is written down: each [`Comparison`]
//! takes its figures from the reports of the runs that it names. Written down are the
//! published figures with their source, and the reasons for differences that the model
//! is known to have.

mod costs;
mod ids;
mod stands;

use serde::Serialize;

pub use self::stands::{Stand, stands};
use crate::policy::Name;
use crate::report::Report;

/// The reports of a lineage: by stand and policy.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<(&'static str, Report)>);

impl Runs {
    /// Keeps a report.
    pub fn add(&mut self, stand: &'static str, report: Report) {
        self.0.push((stand, report));
    }

    /// A stand's reports, in the order of the policies.
    pub fn of(&self, stand: &str) -> impl Iterator<Item = &Report> {
        let mine = self.0.iter().filter(move |(name, _)| *name == stand);
        mine.map(|(_, report)| report)
    }

    /// One report.
    #[must_use]
    pub fn find(&self, stand: &str, policy: Name) -> Option<&Report> {
        self.of(stand).find(|it| it.policy == policy.as_str())
    }

    /// All of them, with their stands.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Report)> {
        self.0.iter().map(|(stand, report)| (*stand, report))
    }
}

/// How a published figure and the simulated one stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Within the published range, or the same order.
    Agrees,
    /// The same direction and order of policies, another size.
    Direction,
    /// Neither.
    Differs,
}

/// What was published, and what the simulator says.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What is compared.
    pub what: &'static str,
    /// As published.
    pub published: &'static str,
    /// Who published it, and where.
    pub source: &'static str,
    /// As simulated.
    pub simulated: String,
    /// What to think of it.
    pub verdict: Verdict,
    /// Why it is so, or not so.
    pub why: &'static str,
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// A figure against a published range: inside, or within a factor of it, or not.
fn against(value: f64, low: f64, high: f64, factor: f64) -> Verdict {
    if (low..=high).contains(&value) {
        Verdict::Agrees
    } else if value >= low / factor && value <= high * factor {
        Verdict::Direction
    } else {
        Verdict::Differs
    }
}

fn holds(holds: bool) -> Verdict {
    if holds {
        Verdict::Agrees
    } else {
        Verdict::Differs
    }
}

/// Policies that came after Linux 6.3.
fn later() -> impl Iterator<Item = Name> {
    Name::ALL.into_iter().skip(1)
}

/// Everything that was published and can be asked of these runs. A comparison whose runs
/// are not there is left out.
#[must_use]
pub fn comparisons(runs: &Runs) -> Vec<Comparison> {
    let all = [
        costs::lock_share(runs, "sysbench-56", 0.4320),
        costs::lock_share(runs, "sysbench-224", 0.7505),
        costs::small_machine(runs),
        costs::order_of_locks(runs),
        costs::sysbench_v6(runs),
        costs::hackbench_v6(runs),
        costs::sysbench_64(runs),
        costs::hackbench_64(runs),
        costs::hooks(runs),
        ids::roaming(runs),
        ids::answer(runs),
        ids::bursts(runs),
        costs::rewrite(runs),
        costs::scan(runs),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::Costs;

    #[test]
    fn verdicts_of_ranges() {
        assert_eq!(against(0.5, 0.4, 0.6, 2.0), Verdict::Agrees);
        assert_eq!(against(0.3, 0.4, 0.6, 2.0), Verdict::Direction);
        assert_eq!(against(1.2, 0.4, 0.6, 2.0), Verdict::Direction);
        assert_eq!(against(0.1, 0.4, 0.6, 2.0), Verdict::Differs);
    }

    #[test]
    fn nothing_is_said_without_runs() {
        assert!(comparisons(&Runs::default()).is_empty());
    }

    #[test]
    fn a_comparison_follows_its_runs() {
        let costs = Costs::default();
        let stands = stands(&costs, 3, true).unwrap();
        let stand = stands.iter().find(|it| it.name == "roaming").unwrap();
        let mut runs = Runs::default();
        for name in [Name::V6, Name::Linux64, Name::Strict, Name::Relaxed] {
            runs.add("roaming", stand.scenario.run(name).unwrap());
        }
        let found = comparisons(&runs);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|it| it.verdict == Verdict::Agrees));
        // The other way round nothing fills the set.
        let mut wrong = Runs::default();
        let mut report = runs.find("roaming", Name::Strict).unwrap().clone();
        report.policy = Name::V6.as_str();
        wrong.add("roaming", report);
        assert_eq!(comparisons(&wrong)[0].verdict, Verdict::Differs);
    }
}
