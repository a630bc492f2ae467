//! `percid sim`: policies on machines that nobody here owns.

pub(crate) mod args;
mod export;
mod jobs;
mod page;
mod plot;
mod table;

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use percid_sim::lineage::{self, Comparison, Runs};
use percid_sim::{Costs, CpuSet, Machine, Name, Report, Scenario, Sizes, Trace};

use self::args::{Files, Lineage, Run, Shape, Sim, What};
use self::export::Placed;
use self::jobs::Job;
use self::plot::Plot;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::note;
use crate::target::Target;

pub(crate) fn run(arguments: &Sim, output: &mut Output) -> Result<Exit, Error> {
    match arguments {
        Sim::List => output.write(&table::list(&Costs::default()))?,
        Sim::Run(arguments) => run_workload(arguments, output)?,
        Sim::Trace(arguments) => run_trace(arguments, output)?,
        Sim::Lineage(arguments) => run_lineage(arguments, output)?,
    }
    Ok(Exit::Success)
}

/// Where results go, tried before anything is run.
struct Targets<'a> {
    json: Option<Target>,
    csv: Option<Target>,
    svg: Option<&'a Path>,
}

impl<'a> Targets<'a> {
    fn prepare(files: &'a Files) -> Result<Targets<'a>, Error> {
        let prepare = |path: &Option<_>| path.as_deref().map(Target::prepare).transpose();
        let targets = Targets {
            json: prepare(&files.json)?,
            csv: prepare(&files.csv)?,
            svg: files.svg.as_deref(),
        };
        if let Some(directory) = targets.svg {
            fs::create_dir_all(directory).map_err(|why| Error::Target {
                path: directory.to_owned(),
                why,
            })?;
        }
        Ok(targets)
    }

    fn write(
        self,
        costs: &Costs,
        reports: &[Placed<'_>],
        comparisons: &[Comparison],
        plots: &[Plot],
    ) -> Result<(), Error> {
        if let Some(target) = self.json {
            target.write(&export::json(costs, reports, comparisons)?)?;
        }
        if let Some(target) = self.csv {
            target.write(&export::csv(reports)?)?;
        }
        if let Some(directory) = self.svg {
            for plot in plots {
                let path = directory.join(format!("{}.svg", plot.name));
                Target::prepare(&path)?.write(&plot.svg)?;
            }
        }
        Ok(())
    }
}

/// A machine of so many CPUs: two nodes of L3 groups of 16, unless something else is asked.
fn machine(cpus: u32, shape: &Shape) -> Result<Machine, Error> {
    let l3 = shape.cpus_per_l3.unwrap_or(16).min(cpus.max(1));
    let half = cpus.div_ceil(2).max(1).next_multiple_of(l3.max(1));
    let node = shape.cpus_per_node.unwrap_or(half);
    Machine::new(cpus, l3, node)
        .map_err(percid_sim::Error::from)
        .map_err(Error::from)
}

fn policies(asked: &[Name]) -> Vec<Name> {
    if asked.is_empty() {
        return Name::ALL.to_vec();
    }
    let mut policies = Vec::new();
    for &name in asked {
        if !policies.contains(&name) {
            policies.push(name);
        }
    }
    policies
}

fn describe(machine: &Machine) -> String {
    format!(
        "{} CPUs, {} to an L3, {} to a node",
        machine.cpus(),
        machine.cpus_per_l3().min(machine.cpus()),
        machine.cpus_per_node().min(machine.cpus())
    )
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn run_workload(arguments: &Run, output: &mut Output) -> Result<(), Error> {
    let machine = machine(arguments.cpus, &arguments.machine)?;
    let targets = Targets::prepare(&arguments.what.files)?;
    let missing = |set: &CpuSet| set.iter().any(|cpu| cpu >= machine.cpus());
    if let Some(set) = arguments.cpuset.as_ref().filter(|set| missing(set)) {
        note(&format!(
            "the machine has {} CPUs: what {set} names beyond them is left out",
            machine.cpus()
        ));
    }
    let scenario = Scenario {
        machine,
        workload: arguments.workload,
        sizes: Sizes {
            threads: arguments.threads.unwrap_or(0),
            duration: nanoseconds(arguments.time),
            pause: nanoseconds(arguments.pause),
            hop: nanoseconds(arguments.hop),
            cpuset: arguments.cpuset.clone(),
        },
        costs: arguments.what.model.costs()?,
        seed: arguments.seed,
    };
    let jobs: Vec<Job<'_>> = policies(&arguments.what.policies)
        .into_iter()
        .map(|name| job(&scenario, name, name.to_string()))
        .collect();
    let reports = jobs::run(&jobs)?;
    let stand = arguments.workload.as_str();
    let title = format!(
        "{stand}: {}\n{}; {} of simulated time, seed {}\n",
        arguments.workload.about(),
        describe(&machine),
        humantime::format_duration(arguments.time),
        arguments.seed,
    );
    show(output, &title, &reports)?;
    finish(&arguments.what, &scenario.costs, stand, &reports, targets)
}

/// A run of a scenario; shown by that name.
fn job(scenario: &Scenario, policy: Name, name: String) -> Job<'_> {
    let cpus = scenario.machine.cpus();
    Job {
        name,
        weight: jobs::weight(scenario.sizes.duration, cpus),
        run: Box::new(move |passed| {
            scenario.run_watched(policy, &mut |time| passed(jobs::weight(time, cpus)))
        }),
    }
}

fn show(output: &mut Output, title: &str, reports: &[Report]) -> Result<(), Error> {
    let costs = table::costs(reports.iter());
    let ids = table::ids(reports.iter());
    output.write(&format!(
        "{title}\nwhat ids cost, of all processes (shares of the busy time):\n{costs}\n\
         the ids of the process with threads:\n{ids}"
    ))
}

fn finish(
    what: &What,
    costs: &Costs,
    stand: &str,
    reports: &[Report],
    targets: Targets<'_>,
) -> Result<(), Error> {
    let placed: Vec<Placed<'_>> = reports
        .iter()
        .map(|report| Placed { stand, report })
        .collect();
    let plots = match what.files.svg {
        Some(_) => plot::all(stand, &reports.iter().collect::<Vec<_>>())?,
        None => Vec::new(),
    };
    targets.write(costs, &placed, &[], &plots)
}

fn run_trace(arguments: &args::Trace, output: &mut Output) -> Result<(), Error> {
    let path = &arguments.file;
    let costs = arguments.what.model.costs()?;
    let file = File::open(path).map_err(|why| Error::NoTrace {
        path: path.to_owned(),
        why,
    })?;
    let trace = Trace::read(BufReader::new(file)).map_err(|why| Error::Trace {
        path: path.to_owned(),
        why,
    })?;
    let machine = machine(arguments.cpus.unwrap_or(trace.cpus()), &arguments.machine)?;
    let subject = trace.busiest(arguments.process.as_deref());
    let subject = match (subject, &arguments.process) {
        (None, Some(name)) => return Err(Error::NoProcess { name: name.clone() }),
        (subject, _) => subject.unwrap_or(0),
    };
    let targets = Targets::prepare(&arguments.what.files)?;
    if !trace.knows_processes() {
        note(
            "the trace has no pids, so threads of the same name are taken for one process; \
             print it with: perf sched script -F comm,pid,tid,cpu,time,event,trace",
        );
    }
    let jobs: Vec<Job<'_>> = policies(&arguments.what.policies)
        .into_iter()
        .map(|name| {
            let (trace, costs) = (&trace, &costs);
            Job {
                name: name.to_string(),
                weight: 1,
                run: Box::new(move |passed| {
                    passed(1);
                    trace.replay_of(subject, machine, costs, name)
                }),
            }
        })
        .collect();
    let reports = jobs::run(&jobs)?;
    let title = format!(
        "{}: {} events, {}; ids of the process '{}'\n",
        path.display(),
        trace.events(),
        describe(&machine),
        trace.name_of(subject)
    );
    show(output, &title, &reports)?;
    finish(&arguments.what, &costs, "trace", &reports, targets)
}

fn run_lineage(arguments: &Lineage, output: &mut Output) -> Result<(), Error> {
    let costs = arguments.model.costs()?;
    let page = Target::prepare(&arguments.out)?;
    let targets = Targets::prepare(&arguments.files)?;
    let mut stands = lineage::stands(&costs, arguments.seed, arguments.quick)?;
    let known = stands.iter().map(|stand| stand.name).collect::<Vec<_>>();
    let unknown = |name: &&String| !known.contains(&name.as_str());
    if let Some(name) = arguments.only.iter().find(unknown) {
        return Err(Error::UnknownStand {
            name: name.clone(),
            known: known.join(", "),
        });
    }
    if !arguments.only.is_empty() {
        stands.retain(|stand| arguments.only.iter().any(|name| name == stand.name));
    }
    let mut jobs = Vec::new();
    for stand in &stands {
        for name in Name::ALL {
            jobs.push(job(&stand.scenario, name, format!("{} {name}", stand.name)));
        }
    }
    let mut reports = jobs::run(&jobs)?.into_iter();
    let mut runs = Runs::default();
    for stand in &stands {
        for report in reports.by_ref().take(Name::ALL.len()) {
            runs.add(stand.name, report);
        }
    }
    let comparisons = lineage::comparisons(&runs);
    let mut plots = Vec::new();
    for stand in &stands {
        let of: Vec<&Report> = runs.of(stand.name).collect();
        plots.push((stand.name, plot::all(stand.name, &of)?));
    }
    output.write(&table::comparisons(&comparisons))?;
    page.write(&page::of(&stands, &runs, &comparisons, &plots, &costs))?;
    let placed: Vec<Placed<'_>> = runs
        .iter()
        .map(|(stand, report)| Placed { stand, report })
        .collect();
    let plots: Vec<Plot> = plots.into_iter().flat_map(|(_, plots)| plots).collect();
    targets.write(&costs, &placed, &comparisons, &plots)?;
    output.write(&format!("\nwritten: {}\n", arguments.out.display()))
}
