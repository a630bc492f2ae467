//! `percid sim`: what it says and leaves.

mod common;

use std::fs;

use common::{Directory, Said, percid, run};
use serde_json::Value;

fn sim(arguments: &[&str]) -> Said {
    run(&mut percid(&[&["sim"], arguments].concat()))
}

#[test]
fn the_list_names_workloads_policies_and_costs() {
    let said = sim(&["list"]);
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    for name in [
        "roaming",
        "hackbench",
        "rfc-v6",
        "percid-strict",
        "linux-6.19",
        "fence_idle",
    ] {
        assert!(said.out.contains(name), "{name} in {}", said.out);
    }
}

/// One run, with all that it can write.
fn leave(directory: &Directory, seed: &str) -> (Said, Vec<String>) {
    let [json, csv, svg] = ["out.json", "out.csv", "plots"].map(|name| directory.file(name));
    let said = sim(&[
        "run", "roaming", "--cpus", "8", "--time", "250ms", "--seed", seed, "--json", &json,
        "--csv", &csv, "--svg", &svg,
    ]);
    let mut files = vec![json, csv];
    let mut plots: Vec<String> = fs::read_dir(svg)
        .expect("the plots are there")
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .collect();
    plots.sort();
    files.extend(plots);
    let texts = files
        .iter()
        .map(|file| fs::read_to_string(file).expect(file));
    (said, texts.collect())
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    let directories = [Directory::new(), Directory::new(), Directory::new()];
    let [one, two, other] = [0, 1, 2].map(|at| leave(&directories[at], ["7", "7", "8"][at]));
    assert_eq!((one.0.code, &*one.0.err), (Some(0), ""));
    assert_eq!(one.0.out, two.0.out);
    assert_eq!(one.1.len(), 4);
    assert_eq!(one.1, two.1);
    assert_ne!(one.1[0], other.1[0]);
}

#[test]
fn what_a_run_leaves() {
    let directory = Directory::new();
    let (said, files) = leave(&directory, "1");
    assert!(said.out.contains("rfc-v6"), "{}", said.out);
    let json: Value = serde_json::from_str(&files[0]).expect("JSON");
    let used = |policy: &str| {
        let reports = json["reports"].as_array().expect("reports");
        let found = reports.iter().find(|report| report["policy"] == policy);
        found.expect(policy)["ids"]["highest"].clone()
    };
    assert_eq!(
        (used("rfc-v6"), used("percid-strict")),
        (8.into(), 1.into())
    );
    assert_eq!(json["costs"][0]["name"], "hit");
    assert_eq!(files[1].lines().count(), 11);
    assert!(files[2].starts_with("<svg") && files[3].contains("percid-strict"));
    assert_eq!(directory.names(), ["out.csv", "out.json", "plots"]);
}

