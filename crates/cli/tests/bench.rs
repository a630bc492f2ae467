//! `percid bench`: what it says and leaves, never how fast.

mod common;

use std::fs;

use common::{Directory, percid, percid_within, run};
use percid_benches::record::Record;
use serde_json::Value;

const CASES: [&str; 4] = ["add_one", "add_eight", "sum", "memory"];

const IMPLEMENTATIONS: [&str; 5] = [
    "percid",
    "thread_local",
    "atomic_shared",
    "atomic_padded",
    "percid_fallback",
];

#[test]
fn the_list_names_everything() {
    let said = run(&mut percid(&["bench", "--list"]));
    assert_eq!(said.code, Some(0));
    for name in ["counter", "section"]
        .iter()
        .chain(&CASES)
        .chain(&IMPLEMENTATIONS)
    {
        assert!(said.out.contains(name), "{name} in {}", said.out);
    }
    let one = run(&mut percid(&["bench", "--list", "counter"])).out;
    assert!(
        said.out.starts_with(&one) && one.len() < said.out.len(),
        "{one}"
    );
}

#[test]
fn an_unknown_suite_is_no_suite() {
    for list in [
        ["bench", "nonsense"].as_slice(),
        &["bench", "counter", "nonsense", "--list"],
        &["bench", "nonsense/add_one"],
    ] {
        let said = run(&mut percid(list));
        assert_eq!(said.code, Some(2));
        assert!(said.err.contains("no suite 'nonsense'"), "{}", said.err);
        assert!(said.err.contains("the suites are: counter"), "{}", said.err);
        assert_eq!(said.out, "");
    }
}

#[test]
fn an_unknown_case_is_no_case() {
    let said = run(&mut percid(&["bench", "counter/nonsense"]));
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("no case 'nonsense'"), "{}", said.err);
    assert!(said.err.contains("add_one"), "{}", said.err);
    assert_eq!(said.out, "");
}

#[test]
fn numbers_of_threads_start_at_one() {
    for bad in [
        "0",
        "1,0",
        "two",
        "1.5",
        "1,",
        "-1",
        "4096",
        "18446744073709551616",
    ] {
        for arguments in [
            vec![format!("--threads={bad}")],
            vec!["--threads".into(), bad.into()],
        ] {
            let said = run(percid(&["bench"]).args(&arguments));
            assert_eq!(said.code, Some(2), "{bad}");
            assert!(said.err.contains("from 1 to 1024"), "{bad}: {}", said.err);
            assert_eq!(said.out, "");
        }
    }
}

#[test]
fn a_target_that_cannot_be_written_is_found_before_the_run() {
    let directory = Directory::new();
    fs::write(directory.file("file"), "x").unwrap();
    fs::create_dir(directory.file("sub")).unwrap();
    for bad in ["missing/f.json", "file/f.json", "sub", "sub/", "new/"] {
        let path = directory.file(bad);
        let said = run(&mut percid(&["bench", "--json", &path]));
        assert_eq!(said.code, Some(2), "{bad}: {said:?}");
        assert!(said.err.contains("nothing was run"), "{bad}: {}", said.err);
        assert!(said.err.contains(&path), "{bad}: {}", said.err);
        assert_eq!(said.out, "", "{bad}");
    }
    assert_eq!(directory.names(), ["file", "sub"]);
    assert_eq!(fs::read_to_string(directory.file("file")).unwrap(), "x");
    assert_eq!(fs::read_dir(directory.file("sub")).unwrap().count(), 0);
}

