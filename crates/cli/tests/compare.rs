//! `percid bench compare`: exit codes, and what it says of files that are no records.

mod common;

use std::fs;

use common::{Directory, Said, percid, run};
use serde_json::{Value, json};

fn figure(implementation: &str, median: f64) -> Value {
    json!({
        "suite": "counter", "case": "add_one", "impl": implementation, "threads": 1,
        "unit": "ns/op", "median": median, "quartiles": [median * 0.99, median * 1.01],
        "min": median * 0.9, "max": median * 1.2, "runs": 31
    })
}

fn record(own: f64, peer: f64) -> Value {
    json!({
        "schema_version": 1,
        "machine": {
            "arch": "x86_64", "cpu": "a CPU", "cpus_online": 2, "cpus_allowed": 2,
            "kernel": "6.18", "libc": { "name": "glibc", "version": "2.36" },
            "backend": "mm_cid", "backend_reason": "a reason"
        },
        "cases": [figure("percid", own), figure("atomic_shared", peer)]
    })
}

fn compare(before: &Value, after: &Value, more: &[&str]) -> Said {
    let directory = Directory::new();
    let (a, b) = (directory.file("a.json"), directory.file("b.json"));
    fs::write(&a, before.to_string()).unwrap();
    fs::write(&b, after.to_string()).unwrap();
    run(&mut percid(&[&["bench", "compare", &a, &b], more].concat()))
}

#[test]
fn a_regression_ends_with_1() {
    let said = compare(&record(1.0, 5.0), &record(1.2, 5.0), &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("WORSE"), "{}", said.out);
    assert!(said.out.contains("+20.0 %"), "{}", said.out);
    assert!(
        said.out.contains("1 of percid worse by more than 10 %"),
        "{}",
        said.out
    );
    assert_eq!(said.err, "");
    assert!(!said.out.contains('\u{1b}'), "{}", said.out);
}

#[test]
fn the_threshold_is_stated_and_heeded() {
    let (before, after) = (record(1.0, 5.0), record(1.2, 5.0));
    let said = compare(&before, &after, &["--threshold", "25"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("more than 25 %"), "{}", said.out);
    for bad in ["much", "-1"] {
        let said = compare(&before, &after, &["--threshold", bad]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains("in percent"), "{}", said.err);
    }
}

#[test]
fn no_regression_ends_with_0() {
    for after in [
        record(1.0, 5.0),
        record(0.5, 5.0),
        record(1.2, 6.0),
        record(1.0, 9.0),
    ] {
        let said = compare(&record(1.0, 5.0), &after, &[]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.contains("0 of percid worse"), "{}", said.out);
    }
}

#[test]
fn a_disturbed_run_is_noted() {
    let said = compare(&record(1.0, 5.0), &record(1.0, 9.0), &[]);
    assert!(said.err.contains("1 of 1 figures of peers"), "{}", said.err);
    let said = compare(&record(1.0, 5.0), &record(1.3, 5.1), &[]);
    assert_eq!(said.err, "");
}

#[test]
fn every_figure_can_be_shown() {
    let same = record(1.0, 5.0);
    assert!(!compare(&same, &same, &[]).out.contains("atomic_shared"));
    let all = compare(&same, &same, &["--all"]).out;
    assert!(
        all.contains("atomic_shared") && all.contains("percid"),
        "{all}"
    );
}

#[test]
fn other_machines_are_noted() {
    let mut other = record(1.0, 5.0);
    other["machine"]["cpu"] = "another CPU".into();
    let said = compare(&record(1.0, 5.0), &other, &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("CPU: a CPU, then another CPU"),
        "{}",
        said.err
    );
}

#[test]
fn what_is_no_record_is_refused() {
    let good = record(1.0, 5.0);
    let mut newer = good.clone();
    newer["schema_version"] = 7.into();
    let mut disordered = good.clone();
    disordered["cases"][0]["median"] = 99.0.into();
    disordered["cases"][0]["min"] = 98.0.into();
    let mut beyond = good.clone();
    beyond["cases"][0]["median"] = 99.0.into();
    let mut foreign = good.clone();
    foreign["cases"] = json!([]);
    for (bad, why) in [
        (json!([1, 2]), "no schema_version"),
        (json!({ "schema_version": 1 }), "missing field"),
        (newer, "schema version 7, and this program reads version 1"),
        (disordered, "in no order"),
        (beyond, "in no order"),
        (foreign, "no figure in common"),
    ] {
        for said in [compare(&bad, &good, &[]), compare(&good, &bad, &[])] {
            assert_eq!(said.code, Some(2), "{said:?}");
            assert!(said.err.contains(why), "{why} in {}", said.err);
            assert!(said.err.contains(".json"), "{}", said.err);
            assert_eq!(said.out, "");
        }
    }
    let directory = Directory::new();
    let (text, none) = (directory.file("text"), directory.file("none"));
    fs::write(&text, "not JSON").unwrap();
    for bad in [&text, &none] {
        let said = run(&mut percid(&["bench", "compare", bad, bad]));
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(bad.as_str()), "{}", said.err);
    }
    assert_eq!(run(&mut percid(&["bench", "compare", &text])).code, Some(2));
}