#[test]
fn chosen_policies_and_costs() {
    let said = sim(&[
        "run",
        "roaming",
        "--cpus",
        "4",
        "--time",
        "20ms",
        "--policies",
        "thread,rfc-v3,thread",
        "--cost",
        "far=1",
        "--cost",
        "near=2",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("rfc-v3") && !said.out.contains("rfc-v6"));
    assert_eq!(said.out.matches("\n| thread").count(), 2, "{}", said.out);
}

#[test]
fn what_cannot_be_run_says_why() {
    for (arguments, why) in [
        (
            ["run", "roaming", "--cpus", "0"].as_slice(),
            "from 1 to 8192",
        ),
        (&["run", "roaming", "--cpus", "9000"], "9000 CPUs"),
        (&["run", "roaming", "--cpus-per-l3", "0"], "whole L3 groups"),
        (&["run", "pool", "--cpuset", ""], "without a CPU"),
        (
            &["run", "pool", "--cpuset", "64-70"],
            "none of the CPUs 64-70",
        ),
        (&["run", "pool", "--cpuset", "3-x"], "'x' is no CPU"),
        (&["run", "idle"], "no workload 'idle'"),
        (&["run", "pool", "--policies", "best"], "no policy 'best'"),
        (&["run", "pool", "--time", "0s"], "more than nothing"),
        (&["run", "pool", "--time", "soon"], "as in 500ms or 2s"),
        (&["run", "pool", "--threads", "99999999"], "1..=65536"),
        (&["run", "pool", "--threads", "0"], "1..=65536"),
        (&["run", "pool", "--cost", "fra=1"], "no cost 'fra'"),
        (
            &["run", "pool", "--json", "/nowhere/x.json"],
            "nothing was run",
        ),
        (&["trace", "/nowhere/trace.txt"], "cannot read the trace"),
        (&["lineage", "--only", "moon"], "no run 'moon'"),
    ] {
        let said = sim(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(why), "{arguments:?}: {}", said.err);
        assert_eq!(said.out, "", "{arguments:?}");
    }
}

#[test]
fn cpus_that_the_machine_has_not_are_noted() {
    let few = ["run", "roaming", "--cpus", "4", "--time", "1ms", "--cpuset"];
    let said = sim(&[few.as_slice(), &["2-9"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err.contains("note: the machine has 4 CPUs"),
        "{}",
        said.err
    );
    assert_eq!(sim(&[few.as_slice(), &["2-3"]].concat()).err, "");
}

const TRACE: &str = "\
worker  100/101  [001]  12.000001000: sched:sched_switch: worker:101 [120] S ==> swapper/1:0 [120]
swapper    0/0   [000]  12.000002000: sched:sched_switch: swapper/0:0 [120] R ==> worker:102 [120]
worker  100/102  [000]  12.000900000: sched:sched_switch: worker:102 [120] S ==> worker:101 [120]
worker  100/101  [000]  12.002000000: sched:sched_switch: worker:101 [120] S ==> swapper/0:0 [120]
";

#[test]
fn traces_drive_policies() {
    let directory = Directory::new();
    let file = directory.file("trace.txt");
    fs::write(&file, TRACE).expect("a trace");
    let said = sim(&["trace", &file]);
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    assert!(said.out.contains("4 events, 2 CPUs"), "{}", said.out);
    fs::write(&file, TRACE.replace("100/", "").replace("0/0 ", "0 ")).expect("a trace");
    assert!(
        sim(&["trace", &file])
            .err
            .contains("threads of the same name")
    );
    let said = sim(&["trace", &file, "--process", "nobody"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("no thread 'nobody'"), "{}", said.err);
    let said = sim(&["trace", &file, "--cpus", "1"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("the trace has 2 CPUs"), "{}", said.err);
}

#[test]
fn traces_that_are_none_say_where() {
    let directory = Directory::new();
    let file = directory.file("trace.txt");
    for (text, line, why) in [
        (&TRACE[..TRACE.len() - 20], "line 4", "cut off"),
        ("foreign\n", "line 1", "no output of perf sched script"),
        ("", "line 1", "no context switch"),
    ] {
        fs::write(&file, text).expect("a trace");
        let said = sim(&["trace", &file]);
        assert_eq!(said.code, Some(2));
        assert!(
            said.err.contains(line) && said.err.contains(why),
            "{}",
            said.err
        );
        assert!(said.err.contains("trace.txt"), "{}", said.err);
    }
}

#[test]
fn a_part_of_the_lineage_is_a_page() {
    let directory = Directory::new();
    let [page, csv] = ["page.html", "all.csv"].map(|name| directory.file(name));
    let said = sim(&[
        "lineage",
        "--quick",
        "--only",
        "roaming,bursts",
        "--out",
        &page,
        "--csv",
        &csv,
    ]);
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    assert!(said.out.contains("agrees"), "{}", said.out);
    assert!(!said.out.contains("sysbench"), "{}", said.out);
    let page = fs::read_to_string(page).expect("a page");
    for wanted in [
        "ids up to 64 of 64",
        "<svg",
        "Aaron Lu",
        "rfc-v6",
        "fence_idle",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(!page.contains("<script"));
    let csv = fs::read_to_string(csv).expect("a table");
    assert_eq!(csv.lines().count(), 21);
}
