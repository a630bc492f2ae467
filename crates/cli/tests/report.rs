//! `percid report`: what the page holds, never how fast anything is.

mod common;

use std::fs;

use common::{Directory, percid, run};
use percid_benches::suite::SUITES;

#[test]
fn a_page_of_a_record_measures_nothing() {
    let directory = Directory::new();
    let json = directory.file("run.json");
    let (page, again) = (directory.file("page.html"), directory.file("again.html"));
    let said = run(&mut percid(&[
        "bench",
        "counter",
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

/// Every suite is found by the registry; none is named here.
#[test]
fn a_record_of_every_suite_is_a_section_for_each() {
    let directory = Directory::new();
    let (json, page) = (directory.file("run.json"), directory.file("page.html"));
    let said = run(&mut percid(&["bench", "--threads", "1", "--json", &json]));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("percid bench all"), "{}", said.out);
    let said = run(&mut percid(&["report", "--from", &json, "--out", &page]));
    assert_eq!(said.code, Some(0), "{said:?}");
    let text = fs::read_to_string(&page).unwrap();
    for suite in SUITES {
        if (suite.available)().is_ok() {
            let section = format!("id=\"suite-{}\"", suite.name);
            assert!(text.contains(&section), "{section}");
        }
    }
}

#[test]
fn a_page_that_cannot_be_written_is_found_before_the_run() {
    let directory = Directory::new();
    let page = directory.file("missing/page.html");
    let said = run(&mut percid(&["report", "--out", &page]));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("nothing was measured"), "{}", said.err);
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
