//! `percid report`: everything that was measured, as one page.

mod chart;
mod field;
mod overview;
mod page;
mod suite;
mod text;

use std::time::Duration;

use percid_benches::machine::Machine;
use percid_benches::plan::plan;
use percid_benches::record::Record;

use crate::args::Report;
use crate::error::Error;
use crate::exit::Exit;
use crate::measure::{self, Run};
use crate::output::Output;
use crate::source;
use crate::target::Target;

use self::field::Tally;

pub(crate) fn run(arguments: &Report, output: &mut Output) -> Result<Exit, Error> {
    // Before the run: it would be a pity to measure for nothing.
    let prepare = |path| Target::prepare(path);
    let (record, target) = match &arguments.from {
        Some(path) => (source::read(path)?, prepare(&arguments.out)?),
        None => {
            let target = prepare(&arguments.out)?;
            let json = arguments.json.as_deref().map(prepare).transpose()?;
            let Some(record) = measure(arguments, output)? else {
                return Ok(Exit::Success);
            };
            if let Some(json) = json {
                json.write_json(&record)?;
            }
            (record, target)
        }
    };
    target.write(&page::of(&record))?;
    let tally = Tally::of(&field::of(&record));
    output.write(&format!("{tally}.\n"))?;
    output.write(&format!("The page is in {}\n", arguments.out.display()))?;
    Ok(Exit::Success)
}

fn measure(arguments: &Report, output: &mut Output) -> Result<Option<Record>, Error> {
    let suites = measure::available(&measure::choose(&[])?)?;
    let threads = measure::threads(&arguments.threads);
    let run = Run::new(plan(&suites, &threads), arguments.quick);
    let machine = Machine::here();
    output.write(&format!(
        "{}, percid on {}: {} suites, {} cases, {}\n",
        machine.cpu,
        machine.backend,
        suites.len(),
        run.jobs.len(),
        about(run.time()),
    ))?;
    run.measure(|_, _| Ok(true))
}

/// So long, in words.
fn about(time: Duration) -> String {
    match time.as_secs() {
        ..=100 => format!("about {} seconds", (time.as_secs() / 10 + 1) * 10),
        seconds => format!("about {} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        assert_eq!(about(Duration::from_secs(3)), "about 10 seconds");
        assert_eq!(about(Duration::from_secs(101)), "about 2 minutes");
        assert_eq!(about(Duration::from_secs(700)), "about 12 minutes");
    }
}
