//! What the doctor says: as text, and as JSON.

use std::fmt;

use percid::Source;
use percid_benches::machine::Libc;
use percid_rseq::trial::{Disturbance, Trial, Verdict};
use serde::Serialize;

use super::advice::Advice;
use super::facts::{Cpus, Facts, Membarrier, Rseq, Variable};

/// The answer; its fields are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    schema_version: u32,
    /// Of this program.
    version: &'static str,
    /// True on sections, false on the fallback.
    sections: bool,
    backend: Backend,
    kernel: &'a str,
    arch: &'a str,
    libc: &'a Libc,
    cpus: Cpus,
    rseq: &'a Rseq,
    membarrier: &'a Membarrier,
    trial: Tries,
    arena: Arena<'a>,
    environment: &'a [Variable],
    advice: &'a [Advice],
}

#[derive(Debug, Serialize)]
struct Backend {
    /// `mm_cid`, `table` or `thread`.
    source: &'static str,
    reason: String,
    /// Whether this process has seen the kernel abort sections at its first use.
    verified: bool,
    #[serde(skip)]
    text: String,
}

/// The trial of the kernel, by disturbance.
#[derive(Debug, Serialize)]
struct Tries {
    /// Why nothing was tried.
    left_out: Option<&'static str>,
    preemption: Try,
    fence_of_cpu: Try,
    fence: Try,
    signal: Try,
}

#[derive(Debug, Serialize)]
struct Try {
    /// `aborts`, `commits` (the kernel is broken), or `unverified`.
    verdict: &'static str,
    disturbed: u32,
    committed: u32,
}

impl Tries {
    fn new(trial: &Result<Trial, &'static str>) -> Tries {
        let (trial, left_out) = match trial {
            Ok(trial) => (*trial, None),
            Err(why) => (Trial::default(), Some(*why)),
        };
        let of = |disturbance| {
            let tally = trial.tally(disturbance);
            Try {
                verdict: match tally.verdict() {
                    Verdict::Aborts => "aborts",
                    Verdict::Commits => "commits",
                    _ => "unverified",
                },
                disturbed: tally.disturbed,
                committed: tally.committed,
            }
        };
        Tries {
            left_out,
            preemption: of(Disturbance::Preemption),
            fence_of_cpu: of(Disturbance::FenceOfCpu),
            fence: of(Disturbance::Fence),
            signal: of(Disturbance::Signal),
        }
    }
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (committed, disturbed) = (self.committed, self.disturbed);
        match self.verdict {
            "aborts" => write!(f, "yes, {disturbed} of {disturbed}"),
            "commits" => write!(f, "no: {committed} of {disturbed} went on"),
            _ => write!(f, "unverified: none could be disturbed"),
        }
    }
}

#[derive(Debug, Serialize)]
struct Arena<'a> {
    /// Bytes of address space; not memory.
    reserved: Option<usize>,
    refused: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(facts: &'a Facts, advice: &'a [Advice]) -> Report<'a> {
        Report {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION"),
            sections: facts.backend.source != Source::Thread,
            backend: Backend {
                source: match facts.backend.source {
                    Source::MmCid => "mm_cid",
                    Source::Table => "table",
                    Source::Thread => "thread",
                    _ => "other",
                },
                reason: facts.backend.reason.to_string(),
                verified: facts.backend.verified,
                text: facts.backend.source.to_string(),
            },
            kernel: &facts.machine.kernel,
            arch: &facts.machine.arch,
            libc: &facts.machine.libc,
            cpus: facts.cpus,
            rseq: &facts.rseq,
            membarrier: &facts.membarrier,
            trial: Tries::new(&facts.trial),
            arena: Arena {
                reserved: facts.arena.as_ref().ok().copied(),
                refused: facts.arena.as_ref().err().map(String::as_str),
            },
            environment: &facts.environment,
            advice,
        }
    }
}

/// One line of the text: a name and what there is to say.
fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{name:<26} {value}")
}