#[test]
fn a_run_writes_what_is_promised() {
    let directory = Directory::new();
    let path = directory.file("results.json");
    fs::write(&path, "of an earlier run").unwrap();
    let said = run(&mut percid(&[
        "bench",
        "counter",
        "--quick",
        "--threads",
        "1",
        "--json",
        &path,
    ]));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err, "");
    assert_eq!(directory.names(), ["results.json"]);

    let text = fs::read_to_string(&path).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema_version"], 1);
    for fact in [
        "arch",
        "cpu",
        "cpus_online",
        "kernel",
        "libc",
        "backend",
        "backend_reason",
    ] {
        assert!(json["machine"].get(fact).is_some(), "machine.{fact}");
    }
    let cases = json["cases"].as_array().unwrap();
    // These, and cases that have other implementations.
    assert!(cases.len() >= CASES.len() * IMPLEMENTATIONS.len());
    for case in CASES {
        for implementation in IMPLEMENTATIONS {
            let of_both = |one: &&Value| one["case"] == case && one["impl"] == implementation;
            let found: Vec<&Value> = cases.iter().filter(of_both).collect();
            assert_eq!(found.len(), 1, "{case} {implementation}");
            let figure = found[0];
            let (threads, unit) = match case {
                "memory" => (2, "bytes/counter"),
                _ => (1, "ns/op"),
            };
            assert_eq!(figure["suite"], "counter");
            assert_eq!(figure["threads"], threads);
            assert_eq!(figure["unit"], unit);
            assert!(figure["runs"].as_u64().unwrap() >= 1);
            let [min, median, max] =
                ["min", "median", "max"].map(|field| figure[field].as_f64().unwrap());
            assert!(0.0 < min && min <= median && median <= max, "{figure}");
        }
    }
    // What the library reads back is what it wrote.
    let record: Record = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&record).unwrap(), json);

    for implementation in IMPLEMENTATIONS {
        assert!(said.out.contains(implementation), "{}", said.out);
    }
    assert!(
        said.out
            .contains("add_one, 1 thread: percid / thread_local")
    );
    assert!(said.out.contains("memory, percid: bytes/counter"));
}

#[test]
fn all_is_every_suite() {
    let all = run(&mut percid(&["bench", "all", "counter", "--list"])).out;
    assert_eq!(all, run(&mut percid(&["bench", "--list"])).out);
}

#[test]
fn results_go_to_a_pipe_as_well() {
    let said = run(&mut percid(&[
        "bench",
        "counter/add_one",
        "--quick",
        "--threads",
        "1",
        "--json",
        "/dev/stderr",
    ]));
    assert_eq!(said.code, Some(0), "{said:?}");
    let json: Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!(json["schema_version"], 1);
}

#[test]
fn more_threads_than_cpus_are_noted() {
    let many = std::thread::available_parallelism().unwrap().get() + 1;
    let said = run(&mut percid(&[
        "bench",
        "counter/add_one",
        "--quick",
        "--threads",
        &many.to_string(),
    ]));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("take turns"), "{}", said.err);
}

#[test]
fn a_run_that_fails_leaves_the_old_results() {
    let directory = Directory::new();
    let path = directory.file("results.json");
    fs::write(&path, "of an earlier run").unwrap();
    let arguments = [
        "bench",
        "counter",
        "--quick",
        "--threads",
        "1",
        "--json",
        &path,
    ];
    let said = run(&mut percid_within(300_000, &arguments));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("percid_fallback could not be set up"),
        "{said:?}"
    );
    assert!(said.err.contains("ulimit -v"), "{said:?}");
    assert_eq!(directory.names(), ["results.json"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "of an earlier run");
}

#[test]
fn memory_is_measured_in_a_process_of_its_own() {
    for implementation in IMPLEMENTATIONS {
        let said = run(&mut percid(&[
            "__measure",
            "counter",
            "memory",
            implementation,
        ]));
        // 75 asks for another try: the kernel gave other ids.
        assert!(matches!(said.code, Some(0 | 75)), "{said:?}");
        if said.code == Some(0) {
            assert!(said.out.trim().parse::<f64>().unwrap() > 0.0);
        }
    }
    let said = run(&mut percid(&["__measure", "counter", "memory", "nobody"]));
    assert_eq!(said.code, Some(2));
    assert!(!run(&mut percid(&["--help"])).out.contains("__measure"));
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let said = run(percid(&["bench", "--list"]).stdout(full));
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("cannot write to the standard output"),
        "{said:?}"
    );
}

#[test]
fn a_reader_that_goes_ends_the_run() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = run(percid(&["bench", "--quick", "--threads", "1"]).stdout(writer));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err, "");
}
