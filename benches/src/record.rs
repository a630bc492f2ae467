//! A run as JSON.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Grows when a reader of the last version could not read this one.
    pub schema_version: u32,
    /// When it ended, as RFC 3339 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The commit that the program was built of, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What it ran on.
    pub machine: Machine,
    /// One for each implementation of each case and number of threads.
    pub cases: Vec<Figure>,
}

impl Record {
    /// The version that this crate writes.
    pub const SCHEMA_VERSION: u32 = 1;

    /// A run on this machine, of which nobody said when it was.
    #[must_use]
    pub fn new(machine: Machine, cases: Vec<Figure>) -> Record {
        Record {
            schema_version: Record::SCHEMA_VERSION,
            date: None,
            commit: None,
            machine,
            cases,
        }
    }
}

/// What one implementation of a case came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name of the suite.
    pub suite: String,
    /// Name of the case.
    pub case: String,
    /// Name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: String,
    /// Threads that took part.
    pub threads: usize,
    /// Of the figures below.
    pub unit: String,
    /// Middle of the repetitions.
    pub median: f64,
    /// Between these two is the middle half of them; older records have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quartiles: Option<[f64; 2]>,
    /// Least of them.
    pub min: f64,
    /// Greatest of them.
    pub max: f64,
    /// How many there were.
    pub runs: u32,
}

impl Figure {
    /// The ends of the middle half, or of all if no more is known.
    #[must_use]
    pub fn middle(&self) -> [f64; 2] {
        self.quartiles.unwrap_or([self.min, self.max])
    }

    /// Whether it is percid's, not a peer's.
    #[must_use]
    pub fn is_own(&self) -> bool {
        is_own(&self.implementation)
    }

    /// Whether it is of the thread's own memory, a thread-local or its stack: what nothing
    /// that threads share can beat by much.
    #[must_use]
    pub fn is_baseline(&self) -> bool {
        let name = self.implementation.split(':').next();
        name.is_some_and(|name| OWN_MEMORY.contains(&name))
    }

    /// Whether it is what the machine itself takes, which nobody can go below: no peer.
    #[must_use]
    pub fn is_floor(&self) -> bool {
        FLOORS.contains(&&*self.implementation)
    }

    /// Whether it is less than another by more than what either varies.
    #[must_use]
    pub fn is_clearly_below(&self, other: &Figure) -> bool {
        self.middle()[1] < other.middle()[0]
    }
}

/// The implementation that every suite has as its baseline.
pub const BASELINE: &str = "thread_local";

/// Names of implementations that share nothing between threads.
const OWN_MEMORY: [&str; 2] = [BASELINE, "stack"];

/// Names of what stands in a case for what any implementation must take: memory that is
/// in use at the time, a barrier of the process.
const FLOORS: [&str; 2] = ["needed", "barrier"];

/// Whether an implementation of that name is percid's.
#[must_use]
pub fn is_own(implementation: &str) -> bool {
    implementation
        .strip_prefix("percid")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
}

/// The middle and the ends of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Middle, or the mean of the two in the middle.
    pub median: f64,
    /// A quarter is below the first, a quarter above the second.
    pub quartiles: [f64; 2],
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
    /// How many.
    pub runs: u32,
}

impl Spread {
    /// Of at least one figure.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn of(mut figures: Vec<f64>) -> Spread {
        assert!(!figures.is_empty(), "the spread of nothing");
        figures.sort_by(f64::total_cmp);
        let last = figures.len() - 1;
        let at = |part: f64| {
            let place = part * last as f64;
            let (below, above) = (figures[place as usize], figures[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Spread {
            median: f64::midpoint(figures[last / 2], figures[last - last / 2]),
            quartiles: [at(0.25), at(0.75)],
            min: figures[0],
            max: figures[last],
            runs: figures.len() as u32,
        }
    }

    /// To four places, which is more than any of them means.
    #[must_use]
    pub fn rounded(self) -> Spread {
        let round = |figure: f64| (figure * 1e4).round() / 1e4;
        Spread {
            median: round(self.median),
            quartiles: self.quartiles.map(round),
            min: round(self.min),
            max: round(self.max),
            runs: self.runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((odd.median, odd.min, odd.max, odd.runs), (2.0, 1.0, 3.0, 3));
        assert_eq!(Spread::of(vec![1.0, 4.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of(vec![7.0]).median, 7.0);
        assert_eq!(Spread::of(vec![7.0]).quartiles, [7.0, 7.0]);
        let five = Spread::of(vec![5.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(five.quartiles, [2.0, 4.0]);
        assert_eq!(Spread::of(vec![1.0, 2.0]).quartiles, [1.25, 1.75]);
        assert_eq!(Spread::of(vec![1.23456]).rounded().max, 1.2346);
    }

    #[test]
    fn who_is_who() {
        for own in ["percid", "percid:table", "percid_fallback"] {
            assert!(is_own(own), "{own}");
        }
        for peer in ["thread_local", "percidish", "arc", "not:percid"] {
            assert!(!is_own(peer), "{peer}");
        }
    }

    #[test]
    fn a_record_survives_json() {
        let spread = Spread::of(vec![1.5]);
        let figure = Figure {
            suite: "s".into(),
            case: "c".into(),
            implementation: "i".into(),
            threads: 2,
            unit: "ns/op".into(),
            median: spread.median,
            quartiles: Some(spread.quartiles),
            min: spread.min,
            max: spread.max,
            runs: spread.runs,
        };
        let record = Record::new(Machine::here(), vec![figure]);
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["schema_version"], 1);
        assert_eq!(json["cases"][0]["impl"], "i");
        assert_eq!(json.get("date"), None);
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
    }

    #[test]
    fn a_record_without_quartiles_is_read() {
        let machine = serde_json::to_value(Machine::here()).unwrap();
        let figure = serde_json::json!({
            "suite": "s", "case": "c", "impl": "i", "threads": 1, "unit": "ns/op",
            "median": 2.0, "min": 1.0, "max": 4.0, "runs": 3
        });
        let record = serde_json::json!({
            "schema_version": 1, "machine": machine, "cases": [figure]
        });
        let record: Record = serde_json::from_value(record).unwrap();
        assert_eq!(record.cases[0].middle(), [1.0, 4.0]);
    }
}
