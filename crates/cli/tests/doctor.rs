//! `percid doctor` on this host, and on hosts that the environment makes of it.

mod common;

use common::{Said, percid, percid_within, run};
use serde_json::Value;

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|why| panic!("{why} in {said:?}"))
}

/// Whether libc of this host registers areas: then it can be kept from it.
fn libc_registers() -> bool {
    json(&run(&mut percid(&["doctor", "--json"])))["rseq"]["owner"] == "libc"
}

#[test]
fn text_and_json_agree_with_the_exit_code() {
    let text = run(&mut percid(&["doctor"]));
    let answer = run(&mut percid(&["doctor", "--json"]));
    assert_eq!(text.code, answer.code);
    let answer = json(&answer);
    assert_eq!(answer["schema_version"], 1);
    let sections = answer["sections"].as_bool().unwrap();
    assert_eq!(text.code, Some(if sections { 0 } else { 3 }));
    let (source, verdict) = if sections {
        ("mm_cid", "percid runs on sections here")
    } else {
        ("thread", "percid runs on its fallback here")
    };
    assert_eq!(answer["backend"]["source"], source);
    assert!(text.out.contains(verdict), "{}", text.out);
    let reason = answer["backend"]["reason"].as_str().unwrap();
    assert!(text.out.contains(reason), "{}", text.out);
    assert_eq!(text.err, "");
}

#[test]
fn json_has_what_is_promised() {
    let answer = json(&run(&mut percid(&["doctor", "--json"])));
    for (group, fields) in [
        ("backend", ["source", "reason"].as_slice()),
        ("libc", &["name", "version"]),
        ("cpus", &["possible", "online", "allowed"]),
        (
            "rseq",
            &[
                "owner",
                "registered_size",
                "advertised_size",
                "advertised_align",
                "features",
                "refused",
            ],
        ),
        (
            "membarrier",
            &["private_expedited", "private_expedited_rseq"],
        ),
    ] {
        for field in fields {
            assert!(answer[group].get(field).is_some(), "{group}.{field}");
        }
    }
    for feature in ["cpu_id", "node_id", "mm_cid", "slice_extension"] {
        assert!(
            answer["rseq"]["features"][feature].is_boolean(),
            "{feature}"
        );
    }
    for cpus in ["possible", "online", "allowed"] {
        assert!(answer["cpus"][cpus].as_u64().unwrap() >= 1, "{cpus}");
    }
    for advice in answer["advice"].as_array().unwrap() {
        assert!(advice["missing"].is_string() && advice["do"].is_string());
    }
}

#[test]
fn the_fallback_that_was_asked_for() {
    let mut asked = percid(&["doctor"]);
    let said = run(asked.env("PERCID_BACKEND", "fallback"));
    assert_eq!(said.code, Some(3));
    assert!(
        said.out.contains("PERCID_BACKEND=fallback was set"),
        "{}",
        said.out
    );
    assert!(said.out.contains("unset it"), "{}", said.out);
    assert!(said.out.contains("on its fallback here"), "{}", said.out);
}

#[test]
fn variables_with_unknown_values_are_named() {
    let mut asked = percid(&["doctor", "--json"]);
    let said = run(asked
        .env("PERCID_BACKEND", "section")
        .env("PERCID_POSSIBLE_CPUS", "many"));
    let answer = json(&said);
    let variables = answer["environment"].as_array().unwrap();
    let effect = |name: &str| {
        let of_name = |variable: &&Value| variable["name"] == name;
        variables.iter().find(of_name).unwrap()["effect"].to_string()
    };
    assert!(effect("PERCID_BACKEND").contains("not a known value"));
    assert!(effect("PERCID_POSSIBLE_CPUS").contains("not a number"));
    assert_ne!(
        answer["backend"]["reason"],
        "PERCID_BACKEND=fallback was set"
    );
}

#[test]
fn another_number_of_cpus_is_shown() {
    let mut asked = percid(&["doctor"]);
    let said = run(asked.env("PERCID_POSSIBLE_CPUS", "512"));
    assert!(
        said.out.contains("PERCID_POSSIBLE_CPUS=512"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .lines()
            .any(|line| line.contains("as assumed") && line.ends_with(" 512"))
    );
}

#[test]
fn without_libcs_areas_percid_registers_its_own() {
    if !libc_registers() {
        return;
    }
    let mut asked = percid(&["doctor"]);
    let said = run(asked.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0"));
    assert!(
        said.out.contains("percid registers its own area"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("GLIBC_TUNABLES=glibc.pthread.rseq=0"),
        "{}",
        said.out
    );
    let mut asked = percid(&["doctor", "--json"]);
    let answer = run(asked.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0"));
    assert_eq!(json(&answer)["rseq"]["owner"], "percid");
}

#[test]
fn refused_address_space_is_said() {
    let said = run(&mut percid_within(300_000, &["doctor"]));
    assert!(said.out.contains("no address space"), "{said:?}");
    assert!(said.out.contains("ulimit -v"), "{said:?}");
}

#[test]
fn nobody_reads_the_answer() {
    let mut asked = percid(&["doctor"]);
    asked
        .stdout(closed_pipe())
        .stderr(std::process::Stdio::piped());
    let said = run(&mut asked);
    assert!(matches!(said.code, Some(0 | 3)), "{said:?}");
    assert_eq!(said.err, "");
}

/// A pipe whose reader has gone.
fn closed_pipe() -> std::process::Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
