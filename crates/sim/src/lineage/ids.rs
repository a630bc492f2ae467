//! Which ids threads get: how many, and whether they come back.

use super::{Comparison, Runs, holds, percent};
use crate::policy::Name;

const QUESTION: &str = "Aaron Lu and Mathieu Desnoyers, replies to RFC v6, 14 April 2023";
const LOCALITY: &str =
    "Mathieu Desnoyers, sched: Improve cache locality of RSEQ concurrency IDs, 2024";

pub(super) fn roaming(runs: &Runs) -> Option<Comparison> {
    let report = runs.find("roaming", Name::V6)?;
    let (highest, cpus) = (report.ids.highest, report.machine.cpus());
    Some(Comparison {
        what: "v6: one thread that roams 64 CPUs within the period fills the set of ids",
        published: "its mm_cidmask will be full; a limit of this approach",
        source: QUESTION,
        simulated: format!("ids up to {highest} of {cpus}"),
        verdict: holds(highest >= cpus - 1),
        why: "v6 takes an id back after 100 ms at the earliest, and the thread needs 64 ms for all CPUs.",
    })
}

pub(super) fn answer(runs: &Runs) -> Option<Comparison> {
    let of = |name| Some(runs.find("roaming", name)?.ids.highest);
    let hook = of(Name::Linux64)?;
    let (strict, relaxed) = (of(Name::Strict)?, of(Name::Relaxed)?);
    Some(Comparison {
        what: "the same under 6.4, whose hook moves the id, and in a percid domain",
        published: "a low overhead migration hook that will preserve the compactness",
        source: QUESTION,
        simulated: format!("6.4: {hook}; strict domain: {strict}; relaxed domain: {relaxed}"),
        verdict: holds(hook == 1 && strict == 1),
        why: "A strict domain takes the id along for the price of a membarrier. A relaxed one does so \
              eight times in a period and then takes free ids, as its documentation says.",
    })
}

pub(super) fn bursts(runs: &Runs) -> Option<Comparison> {
    let of = |name| Some(runs.find("bursts", name)?.ids.same_cpu_after_pause);
    let (v6, hook, recent) = (of(Name::V6)?, of(Name::Linux64)?, of(Name::Linux613)?);
    let (strict, relaxed) = (of(Name::Strict)?, of(Name::Relaxed)?);
    Some(Comparison {
        what: "bursts with pauses of 200 ms: an id comes back on the CPU where it was",
        published: "lost before 6.13, which speeds such programs up by up to 16.7 times",
        source: LOCALITY,
        simulated: format!(
            "v6 {}, 6.4 {}, 6.13 {}; strict domain {}, relaxed {}",
            percent(v6),
            percent(hook),
            percent(recent),
            percent(strict),
            percent(relaxed)
        ),
        verdict: holds(v6 < 0.5 && hook < 0.5 && recent > 0.9),
        why: "The scans of 6.4 and v6 free the ids of idle CPUs, and whoever wakes first gets the lowest. \
              6.13 tries the CPU's recent id first. A percid domain is scanned from slow paths and by \
              readers only: where nobody is rejected and nobody reads, an idle CPU keeps its id.",
    })
}
