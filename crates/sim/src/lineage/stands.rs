//! The workloads and machines that the lineage runs.

use crate::bill::Time;
use crate::costs::Costs;
use crate::error::Error;
use crate::machine::Machine;
use crate::scenario::Scenario;
use crate::workload::{Kind, MILLISECOND};

/// One row of runs: a workload on a machine, for every policy.
#[derive(Clone, Debug)]
pub struct Stand {
    /// How it is called in comparisons.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// The runs.
    pub scenario: Scenario,
}

/// The machine of the published figures: two sockets, 112 cores, 224 CPUs.
const SERVER: (u32, u32, u32) = (224, 112, 112);

/// The runs of the lineage. `quick`: shorter ones, for a first look.
///
/// # Errors
///
/// None, as long as the machines are sound.
pub fn stands(costs: &Costs, seed: u64, quick: bool) -> Result<Vec<Stand>, Error> {
    let server = Machine::new(SERVER.0, SERVER.1, SERVER.2)?;
    let small = Machine::new(64, 16, 32)?;
    let middle = Machine::new(256, 32, 128)?;
    let fifty_six = Machine::new(56, 28, 28)?;
    let brief = |full: Time, quickly: Time| if quick { quickly } else { full };
    let stand = |name, about, machine, workload, threads, duration: Time| {
        let mut scenario = Scenario::new(machine, workload);
        scenario.sizes.threads = threads;
        scenario.sizes.duration = duration * MILLISECOND;
        scenario.costs = costs.clone();
        scenario.seed = seed;
        Stand {
            name,
            about,
            scenario,
        }
    };
    Ok(vec![
        stand(
            "sysbench-56",
            "56 clients on the 224 CPUs of the published figures",
            server,
            Kind::Sysbench,
            56,
            brief(500, 120),
        ),
        stand(
            "sysbench-224",
            "224 clients on 224 CPUs",
            server,
            Kind::Sysbench,
            224,
            brief(500, 120),
        ),
        stand(
            "sysbench-56-cpus",
            "56 clients on 56 CPUs, two sockets of 28",
            fifty_six,
            Kind::Sysbench,
            56,
            brief(500, 120),
        ),
        stand(
            "hackbench",
            "28 groups of 40 threads on 224 CPUs",
            server,
            Kind::Hackbench,
            28 * 40,
            brief(300, 40),
        ),
        stand(
            "roaming",
            "one thread that hops over 64 CPUs, a millisecond on each",
            small,
            Kind::Roaming,
            1,
            1000,
        ),
        stand(
            "bursts",
            "32 threads in bursts with pauses of 200 ms, beside one that never pauses, on 64 CPUs",
            small,
            Kind::Bursts,
            32,
            brief(4000, 1500),
        ),
        stand(
            "pool",
            "a pool of 4, then 512, then 257 threads on 256 CPUs",
            middle,
            Kind::Pool,
            512,
            brief(1500, 450),
        ),
        stand(
            "cpuset",
            "64 threads within 8 CPUs, then on all 64",
            small,
            Kind::Cpuset,
            64,
            brief(1200, 600),
        ),
        stand(
            "oscillate",
            "a pool that swings from 48 to 81 threads on 64 CPUs",
            small,
            Kind::Oscillate,
            0,
            brief(1200, 400),
        ),
    ])
}
