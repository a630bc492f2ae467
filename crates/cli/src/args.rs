//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::{bench, doctor, manual, measure, report, sim, top};

/// Most threads that one run may ask for.
const MOST_THREADS: usize = 1024;

/// Structures sharded by the concurrency id, on this machine
#[derive(Debug, Parser)]
#[command(name = "percid", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, or slower than before; 2 bad usage or input; \
        3 no sections on this host, percid uses its fallback\n\
        Environment: PERCID_BACKEND=fallback or =table chooses how ids are had, \
        PERCID_POSSIBLE_CPUS=N has room for a larger machine, PERCID_TRIAL=skip leaves out \
        the trial of the kernel, NO_COLOR the colours"
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
    /// Measure everything, and write it as one page with plots that opens without a network
    Report(Report),
    /// Simulate policies for ids on machines of any size
    #[command(subcommand)]
    Sim(sim::args::Sim),
    /// Show the counters of a file that processes share, live or once
    Top(Top),
    /// Print a script that completes this command line
    #[command(after_help = "For bash, where bash-completion is installed:\n  \
            percid completions bash > ~/.local/share/bash-completion/completions/percid")]
    Completions {
        /// The shell that reads it
        shell: Shell,
    },
    /// Print the manual page, in roff: percid man | man -l -
    Man {
        /// The command that it is about, as in man bench compare [default: percid itself]
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// One measurement that needs a process of its own
    #[command(name = measure::MEASURE, hide = true)]
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
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        percid bench counter pool              all cases of two suites\n  \
        percid bench pool/flow --threads 1,2,4 one case\n  \
        percid bench all --json before.json    everything, to be compared later"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    /// Suites or single cases to run, or all [default: a first look at the main case of each
    /// suite]
    #[arg(value_name = "SUITE[/CASE]")]
    pub(crate) suites: Vec<String>,
    /// List the suites with their cases and implementations, and measure nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Numbers of threads [default: 1,2, as far as there are CPUs]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = threads,
        allow_negative_numbers = true)]
    pub(crate) threads: Vec<usize>,
    /// Fewer repetitions
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write the results to this file as well, in JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Say what became slower from one run to another, and exit with 1 if anything did
    Compare(Compare),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing became slower; 1 something did; 2 there is nothing to compare"
)]
pub(crate) struct Compare {
    /// The earlier run, as --json has written it
    #[arg(value_name = "A.json")]
    pub(crate) before: PathBuf,
    /// The later run
    #[arg(value_name = "B.json")]
    pub(crate) after: PathBuf,
    /// Growth of a median, in percent, from which on it counts: if the least grew as much,
    /// if it is more than the repetitions vary, and if no peer grew alike
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = percent,
        allow_negative_numbers = true)]
    pub(crate) threshold: f64,
    /// Show every figure, and not only what changed
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The page
    #[arg(long, value_name = "FILE", default_value = "percid-report.html")]
    pub(crate) out: PathBuf,
    /// Make it of a run that was written by --json, and measure nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "threads", "json"])]
    pub(crate) from: Option<PathBuf>,
    /// Fewer repetitions: less than three minutes in all
    #[arg(long)]
    pub(crate) quick: bool,
    /// Numbers of threads [default: 1,2, as far as there are CPUs]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = threads,
        allow_negative_numbers = true)]
    pub(crate) threads: Vec<usize>,
    /// Write the results to this file as well, in JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim().trim_end_matches('%').trim_end().parse() {
        Ok(number) if (0.0..=10_000.0).contains(&number) => Ok(number),
        _ => Err("give a growth in percent, from 0 on, as in --threshold 10".to_owned()),
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Keys: m n t r order by making, name, total or rate; arrows and page keys move; q quits"
)]
pub(crate) struct Top {
    /// A file that percid::file::Arena has made
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print the totals and leave
    #[arg(long)]
    pub(crate) once: bool,
    /// Print them in JSON
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Time between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds,
        allow_negative_numbers = true)]
    pub(crate) interval: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds from 0.05 to 3600, as in --interval 0.5".to_owned()),
    }
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
            Command::Report(arguments) => report::run(arguments, &mut output),
            Command::Sim(arguments) => sim::run(arguments, &mut output),
            Command::Completions { shell } => manual::completions(*shell, &mut output),
            Command::Man { command } => manual::page(command, &mut output),
            Command::Top(arguments) => top::run(arguments, &mut output),
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
    fn numbers_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for bad in ["0", "-1", "nan", "inf", "soon", "4000"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_of_threads() {
        assert_eq!(threads("1"), Ok(1));
        assert_eq!(threads(" 8 "), Ok(8));
        for bad in ["0", "1025", "-1", "two", "", "1.5"] {
            assert!(threads(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn thresholds() {
        assert_eq!(percent("10"), Ok(10.0));
        assert_eq!(percent("2.5 %"), Ok(2.5));
        for bad in ["-1", "ten", "", "NaN", "inf"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }
}
