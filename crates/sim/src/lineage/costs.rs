//! What handling of ids costs: shares of time, and the longest scan.

use super::{Comparison, Runs, Verdict, against, holds, later, percent};
use crate::policy::Name;

const REPORT: &str = "Aaron Lu, rq lock contention due to commit af7f588d8f73, 27 March 2023";
const ON_V6: &str = "Aaron Lu, reply to RFC v6, 14 April 2023";
const ON_V8: &str = "Aaron Lu, reply to RFC v8, 18 April 2023 (v8 is nearly what Linux 6.4 has)";
const REWRITE: &str = "Thomas Gleixner, sched: Rewrite MM CID management, 15 October 2025";

pub(super) fn lock_share(runs: &Runs, stand: &'static str, published: f64) -> Option<Comparison> {
    let share = runs.find(stand, Name::Linux63)?.shares.lock_wait;
    let at_56 = stand == "sysbench-56";
    Some(Comparison {
        what: if at_56 {
            "Linux 6.3, sysbench, 56 threads: time in the lock's slow path"
        } else {
            "Linux 6.3, sysbench, 224 threads: time in the lock's slow path"
        },
        published: if at_56 { "43.20 %" } else { "75 %" },
        source: REPORT,
        simulated: percent(share),
        verdict: against(share, published - 0.05, published + 0.05, 1.4),
        why: "The lock of the clients' process is taken twice for every query of every client, and \
              handed from core to core: it is saturated, and the share is what is left of a query's \
              time. How large that is depends on how long a query takes otherwise, and on how far \
              lines travel; neither is known of the published machine, and neither was fitted. The \
              published figure is of all spin locks; waiting for the run queue of a CPU whose switch \
              waits for this one is not simulated.",
    })
}

pub(super) fn small_machine(runs: &Runs) -> Option<Comparison> {
    let share = runs
        .find("sysbench-56-cpus", Name::Linux63)?
        .shares
        .lock_wait;
    Some(Comparison {
        what: "Linux 6.3, sysbench, 56 threads on a machine of 56 CPUs: time in the lock's slow path",
        published: "tens of percent, on 224 CPUs",
        source: REPORT,
        simulated: percent(share),
        verdict: against(share, 0.1, 0.8, 2.0),
        why: "On a quarter of the machine the servers share CPUs with the clients, so queries take \
              longer, and the lock is at the edge of what it can hand out.",
    })
}

pub(super) fn order_of_locks(runs: &Runs) -> Option<Comparison> {
    let of = |stand, name| Some(runs.find(stand, name)?.shares.ids);
    let old = [
        of("sysbench-56", Name::Linux63)?,
        of("sysbench-224", Name::Linux63)?,
    ];
    let mut most: f64 = 0.0;
    for stand in ["sysbench-56", "sysbench-224", "sysbench-56-cpus"] {
        for name in later() {
            most = most.max(of(stand, name)?);
        }
    }
    Some(Comparison {
        what: "order on sysbench: 6.3 collapses, more so with more threads; nothing later does",
        published: "43 % and 75 %; later versions below 2 %",
        source: REPORT,
        simulated: format!(
            "{} and {}; every later policy at most {}",
            percent(old[0]),
            percent(old[1]),
            percent(most)
        ),
        verdict: holds(old[0] > 0.1 && old[1] > old[0] && most < 0.05),
        why: "A CPU that keeps its id between switches takes no lock and writes no shared line.",
    })
}

pub(super) fn sysbench_v6(runs: &Runs) -> Option<Comparison> {
    let few = runs.find("sysbench-56", Name::V6)?.shares.get;
    let many = runs.find("sysbench-224", Name::V6)?.shares.get;
    let worse = few.max(many);
    Some(Comparison {
        what: "v6, sysbench: mm_cid_get()",
        published: "0.2 to 1.2 %",
        source: ON_V6,
        simulated: format!("{} (56 threads), {} (224)", percent(few), percent(many)),
        verdict: against(worse, 0.002, 0.012, 3.0),
        why: "Nearly all of it is one load: the pointer to the per-CPU ids was in the cache line of \
              mm_count, which every CPU writes that goes from a client to idle and back. With 224 \
              clients on 224 CPUs the simulated CPUs are hardly ever idle, so the line rests; a real \
              machine has other reasons to be idle. The number of published threads is not said.",
    })
}

pub(super) fn hackbench_v6(runs: &Runs) -> Option<Comparison> {
    let share = runs.find("hackbench", Name::V6)?.shares.get;
    Some(Comparison {
        what: "v6, hackbench: mm_cid_get()",
        published: "2 to 7 %",
        source: ON_V6,
        simulated: percent(share),
        verdict: against(share, 0.02, 0.07, 4.0),
        why: "The same load as with sysbench, but a switch every few microseconds: the line is asked \
              for more often than it can travel, and loads queue for it.",
    })
}

