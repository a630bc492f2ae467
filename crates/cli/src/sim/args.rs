//! What can be said to `percid sim`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use percid_sim::{Costs, CpuSet, Kind, Name};

/// Most threads that a run may have.
const MOST_THREADS: i64 = percid_sim::MOST_THREADS as i64;

#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// List the workloads, the policies and the costs
    List,
    /// Run a workload under policies, and show what it cost and which ids there were
    Run(Run),
    /// Drive policies by a trace of a real run
    ///
    /// Made with: perf sched record -- PROGRAM; perf sched script
    /// -F comm,pid,tid,cpu,time,event,trace > FILE
    Trace(Trace),
    /// Run all policies on the published workloads, and write one page that sets them beside
    /// the published figures
    Lineage(Lineage),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        percid sim run roaming --cpus 256\n  \
        percid sim run hackbench --threads 400 --policies linux-6.3,percid-strict --svg plots")]
pub(crate) struct Run {
    /// What the threads do; percid sim list shows the workloads
    pub(crate) workload: Kind,
    /// CPUs of the machine, from 1 to 8192
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) cpus: u32,
    #[command(flatten)]
    pub(crate) machine: Shape,
    /// Threads [default: what suits the workload and the machine]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_THREADS))]
    pub(crate) threads: Option<u32>,
    /// Simulated time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) time: Duration,
    /// Pause between two bursts
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = time)]
    pub(crate) pause: Duration,
    /// Between two hops of a roaming thread
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = time)]
    pub(crate) hop: Duration,
    /// CPUs that the threads may run on, as in 0-3,8 [default: all]
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset: Option<CpuSet>,
    /// Where chance comes from
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) what: What,
}

/// L3 groups and nodes.
#[derive(Debug, Args)]
pub(crate) struct Shape {
    /// CPUs that share an L3 [default: 16, or all if there are fewer]
    #[arg(long, value_name = "N")]
    pub(crate) cpus_per_l3: Option<u32>,
    /// CPUs of a node [default: half of them, in whole L3 groups]
    #[arg(long, value_name = "N")]
    pub(crate) cpus_per_node: Option<u32>,
}

/// What is run, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// Policies, with commas between [default: all]
    #[arg(long, value_name = "POLICY,...", value_delimiter = ',')]
    pub(crate) policies: Vec<Name>,
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Model {
    /// Change a cost, in nanoseconds; may be given more than once. percid sim list shows them
    #[arg(long = "cost", value_name = "NAME=NS", value_parser = cost)]
    pub(crate) costs: Vec<String>,
}

impl Model {
    /// The costs as they were changed.
    pub(crate) fn costs(&self) -> Result<Costs, percid_sim::Error> {
        let mut costs = Costs::default();
        for cost in &self.costs {
            costs.set(cost)?;
        }
        Ok(costs)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Write the figures to this file as well, in JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write them to this file, as a table with commas
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write plots into this directory, in SVG
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// Output of perf sched script
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Look at the ids of the process with a thread of this name [default: the process that
    /// is switched to most often]
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// CPUs of the machine [default: those of the trace]
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<u32>,
    #[command(flatten)]
    pub(crate) machine: Shape,
    #[command(flatten)]
    pub(crate) what: What,
}

#[derive(Debug, Args)]
pub(crate) struct Lineage {
    /// The page
    #[arg(long, value_name = "FILE", default_value = "percid-lineage.html")]
    pub(crate) out: PathBuf,
    /// Only these of its runs, with commas between; roaming, for example
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Shorter runs, for a first look
    #[arg(long)]
    pub(crate) quick: bool,
    /// Where chance comes from
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// Sees to it that a cost is sound while the command line is read.
fn cost(text: &str) -> Result<String, String> {
    match Costs::default().set(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "give a time with its unit, as in 500ms or 2s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "5", "-1s", "soon", "1 parsec"] {
            assert!(time(bad).unwrap_err().contains("500ms"), "{bad}");
        }
    }

    #[test]
    fn costs_are_read_early() {
        assert!(cost("far=200").is_ok());
        assert!(cost("fra=200").unwrap_err().contains("far"));
        let model = Model {
            costs: vec!["far=200".into(), "far=300".into()],
        };
        assert_eq!(model.costs().unwrap().far, 300);
    }
}
