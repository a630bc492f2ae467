//! A run as JSON.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Grows when a reader of the last version could not read this one.
    pub schema_version: u32,
    /// What it ran on.
    pub machine: Machine,
    /// One for each implementation of each case and number of threads.
    pub cases: Vec<Figure>,
}

impl Record {
    /// The version that this crate writes.
    pub const SCHEMA_VERSION: u32 = 1;

    /// A run on this machine.
    #[must_use]
    pub fn new(machine: Machine, cases: Vec<Figure>) -> Record {
        Record {
            schema_version: Record::SCHEMA_VERSION,
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
    /// Of the three figures.
    pub unit: String,
    /// Middle of the repetitions.
    pub median: f64,
    /// Least of them.
    pub min: f64,
    /// Greatest of them.
    pub max: f64,
    /// How many there were.
    pub runs: u32,
}

/// The middle and the ends of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Middle, or the mean of the two in the middle.
    pub median: f64,
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
        Spread {
            median: f64::midpoint(figures[last / 2], figures[last - last / 2]),
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
        assert_eq!(Spread::of(vec![1.23456]).rounded().max, 1.2346);
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
            min: spread.min,
            max: spread.max,
            runs: spread.runs,
        };
        let record = Record::new(Machine::here(), vec![figure]);
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["schema_version"], 1);
        assert_eq!(json["cases"][0]["impl"], "i");
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
    }
}
