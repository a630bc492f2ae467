//! Which suites, with how many threads.

use percid_benches::cpus;
use percid_benches::suite::{SUITES, Suite, find};

use super::progress;
use crate::error::Error;

/// Threads if nothing was asked for, as far as there are CPUs.
const THREADS: [usize; 2] = [1, 2];

/// Stands for every suite on the command line.
const ALL: &str = "all";

/// The suites of these names, each once; all of them if there is no name.
pub(crate) fn suites(names: &[String]) -> Result<Vec<&'static Suite>, Error> {
    if names.is_empty() {
        return Ok(SUITES.to_vec());
    }
    let mut suites: Vec<&'static Suite> = Vec::new();
    for name in names {
        let named = match find(name) {
            Some(suite) => vec![suite],
            None if name == ALL => SUITES.to_vec(),
            None => {
                return Err(Error::UnknownSuite {
                    name: name.clone(),
                    known: SUITES.map(|suite| suite.name).join(", "),
                });
            }
        };
        for suite in named {
            if !suites.iter().any(|known| std::ptr::eq(*known, suite)) {
                suites.push(suite);
            }
        }
    }
    Ok(suites)
}

/// Leaves suites out that cannot run here, and says so; one that was asked for by
/// name is an error.
pub(crate) fn leave_out_unavailable(
    suites: &mut Vec<&'static Suite>,
    names: &[String],
) -> Result<(), Error> {
    let mut refused = None;
    suites.retain(|suite| match (suite.available)() {
        Ok(()) => true,
        Err(why) if names.iter().any(|name| name == suite.name) => {
            refused.get_or_insert(Error::Unavailable {
                name: suite.name,
                why,
            });
            false
        }
        Err(why) => {
            progress::note(&format!("the suite '{}' is left out: {why}", suite.name));
            false
        }
    });
    refused.map_or(Ok(()), Err)
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
            progress::note(&format!(
                "{count} threads on {cpus} CPUs take turns: their figures hold the time that they wait"
            ));
        }
        threads.push(count);
    }
    threads
}