fn yes(has: bool) -> &'static str {
    if has { "yes" } else { "no" }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Backend { text, reason, .. } = &self.backend;
        line(f, "backend", format_args!("{text}: {reason}"))?;
        line(f, "kernel", format_args!("{} {}", self.kernel, self.arch))?;
        let Libc { name, version } = self.libc;
        line(f, "libc", format_args!("{name} {version}"))?;
        self.show_cpus(f)?;
        self.show_rseq(f)?;
        writeln!(f, "membarrier")?;
        line(
            f,
            "  private_expedited",
            yes(self.membarrier.private_expedited),
        )?;
        let rseq = yes(self.membarrier.private_expedited_rseq);
        line(f, "  private_expedited_rseq", rseq)?;
        let commands = self.membarrier.commands.join(" ");
        let commands = if commands.is_empty() {
            "none"
        } else {
            &commands
        };
        line(f, "  all commands", commands)?;
        writeln!(f, "sections are aborted")?;
        if let Some(why) = self.trial.left_out {
            line(f, "  not tried", why)?;
        } else {
            line(f, "  by preemption", &self.trial.preemption)?;
            line(f, "  by a fence of its CPU", &self.trial.fence_of_cpu)?;
            line(f, "  by a fence of all CPUs", &self.trial.fence)?;
            line(f, "  by a signal", &self.trial.signal)?;
        }
        match (self.arena.reserved, self.arena.refused) {
            (Some(bytes), _) => line(
                f,
                "arena",
                format_args!("{} MiB of address space, memory on use", bytes >> 20),
            )?,
            (None, why) => line(f, "arena", why.unwrap_or("none"))?,
        }
        if self.environment.is_empty() {
            line(f, "environment", "nothing set that percid looks at")?;
        }
        for variable in self.environment {
            let Variable {
                name,
                value,
                effect,
            } = variable;
            line(f, "environment", format_args!("{name}={value}: {effect}"))?;
        }
        self.show_advice(f)
    }
}

impl Report<'_> {
    fn show_cpus(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cpus {
            possible,
            assumed,
            online,
            allowed,
        } = self.cpus;
        let cpus = format_args!("{possible} possible, {online} online, {allowed} allowed");
        line(f, "CPUs", cpus)?;
        if assumed != possible {
            line(f, "  possible, as assumed", assumed)?;
        }
        Ok(())
    }

    fn show_rseq(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rseq = self.rseq;
        match (rseq.owner, rseq.refused) {
            (Some("libc"), _) => line(f, "rseq", "libc registers an area for each thread")?,
            (Some(_), _) => line(
                f,
                "rseq",
                "percid registers its own area for each thread; libc registers none",
            )?,
            (None, Some(why)) => line(f, "rseq", why)?,
            (None, None) => line(f, "rseq", "none")?,
        }
        line(f, "  sections", yes(rseq.supported))?;
        if let Some(listed) = rseq.exit_points {
            line(f, "  listed for debuggers", listed)?;
        }
        if let (Some(size), Some(align)) = (rseq.registered_size, rseq.registered_align) {
            let area = format_args!("{size} bytes, aligned to {align}");
            line(f, "  registered", area)?;
        }
        match (rseq.advertised_size, rseq.advertised_align) {
            (Some(size), Some(align)) => line(
                f,
                "  the kernel fills",
                format_args!("{size} bytes, aligned to {align}"),
            )?,
            _ => line(
                f,
                "  the kernel fills",
                "it does not say (before Linux 6.3)",
            )?,
        }
        line(f, "  cpu_id", yes(rseq.features.cpu_id))?;
        line(f, "  node_id", yes(rseq.features.node_id))?;
        line(f, "  mm_cid", yes(rseq.features.mm_cid))?;
        line(f, "  slice extension", yes(rseq.features.slice_extension))
    }

    fn show_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for advice in self.advice {
            let Advice {
                missing,
                matters,
                remedy,
            } = advice;
            let optional = if *matters { "" } else { " (optional)" };
            writeln!(f, "missing: {missing}{optional}: {remedy}")?;
        }
        if self.sections {
            writeln!(f, "percid runs on sections here")
        } else {
            writeln!(
                f,
                "percid runs on its fallback here: exact, but slower than sections"
            )
        }
    }
}
