//! Which suites, with how many threads.

use percid_benches::cpus;
use percid_benches::plan::Job;
use percid_benches::suite::{Case, SUITES, Suite, find};

use crate::error::Error;
use crate::progress::note;

/// Threads if nothing was asked for, as far as there are CPUs.
const THREADS: [usize; 2] = [1, 2];

/// Stands for every suite on the command line.
const ALL: &str = "all";

/// A suite, and which cases of it.
pub(crate) struct Chosen {
    pub(crate) suite: &'static Suite,
    /// None: all of them.
    cases: Option<Vec<&'static str>>,
    /// By its own name, not as one of all.
    by_name: bool,
}

impl Chosen {
    fn has(&self, case: &Case) -> bool {
        match &self.cases {
            Some(cases) => cases.contains(&case.name),
            None => true,
        }
    }

    /// The cases, in the suite's order.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &'static Case> {
        self.suite.cases.iter().filter(|case| self.has(case))
    }

    /// Takes what another name of the same suite asks for, too.
    fn join(&mut self, other: Chosen) {
        self.by_name |= other.by_name;
        match (&mut self.cases, other.cases) {
            (Some(cases), Some(more)) => cases.extend(more),
            (cases, _) => *cases = None,
        }
    }
}

/// What these names say, `SUITE`, `SUITE/CASE` or `all`, each suite once; everything if
/// there is no name.
pub(crate) fn choose(names: &[String]) -> Result<Vec<Chosen>, Error> {
    let all = || {
        SUITES.into_iter().map(|suite| Chosen {
            suite,
            cases: None,
            by_name: false,
        })
    };
    if names.is_empty() {
        return Ok(all().collect());
    }
    let mut chosen: Vec<Chosen> = Vec::new();
    for name in names {
        let named = match name.as_str() {
            ALL => all().collect(),
            name => vec![choose_one(name)?],
        };
        for one in named {
            match (chosen.iter_mut()).find(|known| std::ptr::eq(known.suite, one.suite)) {
                Some(known) => known.join(one),
                None => chosen.push(one),
            }
        }
    }
    Ok(chosen)
}

fn choose_one(name: &str) -> Result<Chosen, Error> {
    let (suite, case) = match name.split_once('/') {
        Some((suite, case)) => (suite, Some(case)),
        None => (name, None),
    };
    let suite = find(suite).ok_or_else(|| Error::UnknownSuite {
        name: suite.to_owned(),
        known: SUITES.map(|suite| suite.name).join(", "),
    })?;
    let cases = match case {
        None => None,
        Some(case) => {
            let found = suite.case(case).ok_or_else(|| Error::UnknownCase {
                name: case.to_owned(),
                suite: suite.name,
                known: (suite.cases.iter().map(|case| case.name))
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
            Some(vec![found.name])
        }
    };
    Ok(Chosen {
        suite,
        cases,
        by_name: true,
    })
}

/// The suites that can run here: says which are left out; one that was asked for by name
/// is an error.
pub(crate) fn available(chosen: &[Chosen]) -> Result<Vec<&'static Suite>, Error> {
    let mut suites = Vec::new();
    for one in chosen {
        let name = one.suite.name;
        match (one.suite.available)() {
            Ok(()) => suites.push(one.suite),
            Err(why) if one.by_name => return Err(Error::Unavailable { name, why }),
            Err(why) => note(&format!("the suite '{name}' is left out: {why}")),
        }
    }
    Ok(suites)
}

/// Leaves only the jobs that were chosen.
pub(crate) fn keep_chosen(jobs: &mut Vec<Job>, chosen: &[Chosen]) {
    jobs.retain(|job| {
        chosen
            .iter()
            .any(|one| std::ptr::eq(one.suite, job.suite) && one.has(job.case))
    });
}

/// What was asked for, each number once, or what suits the machine.
pub(crate) fn threads(asked: &[usize]) -> Vec<usize> {
    let cpus = cpus::allowed().len();
    if asked.is_empty() {
        return THREADS.into_iter().filter(|&count| count <= cpus).collect();
    }
    let mut threads = Vec::new();
    for &count in asked {
        if threads.contains(&count) {
            continue;
        }
        if count > cpus {
            note(&format!(
                "{count} threads on {cpus} CPUs take turns: their figures hold the time that they wait"
            ));
        }
        threads.push(count);
    }
    threads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<(&'static str, Vec<&'static str>)> {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let chosen = choose(&names).unwrap_or_else(|why| panic!("{why}"));
        let cases = |one: &Chosen| one.cases().map(|case| case.name).collect();
        chosen
            .iter()
            .map(|one| (one.suite.name, cases(one)))
            .collect()
    }

    #[test]
    fn suites_and_cases_by_name() {
        let suite = SUITES[0];
        let names: Vec<&str> = suite.cases.iter().map(|case| case.name).collect();
        let [first, second] = [names[0], names[1]];
        let of = |case: &str| format!("{}/{case}", suite.name);
        let whole = vec![(suite.name, names.clone())];
        assert_eq!(chosen(&[suite.name, suite.name]), whole);
        assert_eq!(chosen(&[&of(first)]), [(suite.name, vec![first])]);
        // In the suite's order, whatever the names' is.
        let both = [(suite.name, vec![first, second])];
        assert_eq!(chosen(&[&of(second), &of(first), &of(second)]), both);
        assert_eq!(chosen(&[&of(first), suite.name]), whole);
        assert_eq!(chosen(&[suite.name, &of(first)]), whole);
        assert_eq!(chosen(&[]).len(), SUITES.len());
        assert_eq!(chosen(&[&of(first), "all"]), chosen(&[]));
    }

    #[test]
    fn what_there_is_not() {
        let unknown = |name: &str| choose(&[name.to_owned()]).err().map(|why| why.to_string());
        let suite = SUITES[0].name;
        assert!(
            unknown("nothing/add")
                .unwrap()
                .contains("no suite 'nothing'")
        );
        let case = unknown(&format!("{suite}/nothing")).unwrap();
        assert!(case.contains("no case 'nothing'"), "{case}");
        assert!(case.contains(SUITES[0].cases[0].name), "{case}");
        assert!(unknown(&format!("{suite}/")).is_some());
    }
}
