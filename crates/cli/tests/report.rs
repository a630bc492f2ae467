//! `percid report`: what the page holds, never how fast anything is.

mod common;

use std::fs;

use common::{Directory, percid, run};
use percid_benches::machine::Machine;
use percid_benches::plan::plan;
use percid_benches::record::{Figure, Record};
use percid_benches::suite::SUITES;

#[test]
fn a_page_of_a_record_measures_nothing() {
    let directory = Directory::new();
    let json = directory.file("run.json");
    let (page, again) = (directory.file("page.html"), directory.file("again.html"));
    let said = run(&mut percid(&[
        "bench",
        "counter/add_one",
        "counter/memory",
        "--quick",
        "--threads",
        "1",
        "--json",
        &json,
    ]));
    assert_eq!(said.code, Some(0), "{said:?}");
    for page in [&page, &again] {
        let said = run(&mut percid(&["report", "--from", &json, "--out", page]));
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.contains(page.as_str()), "{}", said.out);
        assert!(said.out.contains("best of its peers"), "{}", said.out);
        assert_eq!(said.err, "");
    }
    let text = fs::read_to_string(&page).unwrap();
    assert_eq!(text, fs::read_to_string(&again).unwrap());
    assert!(text.starts_with("<!DOCTYPE html>"));
    for name in [
        "add_one",
        "memory",
        "thread_local",
        "percid_fallback",
        "<svg",
    ] {
        assert!(text.contains(name), "{name}");
    }
    assert!(!text.contains("NaN"));
    assert_eq!(directory.names(), ["again.html", "page.html", "run.json"]);
}

/// Figures for every suite that the registry has; none is named here.
fn record_of_everything() -> Record {
    let mut figures = Vec::new();
    for job in plan(&SUITES, &[1, 2]) {
        for &threads in &job.threads {
            for implementation in job.case.method.implementations() {
                let median = 1.0 + figures.len() as f64;
                figures.push(Figure {
                    suite: job.suite.name.into(),
                    case: job.case.name.into(),
                    implementation: implementation.into(),
                    threads,
                    unit: job.case.unit.into(),
                    median,
                    quartiles: Some([median * 0.9, median * 1.1]),
                    min: median * 0.8,
                    max: median * 1.3,
                    runs: 9,
                });
            }
        }
    }
    Record::new(Machine::here(), figures)
}

/// As the page has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[test]
fn every_suite_is_a_section_with_its_comparisons() {
    let directory = Directory::new();
    let (json, page) = (directory.file("run.json"), directory.file("page.html"));
    let record = serde_json::to_string(&record_of_everything()).unwrap();
    fs::write(&json, record).unwrap();
    let said = run(&mut percid(&["report", "--from", &json, "--out", &page]));
    assert_eq!(said.code, Some(0), "{said:?}");
    let text = fs::read_to_string(&page).unwrap();
    for suite in SUITES {
        assert!(text.contains(&format!("id=\"suite-{}\"", suite.name)));
        for comparison in suite.comparisons {
            assert!(
                text.contains(&escaped(comparison.what)),
                "{}",
                comparison.what
            );
        }
        for case in suite.cases {
            assert!(text.contains(&escaped(case.about)), "{}", case.about);
            let anchor = format!("suite-{}-{}", suite.name, case.name);
            assert!(text.contains(&format!("id=\"{anchor}\"")), "{anchor}");
        }
    }
}

#[test]
fn a_first_look_says_what_there_is_beyond_it() {
    let said = run(&mut percid(&["bench", "--threads", "1"]));
    assert_eq!(said.code, Some(0), "{said:?}");
    for suite in SUITES {
        if (suite.available)().is_ok() {
            let title = format!("{} {}: ", suite.name, suite.cases[0].name);
            assert!(said.out.contains(&title), "{title} in {}", said.out);
        }
    }
    assert!(said.out.contains("percid bench all"), "{}", said.out);
}

#[test]
fn a_page_that_cannot_be_written_is_found_before_the_run() {
    let directory = Directory::new();
    let page = directory.file("missing/page.html");
    let said = run(&mut percid(&["report", "--out", &page]));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("nothing was run"), "{}", said.err);
    assert!(directory.names().is_empty());
}

#[test]
fn a_record_that_is_none_makes_no_page() {
    let directory = Directory::new();
    let (json, page) = (directory.file("run.json"), directory.file("page.html"));
    fs::write(&json, "{}").unwrap();
    let said = run(&mut percid(&["report", "--from", &json, "--out", &page]));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(directory.names(), ["run.json"]);
    let said = run(&mut percid(&["report", "--from", &json, "--quick"]));
    assert_eq!(said.code, Some(2), "{said:?}");
}
