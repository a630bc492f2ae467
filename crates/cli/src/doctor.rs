//! `percid doctor`: what sections need, what of it is here, and what to do.

mod advice;
mod exit_points;
mod facts;
mod report;

use percid::Source;

use crate::args::Doctor;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

use self::facts::Facts;
use self::report::Report;

pub(crate) fn run(arguments: &Doctor, output: &mut Output) -> Result<Exit, Error> {
    let facts = Facts::gather();
    let advice = advice::on(&facts);
    let report = Report::new(&facts, &advice);
    let text = if arguments.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        report.to_string()
    };
    output.write(&text)?;
    Ok(match facts.backend.source {
        Source::Thread => Exit::Unsupported,
        _ => Exit::Success,
    })
}
