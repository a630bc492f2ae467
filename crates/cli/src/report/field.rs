//! Who is ahead: the figures of one case with one number of threads.

use std::fmt;

use percid_benches::record::{BASELINE, Figure, Record};

/// All implementations of a case with as many threads.
pub(super) struct Field<'a> {
    pub(super) suite: &'a str,
    pub(super) case: &'a str,
    pub(super) threads: usize,
    /// In the order of the record.
    pub(super) figures: Vec<&'a Figure>,
}

/// The fields of a record, in its order.
pub(super) fn of(record: &Record) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    for figure in &record.cases {
        let found = fields.iter_mut().rev().find(|field| {
            field.threads == figure.threads
                && field.case == figure.case
                && field.suite == figure.suite
        });
        match found {
            Some(field) => field.figures.push(figure),
            None => fields.push(Field {
                suite: &figure.suite,
                case: &figure.case,
                threads: figure.threads,
                figures: vec![figure],
            }),
        }
    }
    fields
}

/// How a figure stands beside another one. Less is better, whatever the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Ahead,
    /// The middle halves of their repetitions touch.
    Even,
    Behind,
}

impl Standing {
    pub(super) fn of(figure: &Figure, other: &Figure) -> Standing {
        if figure.is_clearly_below(other) {
            Standing::Ahead
        } else if other.is_clearly_below(figure) {
            Standing::Behind
        } else {
            Standing::Even
        }
    }

    /// Of a style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Standing::Ahead => "ahead",
            Standing::Even => "even",
            Standing::Behind => "behind",
        }
    }
}

impl<'a> Field<'a> {
    /// What stands for percid: the implementation of that name, or its variants if
    /// there is none.
    pub(super) fn own(&self) -> Vec<&'a Figure> {
        let main = self
            .figures
            .iter()
            .find(|one| one.implementation == "percid");
        match main {
            Some(main) => vec![main],
            None => {
                let own = self.figures.iter().copied();
                own.filter(|one| one.implementation.starts_with("percid:"))
                    .collect()
            }
        }
    }

    /// The thread-local.
    pub(super) fn baseline(&self) -> Option<&'a Figure> {
        let exact = self
            .figures
            .iter()
            .find(|one| one.implementation == BASELINE);
        exact
            .or_else(|| self.figures.iter().find(|one| one.is_baseline()))
            .copied()
    }

    /// The fastest of the peers: no thread-local, and no floor.
    pub(super) fn best_peer(&self) -> Option<&'a Figure> {
        self.figures
            .iter()
            .copied()
            .filter(|one| !one.is_own() && !one.is_baseline() && !one.is_floor())
            .min_by(|one, other| one.median.total_cmp(&other.median))
    }

    /// The peers, thread-locals too, that are clearly ahead of a figure of percid's,
    /// the fastest first.
    pub(super) fn ahead_of(&self, own: &Figure) -> Vec<&'a Figure> {
        let mut ahead: Vec<&Figure> = self
            .figures
            .iter()
            .copied()
            .filter(|one| !one.is_own() && !one.is_floor())
            .filter(|one| Standing::of(own, one) == Standing::Behind)
            .collect();
        ahead.sort_by(|one, other| one.median.total_cmp(&other.median));
        ahead
    }
}

/// One median over another, if that means anything.
pub(super) fn ratio(of: &Figure, against: &Figure) -> Option<f64> {
    (against.median > 0.0).then(|| of.median / against.median)
}

/// How often percid is ahead, and how often not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) ahead: usize,
    pub(super) even: usize,
    pub(super) behind: usize,
    /// Of the thread-local.
    pub(super) behind_baseline: usize,
    pub(super) baselines: usize,
}

impl Tally {
    pub(super) fn of(fields: &[Field<'_>]) -> Tally {
        let mut tally = Tally::default();
        for field in fields {
            for own in field.own() {
                match field.best_peer().map(|peer| Standing::of(own, peer)) {
                    Some(Standing::Ahead) => tally.ahead += 1,
                    Some(Standing::Even) => tally.even += 1,
                    Some(Standing::Behind) => tally.behind += 1,
                    None => {}
                }
                if let Some(baseline) = field.baseline() {
                    tally.baselines += 1;
                    let behind = Standing::of(own, baseline) == Standing::Behind;
                    tally.behind_baseline += usize::from(behind);
                }
            }
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Beside the best of its peers percid is ahead in {} places, even in {} and behind in {}; \
             beside a thread-local it is behind in {} of {}",
            self.ahead, self.even, self.behind, self.behind_baseline, self.baselines
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn figure(
        case: &str,
        implementation: &str,
        threads: usize,
        median: f64,
    ) -> Figure {
        Figure {
            suite: "s".into(),
            case: case.into(),
            implementation: implementation.into(),
            threads,
            unit: "ns/op".into(),
            median,
            quartiles: Some([median * 0.99, median * 1.01]),
            min: median * 0.9,
            max: median * 1.2,
            runs: 9,
        }
    }

    fn record(cases: Vec<Figure>) -> Record {
        Record::new(percid_benches::machine::Machine::here(), cases)
    }

    #[test]
    fn fields_are_cases_with_threads() {
        let record = record(vec![
            figure("c", "percid", 1, 1.0),
            figure("c", "thread_local", 1, 0.5),
            figure("c", "percid", 2, 1.0),
            figure("d", "percid", 1, 1.0),
        ]);
        let sizes: Vec<usize> = of(&record)
            .iter()
            .map(|field| field.figures.len())
            .collect();
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn who_is_ahead() {
        let record = record(vec![
            figure("c", "percid", 1, 2.0),
            figure("c", "percid:table", 1, 9.0),
            figure("c", "thread_local", 1, 1.0),
            figure("c", "arc", 1, 8.0),
            figure("c", "quick", 1, 1.5),
            figure("c", "alike", 1, 2.01),
            figure("c", "needed", 1, 0.1),
        ]);
        let fields = of(&record);
        let field = &fields[0];
        let own = field.own();
        assert_eq!(own.len(), 1);
        assert_eq!(field.best_peer().unwrap().implementation, "quick");
        assert_eq!(field.baseline().unwrap().implementation, "thread_local");
        let ahead = field.ahead_of(own[0]);
        let names: Vec<&str> = ahead.iter().map(|one| &*one.implementation).collect();
        assert_eq!(names, ["thread_local", "quick"]);
        assert_eq!(Standing::of(own[0], field.figures[5]), Standing::Even);
        assert_eq!(
            Tally::of(&fields),
            Tally {
                behind: 1,
                behind_baseline: 1,
                baselines: 1,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn variants_stand_for_percid_where_nothing_else_does() {
        let record = record(vec![
            figure("c", "percid:copy", 1, 2.0),
            figure("c", "percid:lazy", 1, 3.0),
            figure("c", "percid_fallback", 1, 3.0),
            figure("c", "thread_local:vec", 1, 3.0),
        ]);
        let fields = of(&record);
        assert_eq!(fields[0].own().len(), 2);
        assert_eq!(fields[0].baseline().unwrap().median, 3.0);
        assert!(fields[0].best_peer().is_none());
    }
}
