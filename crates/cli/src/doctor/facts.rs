//! What is here, before anybody judges it.

use std::fs;

use percid::{Backend, Counter};
use percid_benches::cpus;
use percid_benches::machine::Machine;
use percid_cid::{BACKEND_VARIABLE, POSSIBLE_VARIABLE, TRIAL_VARIABLE, requested};
use percid_rseq::trial::{self, Disturbance, Trial, Verdict};
use percid_rseq::{Owner, RegistrationError, membarrier};
use serde::Serialize;

use super::exit_points;

/// What this process can see.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) machine: Machine,
    pub(super) backend: Backend,
    pub(super) rseq: Rseq,
    pub(super) membarrier: Membarrier,
    /// The long form of what every process tries at its first use, or why it was left out.
    pub(super) trial: Result<Trial, &'static str>,
    pub(super) cpus: Cpus,
    pub(super) environment: Vec<Variable>,
    /// Address space that counters live in, or why there is none.
    pub(super) arena: Result<usize, String>,
}

/// Restartable sequences.
#[derive(Debug, Default, Serialize)]
pub(super) struct Rseq {
    /// `libc`, `percid`, or nobody.
    pub(super) owner: Option<&'static str>,
    /// Whether this program has sections at all: they exist for some targets only.
    pub(super) supported: bool,
    /// Sections of this program that a debugger finds, and so does not stop inside.
    pub(super) exit_points: Option<usize>,
    /// Bytes of a thread's area.
    pub(super) registered_size: Option<u32>,
    /// What this thread's area is aligned to.
    pub(super) registered_align: Option<u32>,
    /// Bytes that the kernel fills, if it says so.
    pub(super) advertised_size: Option<u32>,
    /// Alignment that it asks for, if it says so.
    pub(super) advertised_align: Option<u32>,
    pub(super) features: Features,
    /// Why threads cannot run sections.
    #[serde(serialize_with = "as_text")]
    pub(super) refused: Option<RegistrationError>,
}

/// What a registered area tells.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Features {
    pub(super) cpu_id: bool,
    pub(super) node_id: bool,
    pub(super) mm_cid: bool,
    pub(super) slice_extension: bool,
}

/// The barriers that the kernel lets this process use.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Membarrier {
    /// Every command that the kernel has, by name; percid needs few of them.
    pub(super) commands: Vec<String>,
    pub(super) private_expedited: bool,
    pub(super) private_expedited_rseq: bool,
}

/// How many CPUs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Cpus {
    /// That this kernel can ever have.
    pub(super) possible: u32,
    /// That percid expects: other than the above if the environment says so.
    pub(super) assumed: u32,
    pub(super) online: usize,
    pub(super) allowed: usize,
}

/// A variable of the environment that changes what percid does.
#[derive(Debug, Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) effect: &'static str,
}

impl Facts {
    pub(super) fn gather() -> Facts {
        let commands = membarrier::commands();
        Facts {
            machine: Machine::here(),
            backend: percid::backend(),
            rseq: rseq(),
            membarrier: Membarrier {
                commands: command_names(commands.mask),
                private_expedited: commands.private_expedited,
                private_expedited_rseq: commands.private_expedited_rseq,
            },
            trial: trial_of_kernel(),
            cpus: Cpus {
                possible: percid_rseq::possible_cpus(),
                assumed: percid_cid::possible_cids(),
                online: cpus::online(),
                allowed: cpus::allowed().len(),
            },
            environment: environment(),
            arena: Counter::try_new()
                .map(|_| percid::arena_stats().reserved)
                .map_err(|why| why.to_string()),
        }
    }
}

fn rseq() -> Rseq {
    let (advertised_size, advertised_align) = advertised();
    let advertised = Rseq {
        advertised_size,
        advertised_align,
        supported: percid_rseq::section::SUPPORTED,
        exit_points: exit_points::of_this_program(),
        ..Rseq::default()
    };
    match percid_rseq::registration() {
        Err(why) => Rseq {
            refused: Some(why),
            ..advertised
        },
        Ok(found) => Rseq {
            owner: Some(match found.owner {
                Owner::Libc => "libc",
                Owner::Percid => "percid",
            }),
            registered_size: Some(found.size),
            registered_align: Some(found.align),
            features: Features {
                cpu_id: true,
                node_id: found.features.node_id,
                mm_cid: found.features.mm_cid,
                slice_extension: found.features.slice_extension,
            },
            ..advertised
        },
    }
}

/// Size and alignment from the auxiliary vector. Also where nothing could be
/// registered, and nothing where the kernel says nothing.
fn advertised() -> (Option<u32>, Option<u32>) {
    const AT_RSEQ_FEATURE_SIZE: usize = 27;
    const AT_RSEQ_ALIGN: usize = 28;
    const WORD: usize = size_of::<usize>();
    let vector = fs::read("/proc/self/auxv").unwrap_or_default();
    let words: Vec<usize> = vector
        .chunks_exact(WORD)
        .filter_map(|word| Some(usize::from_ne_bytes(word.try_into().ok()?)))
        .collect();
    let value = |key| {
        let pair = words.chunks_exact(2).find(|pair| pair[0] == key)?;
        u32::try_from(pair[1]).ok()
    };
    (value(AT_RSEQ_FEATURE_SIZE), value(AT_RSEQ_ALIGN))
}

