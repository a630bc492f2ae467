//! The ratios that sum a run up.

use crate::record::Figure;

/// A figure, or its ratio to another one of the same run.
#[derive(Debug)]
pub struct Comparison {
    /// In words.
    pub what: &'static str,
    /// The figure.
    pub of: Which,
    /// What it is divided by; nothing: it stands for itself.
    pub against: Option<Which>,
}

/// One figure of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// Name of the case.
    pub case: &'static str,
    /// Name of the implementation.
    pub implementation: &'static str,
    /// Threads.
    pub threads: usize,
}

/// Names a figure: case, implementation, threads.
pub type Place = (&'static str, &'static str, usize);

/// A figure that stands for itself.
#[must_use]
pub const fn figure(what: &'static str, of: Place) -> Comparison {
    Comparison {
        what,
        of: Which::at(of),
        against: None,
    }
}

/// A figure divided by another one.
#[must_use]
pub const fn ratio(what: &'static str, of: Place, against: Place) -> Comparison {
    Comparison {
        what,
        of: Which::at(of),
        against: Some(Which::at(against)),
    }
}

impl Which {
    const fn at((case, implementation, threads): Place) -> Which {
        Which {
            case,
            implementation,
            threads,
        }
    }

    fn median(self, suite: &str, figures: &[Figure]) -> Option<f64> {
        figures
            .iter()
            .find(|figure| {
                figure.suite == suite
                    && figure.case == self.case
                    && figure.implementation == self.implementation
                    && figure.threads == self.threads
            })
            .map(|figure| figure.median)
    }
}

impl Comparison {
    /// The number, if the run has what it needs.
    #[must_use]
    pub fn value(&self, suite: &str, figures: &[Figure]) -> Option<f64> {
        let of = self.of.median(suite, figures)?;
        match self.against {
            None => Some(of),
            Some(against) => {
                let against = against.median(suite, figures)?;
                (against > 0.0).then(|| of / against)
            }
        }
    }
}