pub(super) fn sysbench_64(runs: &Runs) -> Option<Comparison> {
    let report = runs.find("sysbench-224", Name::Linux64)?;
    let (get, migrate) = (report.shares.get, report.shares.migrate);
    Some(Comparison {
        what: "6.4 (v8), sysbench: mm_cid_get() and sched_mm_cid_migrate_to()",
        published: "0.1 to 0.3 % and 0.1 to 0.4 %",
        source: ON_V8,
        simulated: format!("{} and {} (224 threads)", percent(get), percent(migrate)),
        verdict: match against(get, 0.001, 0.003, 4.0) {
            Verdict::Agrees if (0.001..=0.004).contains(&migrate) => Verdict::Agrees,
            Verdict::Differs => Verdict::Differs,
            _ => Verdict::Direction,
        },
        why: "The simulated scheduler migrates threads less than a real one under this load, so its \
              hook costs less; each call costs about the same.",
    })
}

pub(super) fn hackbench_64(runs: &Runs) -> Option<Comparison> {
    let report = runs.find("hackbench", Name::Linux64)?;
    let (get, migrate) = (report.shares.get, report.shares.migrate);
    let direction = get > migrate && migrate > 0.002 && get < 0.16;
    Some(Comparison {
        what: "6.4 (v8), hackbench: mm_cid_get() and sched_mm_cid_migrate_to()",
        published: "7 to 8 % and 3 to 4 %",
        source: ON_V8,
        simulated: format!("{} and {}", percent(get), percent(migrate)),
        verdict: if (0.07..=0.08).contains(&get) && (0.03..=0.04).contains(&migrate) {
            Verdict::Agrees
        } else if direction {
            Verdict::Direction
        } else {
            Verdict::Differs
        },
        why: "Both are misses of the same line (perf annotate in the thread shows 64 % of either on the \
              load of mm->pcpu_cid). The published kernel was built with checks of preemption, whose \
              calls stand in the same listing, and its messages may be shorter than a microsecond.",
    })
}

pub(super) fn hooks(runs: &Runs) -> Option<Comparison> {
    let of = |name| Some(runs.find("hackbench", name)?.shares.migrate);
    let (v3, v6) = (of(Name::V3)?, of(Name::V6)?);
    Some(Comparison {
        what: "hackbench: the hooks of v3 cost what v6 saves, for migration is a hot path",
        published: "the reason that v6 gives for having none",
        source: "Mathieu Desnoyers, RFC v6, 13 April 2023",
        simulated: format!("v3 {}, v6 {}", percent(v3), percent(v6)),
        verdict: holds(v3 > v6 && v3 > 0.0005),
        why: "A hook reads the slots of two CPUs and changes one, all of them far away.",
    })
}

pub(super) fn rewrite(runs: &Runs) -> Option<Comparison> {
    let of = |name| Some(runs.find("sysbench-224", name)?.shares.ids);
    let (before, after) = (of(Name::Linux614)?, of(Name::Linux619)?);
    Some(Comparison {
        what: "6.19 against its predecessors, sysbench with as many threads as CPUs",
        published: "__schedule() falls from 0.42 to 0.30 %: the common case is almost invisible",
        source: REWRITE,
        simulated: format!(
            "ids: {} before, {} with 6.19",
            percent(before),
            percent(after)
        ),
        verdict: holds(after < before),
        why: "A task that owns its id has nothing to ask for. What is compared is all of id handling with \
              the change of a function that does much else, so only the direction counts.",
    })
}

pub(super) fn scan(runs: &Runs) -> Option<Comparison> {
    let of = |name| Some(runs.find("sysbench-224", name)?.tally.longest_scan);
    let (hook, rewritten) = (of(Name::Linux64)?, of(Name::Linux619)?);
    let strict = of(Name::Strict)?;
    Some(Comparison {
        what: "the longest scan of one process, in the context of a thread, on 224 CPUs",
        published: "latency spikes of task_mm_cid_work(), which are gone with 6.19",
        source: "Gabriele Monaco, replies to the rewrite, October 2025",
        simulated: format!(
            "6.4: {} us; 6.19: {} us; strict domain: {} us",
            hook / 1000,
            rewritten / 1000,
            strict / 1000
        ),
        verdict: holds(hook > 10_000 && rewritten == 0),
        why: "6.4 reads a clock and a slot of every possible CPU, twice. A domain scans, too, but only \
              where a slow path was taken after the period had passed.",
    })
}
