//! `percid top` on files that are counters, and on others.

mod common;

use common::{Directory, percid, run};
use percid::file::Arena;
use serde_json::{Value, json};

#[test]
fn once_prints_what_was_counted() {
    let directory = Directory::new();
    let file = directory.file("counts");
    let arena = Arena::in_file(&file).unwrap();
    arena.counter("hits").unwrap().add(41);
    let misses = arena.counter("misses").unwrap();
    let answer = |counters: Value| {
        let said = run(&mut percid(&["top", "--once", "--json", &file]));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(answer["schema_version"], 1);
        assert_eq!(answer["file"], file);
        assert!(answer["cpus"].as_u64().unwrap() >= 1);
        assert_eq!(answer["counters"], counters);
    };
    answer(json!([{"name": "hits", "total": 41}, {"name": "misses", "total": 0}]));
    misses.inc();
    answer(json!([{"name": "hits", "total": 41}, {"name": "misses", "total": 1}]));
    let text = run(&mut percid(&["top", "--once", &file]));
    assert_eq!(text.code, Some(0));
    let line = |name: &str| text.out.lines().find(|line| line.contains(name)).unwrap();
    assert!(
        line("hits").contains("41") && line("misses").contains('1'),
        "{}",
        text.out
    );
}

#[test]
fn what_is_no_file_of_counters_is_refused_by_name() {
    let directory = Directory::new();
    let missing = directory.file("missing");
    let script = directory.file("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    for (file, message) in [
        (&missing, "No such file"),
        (&script, "not a file of counters"),
    ] {
        let said = run(&mut percid(&["top", "--once", file]));
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(
            said.err.contains(message) && said.err.contains(file.as_str()),
            "{}",
            said.err
        );
    }
    assert_eq!(directory.names(), ["script"]);
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let directory = Directory::new();
    let file = directory.file("counts");
    drop(Arena::in_file(&file).unwrap());
    let said = run(&mut percid(&["top", &file]));
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("--once"), "{}", said.err);
    let bad = run(&mut percid(&["top", "--json", &file]));
    assert_eq!(bad.code, Some(2));
}
