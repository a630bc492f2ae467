//! Whole runs: what holds whatever the figures are.

use percid_sim::{Costs, CpuSet, Error, Kind, Machine, MachineError, Name, Report, Scenario};

const MS: u64 = 1_000_000;

fn scenario(cpus: u32, workload: Kind, milliseconds: u64) -> Scenario {
    let machine = Machine::new(cpus, 8, 16).unwrap();
    let mut scenario = Scenario::new(machine, workload);
    scenario.sizes.duration = milliseconds * MS;
    scenario
}

fn run(scenario: &Scenario, policy: Name) -> Report {
    scenario.run(policy).unwrap()
}

/// Debug builds look at every switch whether two CPUs run a process under one id.
#[test]
fn every_policy_survives_every_workload() {
    for workload in Kind::ALL {
        let mut scenario = scenario(16, workload, 120);
        if workload == Kind::Pool {
            scenario.sizes.threads = 40;
        }
        if workload == Kind::Hackbench || workload == Kind::Sysbench {
            scenario.sizes.duration = 15 * MS;
        }
        for policy in Name::ALL {
            let report = run(&scenario, policy);
            assert!(report.tally.switches > 0, "{workload} {policy}");
            assert!(
                report.busy > 0 && report.shares.ids < 1.0,
                "{workload} {policy}"
            );
            assert!(report.ids.highest > 0, "{workload} {policy}");
            assert!(
                report.ids.highest <= report.threads.max(16),
                "{workload} {policy}"
            );
            assert!(report.ids.without < 0.01, "{workload} {policy}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let text = |seed, policy| {
        let mut scenario = scenario(16, Kind::Oscillate, 60);
        scenario.seed = seed;
        serde_json::to_string(&run(&scenario, policy)).unwrap()
    };
    for policy in Name::ALL {
        assert_eq!(text(5, policy), text(5, policy), "{policy}");
        assert_ne!(text(5, policy), text(6, policy), "{policy}");
    }
}

#[test]
fn a_strict_domain_is_never_above_its_threads() {
    for workload in [Kind::Roaming, Kind::Pool, Kind::Oscillate] {
        let mut scenario = scenario(16, workload, 200);
        scenario.sizes.threads = match workload {
            Kind::Roaming => 3,
            _ => 24,
        };
        let report = run(&scenario, Name::Strict);
        assert!(report.ids.highest <= report.ids.bound, "{workload}");
    }
}

#[test]
fn one_roaming_thread() {
    let scenario = scenario(32, Kind::Roaming, 300);
    let highest = |policy| run(&scenario, policy).ids.highest;
    assert_eq!(highest(Name::V6), 32);
    for policy in [
        Name::V3,
        Name::Linux64,
        Name::Linux613,
        Name::Linux619,
        Name::Strict,
        Name::Thread,
    ] {
        assert_eq!(highest(policy), 1, "{policy}");
    }
}

#[test]
fn bursts_and_what_remembers_them() {
    let scenario = scenario(32, Kind::Bursts, 900);
    let same = |policy| run(&scenario, policy).ids.same_cpu_after_pause;
    assert!(same(Name::V6) < 0.5);
    assert!(same(Name::Linux64) < 0.5);
    assert!(same(Name::Linux613) > 0.9);
    assert!(same(Name::Strict) > 0.9);
}

#[test]
fn the_lock_of_6_3_collapses() {
    let mut scenario = scenario(64, Kind::Sysbench, 20);
    let share = |scenario: &Scenario, policy| run(scenario, policy).shares.lock_wait;
    let many = share(&scenario, Name::Linux63);
    scenario.sizes.threads = 4;
    let few = share(&scenario, Name::Linux63);
    assert!(many > 0.1 && few < 0.05 && many > few, "{many} {few}");
    scenario.sizes.threads = 64;
    for policy in Name::ALL.into_iter().skip(1) {
        let report = run(&scenario, policy);
        assert!(report.shares.ids < 0.05, "{policy} {}", report.shares.ids);
    }
}

#[test]
fn costs_cost() {
    let mut scenario = scenario(16, Kind::Sysbench, 20);
    let ids = |scenario: &Scenario| run(scenario, Name::Linux63).shares.nanoseconds;
    let before = ids(&scenario);
    scenario.costs.set("near=600").unwrap();
    scenario.costs.set("far=1400").unwrap();
    assert!(ids(&scenario) > 2.0 * before);
    assert_ne!(scenario.costs, Costs::default());
}

#[test]
fn threads_stay_where_they_may_run() {
    let mut scenario = scenario(16, Kind::Hackbench, 20);
    scenario.sizes.cpuset = Some("2-5".parse().unwrap());
    let report = run(&scenario, Name::Thread);
    // No more than four CPUs were busy, and ids are bounded by them.
    assert!(
        report.busy <= 4 * report.duration + 4 * 3 * MS,
        "{}",
        report.busy
    );
    assert_eq!(run(&scenario, Name::Linux613).ids.highest, 4);
}

#[test]
fn what_cannot_be_run() {
    let no = |scenario: &Scenario| scenario.run(Name::V6).unwrap_err();
    let mut it = scenario(16, Kind::Pool, 10);
    it.sizes.duration = 0;
    assert_eq!(no(&it), Error::Duration);
    it.sizes.duration = u64::MAX;
    assert_eq!(no(&it), Error::Duration);
    it.sizes.duration = MS;
    it.sizes.threads = u32::MAX;
    assert_eq!(no(&it), Error::Threads(u32::MAX));
    it.sizes.threads = 4;
    it.sizes.pause = 0;
    assert_eq!(no(&it), Error::NoTime);
    it.sizes.pause = 1;
    it.sizes.cpuset = Some(CpuSet::range(16..20));
    let message = no(&it).to_string();
    assert!(
        message.contains("16-19") && message.contains("machine's 16"),
        "{message}"
    );
    it.sizes.cpuset = Some(CpuSet::default());
    assert!(matches!(no(&it), Error::Affinity { .. }));
    assert_eq!(Machine::flat(0), Err(MachineError::Cpus(0)));
}

#[test]
fn names_and_back() {
    for name in Name::ALL {
        assert_eq!(name.as_str().parse(), Ok(name));
        assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
    }
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert!(
        "linux-6.5"
            .parse::<Name>()
            .unwrap_err()
            .contains("linux-6.4")
    );
    assert!("idle".parse::<Kind>().unwrap_err().contains("roaming"));
}