/// Disturbs sections again and again, until each disturbance was seen to abort some or
/// patience is over.
fn trial_of_kernel() -> Result<Trial, &'static str> {
    const ROUNDS: u32 = 20;
    const PATIENCE: u32 = 10;
    let skip = requested(TRIAL_VARIABLE).is_some_and(|value| value.as_str() == "skip");
    if skip {
        return Err("PERCID_TRIAL=skip was set");
    }
    if percid_rseq::enter_thread().is_err() {
        return Err("there are no sections here");
    }
    let mut trial = Trial::default();
    for _ in 0..PATIENCE {
        trial = trial::run(&Disturbance::ALL, ROUNDS);
        let known = |one| trial.verdict(one) != Verdict::Unverified;
        if trial.broken().is_some() || Disturbance::ALL.into_iter().all(known) {
            break;
        }
    }
    Ok(trial)
}

fn environment() -> Vec<Variable> {
    const TUNABLES: &str = "GLIBC_TUNABLES";
    const RSEQ: &str = "glibc.pthread.rseq=";
    let mut found = Vec::new();
    let mut add = |name: &str, effect| {
        let value = std::env::var_os(name).unwrap_or_default();
        found.push(Variable {
            name: name.to_owned(),
            value: value.to_string_lossy().into_owned(),
            effect,
        });
    };
    if let Some(value) = requested(BACKEND_VARIABLE) {
        add(
            BACKEND_VARIABLE,
            match value.as_str() {
                "fallback" => "percid uses no sections",
                "table" => "percid keeps the process's ids although the kernel does",
                _ => "warning: not a known value, ignored: 'fallback', 'table'",
            },
        );
    }
    if let Some(value) = requested(POSSIBLE_VARIABLE) {
        add(
            POSSIBLE_VARIABLE,
            match value.as_str().parse::<u32>() {
                Ok(1..=65536) => "percid expects as many ids",
                Ok(_) => "warning: outside of 1 to 65536, the nearest of which is used",
                Err(_) => "warning: not a number, ignored",
            },
        );
    }
    if let Some(value) = requested(TRIAL_VARIABLE) {
        add(
            TRIAL_VARIABLE,
            match value.as_str() {
                "skip" => "percid does not try the kernel at its first use",
                "fail" => "percid believes that this kernel does not restart sections",
                "fail-fence" => "percid believes that fences do not abort sections",
                _ => "warning: not a known value, ignored: 'skip', 'fail', 'fail-fence'",
            },
        );
    }
    let known = [BACKEND_VARIABLE, POSSIBLE_VARIABLE, TRIAL_VARIABLE];
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("PERCID_") && !known.contains(&&*name) {
            add(&name, "warning: percid does not look at it");
        }
    }
    let tunables = std::env::var(TUNABLES).unwrap_or_default();
    let of_rseq = tunables
        .split(':')
        .rev()
        .find_map(|one| one.strip_prefix(RSEQ));
    if let Some(value) = of_rseq {
        add(
            TUNABLES,
            match value {
                "0" => "libc registers no areas, so percid registers its own",
                _ => "libc registers areas, as it does anyway",
            },
        );
    }
    found
}

/// The names of the commands in a mask, as the kernel's header has them.
fn command_names(mask: u32) -> Vec<String> {
    const NAMES: [&str; 10] = [
        "global",
        "global_expedited",
        "register_global_expedited",
        "private_expedited",
        "register_private_expedited",
        "private_expedited_sync_core",
        "register_private_expedited_sync_core",
        "private_expedited_rseq",
        "register_private_expedited_rseq",
        "get_registrations",
    ];
    (0..u32::BITS)
        .filter(|bit| mask >> bit & 1 == 1)
        .map(|bit| match NAMES.get(bit as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("{:#x}", 1_u32 << bit),
        })
        .collect()
}

fn as_text<S: serde::Serializer>(
    error: &Option<RegistrationError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(error),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED` of the kernel's header.
    const PRIVATE_EXPEDITED: u32 = 1 << 3;
    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ`.
    const PRIVATE_EXPEDITED_RSEQ: u32 = 1 << 7;

    #[test]
    fn commands_have_the_names_of_the_kernel() {
        assert!(command_names(0).is_empty());
        assert_eq!(command_names(1), ["global"]);
        let names = command_names(PRIVATE_EXPEDITED | PRIVATE_EXPEDITED_RSEQ);
        assert_eq!(names, ["private_expedited", "private_expedited_rseq"]);
        assert_eq!(command_names(1 << 30), ["0x40000000"]);
    }
}
