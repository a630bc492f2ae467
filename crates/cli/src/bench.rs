//! `percid bench`: the suites, beside their peers, in one run.

mod compare;

use percid_benches::machine::Machine;
use percid_benches::plan::{look, plan};
use percid_benches::record::Figure;
use percid_benches::suite::Suite;

use crate::args::{Bench, BenchCommand};
use crate::error::Error;
use crate::exit::Exit;
use crate::measure::{self, Chosen, Run};
use crate::output::Output;
use crate::table;
use crate::target::Target;

/// What there is beyond a first look.
const MORE: &str = "
This was a first look: the main case of each suite, a few repetitions. For the others:
  percid bench SUITE...   all cases of these suites; --quick for fewer repetitions
  percid bench SUITE/CASE one case
  percid bench all        everything
  percid bench --list     what there is
  percid report           everything, as a page with plots
";

pub(crate) fn run(arguments: &Bench, output: &mut Output) -> Result<Exit, Error> {
    if let Some(BenchCommand::Compare(arguments)) = &arguments.command {
        return compare::run(arguments, output);
    }
    let chosen = measure::choose(&arguments.suites)?;
    if arguments.list {
        output.write(&list(&chosen))?;
        return Ok(Exit::Success);
    }
    let suites = measure::available(&chosen)?;
    // Before the run: it would be a pity to measure for nothing.
    let target = arguments.json.as_deref().map(Target::prepare).transpose()?;
    let threads = measure::threads(&arguments.threads);
    let only_looks = arguments.suites.is_empty();
    let run = if only_looks {
        Run::look(look(&suites, &threads))
    } else {
        let mut jobs = plan(&suites, &threads);
        measure::keep_chosen(&mut jobs, &chosen);
        Run::new(jobs, arguments.quick)
    };
    output.write(&heading(&Machine::here()))?;

    let record = run.measure(|job, found| {
        let (suite, case) = (job.suite, job.case);
        let title = format!(
            "{} {}: {} ({})",
            suite.name, case.name, case.about, case.unit
        );
        let title = output.bold(&title);
        output.write(&format!("\n{title}\n{}", table::of_case(found)))?;
        Ok(!output.is_closed() || target.is_some())
    })?;
    let Some(record) = record else {
        return Ok(Exit::Success);
    };
    output.write(&summary(&suites, &record.cases))?;
    if only_looks {
        output.write(MORE)?;
    }
    if let Some(target) = target {
        target.write_json(&record)?;
    }
    Ok(Exit::Success)
}

fn list(chosen: &[Chosen]) -> String {
    let mut text = String::new();
    for one in chosen {
        let suite = one.suite;
        text += &format!("{}: {}\n", suite.name, suite.about);
        let names = one.cases().map(|case| case.name.len());
        let width = names.max().unwrap_or(0).max(10);
        for case in one.cases() {
            let implementations = case.method.implementations().join(", ");
            text += &format!("  {:<width$} {} ({})\n", case.name, case.about, case.unit);
            text += &format!("  {:<width$} {implementations}\n", "");
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
    let all = suites.iter().flat_map(|suite| suite.comparisons);
    let widths = all.map(|comparison| comparison.what.chars().count());
    let width = widths.max().unwrap_or(0);
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
                Some(format!("  {:<width$} {value:>8}\n", comparison.what))
            })
            .collect();
        if !lines.is_empty() {
            text += &format!("\n{}, in this run:\n{}", suite.name, lines.concat());
        }
    }
    text
}
