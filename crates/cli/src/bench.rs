//! `percid bench`: the suites, beside their peers, in one run.

mod elsewhere;
mod progress;
mod target;

use percid_benches::cpus;
use percid_benches::machine::Machine;
use percid_benches::measure::Effort;
use percid_benches::plan::plan;
use percid_benches::record::{Figure, Record};
use percid_benches::suite::{SUITES, Suite, find};

use crate::args::Bench;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::table;

use self::progress::Progress;
use self::target::Target;

pub(crate) use self::elsewhere::MEASURE;

/// Threads if nothing was asked for, as far as there are CPUs.
const THREADS: [usize; 2] = [1, 2];

pub(crate) fn run(arguments: &Bench, output: &mut Output) -> Result<Exit, Error> {
    let mut suites = suites(&arguments.suites)?;
    if arguments.list {
        output.write(&list(&suites))?;
        return Ok(Exit::Success);
    }
    leave_out_unavailable(&mut suites, arguments.suites.is_empty())?;
    // Before the run: it would be a pity to measure for nothing.
    let target = arguments.json.as_deref().map(Target::prepare).transpose()?;
    let threads = threads(&arguments.threads);
    let effort = if arguments.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    let machine = Machine::here();
    output.write(&heading(&machine))?;

    let jobs = plan(&suites, &threads);
    let progress = Progress::new(jobs.iter().map(|job| job.steps(&effort)).sum());
    let mut figures: Vec<Figure> = Vec::new();
    for job in jobs {
        progress.name(&job);
        let found = job.run(&effort, &elsewhere::measure, &mut || progress.step())?;
        let (suite, case) = (job.suite, job.case);
        let title = format!(
            "\n{} {}: {} ({})\n",
            suite.name, case.name, case.about, case.unit
        );
        let text = title + &table::of_case(&found);
        progress.aside(|| output.write(&text))?;
        figures.extend(found);
        if output.is_closed() && target.is_none() {
            return Ok(Exit::Success);
        }
    }
    drop(progress);
    output.write(&summary(&suites, &figures))?;
    if let Some(target) = target {
        target.write(&Record::new(machine, figures))?;
    }
    Ok(Exit::Success)
}

/// The suites of these names, or all; each once.
fn suites(names: &[String]) -> Result<Vec<&'static Suite>, Error> {
    if names.is_empty() {
        return Ok(SUITES.to_vec());
    }
    let mut suites: Vec<&'static Suite> = Vec::new();
    for name in names {
        let suite = find(name).ok_or_else(|| Error::UnknownSuite {
            name: name.clone(),
            known: SUITES.map(|suite| suite.name).join(", "),
        })?;
        if !suites.iter().any(|known| std::ptr::eq(*known, suite)) {
            suites.push(suite);
        }
    }
    Ok(suites)
}

/// Leaves suites out that cannot run here, and says so; one that was asked for by
/// name is an error.
fn leave_out_unavailable(suites: &mut Vec<&'static Suite>, all: bool) -> Result<(), Error> {
    let mut refused = None;
    suites.retain(|suite| match (suite.available)() {
        Ok(()) => true,
        Err(why) if all => {
            progress::note(&format!("the suite '{}' is left out: {why}", suite.name));
            false
        }
        Err(why) => {
            refused.get_or_insert(Error::Unavailable {
                name: suite.name,
                why,
            });
            false
        }
    });
    refused.map_or(Ok(()), Err)
}

/// What was asked for, each number once, or what suits the machine.
fn threads(asked: &[usize]) -> Vec<usize> {
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

fn list(suites: &[&Suite]) -> String {
    let mut text = String::new();
    for suite in suites {
        text += &format!("{}: {}\n", suite.name, suite.about);
        for case in suite.cases {
            let implementations = case.method.implementations().join(", ");
            text += &format!("  {:<10} {} ({})\n", case.name, case.about, case.unit);
            text += &format!("  {:<10} {implementations}\n", "");
        }
    }
    text
}

fn heading(machine: &Machine) -> String {
    format!(
        "{}, {} of {} CPUs; Linux {} {}; {} {}\npercid uses {}: {}\n",
        machine.cpu,
        machine.cpus_allowed,
        machine.cpus_online,
        machine.kernel,
        machine.arch,
        machine.libc.name,
        machine.libc.version,
        machine.backend,
        machine.backend_reason,
    )
}

/// The comparisons that this run has the figures for.
fn summary(suites: &[&Suite], figures: &[Figure]) -> String {
    let mut text = String::new();
    for suite in suites {
        let lines: Vec<String> = suite
            .comparisons
            .iter()
            .filter_map(|comparison| {
                let value = comparison.value(suite.name, figures)?;
                let value = match comparison.against {
                    Some(_) => table::times(value),
                    None => table::number(value),
                };
                Some(format!("  {:<44} {value:>8}\n", comparison.what))
            })
            .collect();
        if !lines.is_empty() {
            text += &format!("\n{}, in this run:\n{}", suite.name, lines.concat());
        }
    }
    text
}
