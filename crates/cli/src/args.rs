//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::{bench, doctor};

/// Most threads that one run may ask for.
const MOST_THREADS: usize = 1024;

/// Structures sharded by the concurrency id, on this machine
#[derive(Debug, Parser)]
#[command(name = "percid", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 bad usage or input; 3 doctor: no sections here, percid uses its fallback"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what this kernel, libc and sandbox offer, and what to do about what is missing
    Doctor(Doctor),
    /// Measure percid beside its peers, in turns, in one run
    Bench(Bench),
    /// One measurement that needs a process of its own
    #[command(name = bench::MEASURE, hide = true)]
    Measure {
        suite: String,
        case: String,
        implementation: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Suites to run [default: all]
    #[arg(value_name = "SUITE")]
    pub(crate) suites: Vec<String>,
    /// List the suites with their cases and implementations, and measure nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Numbers of threads [default: 1,2, as far as there are CPUs]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = threads)]
    pub(crate) threads: Vec<usize>,
    /// Fewer repetitions, for a first look
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write the results to this file as well, in JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

fn threads(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(number @ 1..=MOST_THREADS) => Ok(number),
        _ => Err(format!(
            "give numbers of threads from 1 to {MOST_THREADS} with commas between, as in --threads 1,2"
        )),
    }
}

impl Arguments {
    /// Does what the command line asks for.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub(crate) fn run(&self) -> Result<Exit, Error> {
        let mut output = Output::default();
        match &self.command {
            Command::Doctor(arguments) => doctor::run(arguments, &mut output),
            Command::Bench(arguments) => bench::run(arguments, &mut output),
            Command::Measure {
                suite,
                case,
                implementation,
            } => {
                let figure = percid_benches::plan::measure_here(suite, case, implementation)?;
                output.write(&format!("{figure}\n"))?;
                Ok(Exit::Success)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn numbers_of_threads() {
        assert_eq!(threads("1"), Ok(1));
        assert_eq!(threads(" 8 "), Ok(8));
        for bad in ["0", "1025", "-1", "two", "", "1.5"] {
            assert!(threads(bad).is_err(), "{bad}");
        }
    }
}
