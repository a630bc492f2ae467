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
                "supported",
                "exit_points",
                "registered_size",
                "registered_align",
                "advertised_size",
                "advertised_align",
                "features",
                "refused",
            ],
        ),
        (
            "membarrier",
            &["private_expedited", "private_expedited_rseq", "commands"],
        ),
    ] {
        for field in fields {
            assert!(answer[group].get(field).is_some(), "{group}.{field}");
        }
    }
    for disturbance in ["preemption", "fence_of_cpu", "fence", "signal"] {
        let verdict = answer["trial"][disturbance]["verdict"].as_str().unwrap();
        assert!(["aborts", "unverified"].contains(&verdict), "{verdict}");
    }
    assert!(answer["backend"]["verified"].is_boolean());
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

/// What the text says under a name.
fn value<'a>(said: &'a Said, name: &str) -> Option<&'a str> {
    let line = said.out.lines().find(|line| line.starts_with(name))?;
    Some(line[name.len()..].trim())
}

#[test]
fn text_says_all_that_json_does() {
    let text = run(&mut percid(&["doctor"]));
    let answer = json(&run(&mut percid(&["doctor", "--json"])));
    let rseq = &answer["rseq"];
    let yes = |has: &Value| if has == true { "yes" } else { "no" };
    assert_eq!(value(&text, "  sections"), Some(yes(&rseq["supported"])));
    if let Some(listed) = rseq["exit_points"].as_u64() {
        let said = value(&text, "  listed for debuggers");
        assert_eq!(said, Some(listed.to_string().as_str()));
        assert_eq!(rseq["supported"] == true, listed > 0);
    }
    if let Some(size) = rseq["registered_size"].as_u64() {
        let align = &rseq["registered_align"];
        let said = format!("{size} bytes, aligned to {align}");
        assert_eq!(value(&text, "  registered"), Some(said.as_str()));
        let asked = rseq["advertised_align"].as_u64().unwrap_or(32);
        assert!(align.as_u64().unwrap() >= asked.min(32), "{rseq}");
    }
    let commands = answer["membarrier"]["commands"].as_array().unwrap();
    for command in commands.iter().map(|command| command.as_str().unwrap()) {
        let said = value(&text, "  all commands").unwrap();
        assert!(said.split(' ').any(|one| one == command), "{command}");
    }
    let has = |name| commands.iter().any(|command| command == name);
    for name in ["private_expedited", "private_expedited_rseq"] {
        assert_eq!(answer["membarrier"][name], has(name), "{name}");
    }
    let libc = format!(
        "{} {}",
        text_of(&answer["libc"]["name"]),
        text_of(&answer["libc"]["version"])
    );
    assert_eq!(value(&text, "libc"), Some(libc.as_str()));
    for cpus in ["possible", "online", "allowed"] {
        let said = format!("{} {cpus}", answer["cpus"][cpus]);
        assert!(value(&text, "CPUs").unwrap().contains(&said), "{said}");
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a text")
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

/// A kernel that does not restart sections, as the environment has it.
#[test]
fn a_broken_kernel_is_named() {
    let mut asked = percid(&["doctor"]);
    let said = run(asked.env("PERCID_TRIAL", "fail"));
    assert_eq!(said.code, Some(3));
    assert!(said.out.contains("on its fallback here"), "{}", said.out);
    assert!(said.out.contains("PERCID_TRIAL=fail"), "{}", said.out);
    if libc_registers() {
        assert!(
            said.out.contains("does not restart sections after"),
            "{}",
            said.out
        );
        assert!(said.out.contains("PERCID_BACKEND=fallback"), "{}", said.out);
    }
}

#[test]
fn a_trial_that_was_left_out_is_no_result() {
    let with = |arguments: &[&str]| run(percid(arguments).env("PERCID_TRIAL", "skip"));
    let text = with(&["doctor"]);
    assert!(value(&text, "  not tried").is_some(), "{}", text.out);
    assert!(value(&text, "  by a signal").is_none(), "{}", text.out);
    let answer = json(&with(&["doctor", "--json"]));
    assert!(answer["trial"]["left_out"].is_string(), "{answer}");
    assert_eq!(answer["trial"]["signal"]["verdict"], "unverified");
}

#[test]
fn variables_with_unknown_values_are_named() {
    let mut asked = percid(&["doctor", "--json"]);
    let said = run(asked
        .env("PERCID_BACKEND", "section")
        .env("PERCID_POSSIBLE_CPUS", "many")
        .env("PERCID_TRIAL", "hard")
        .env("PERCID_BACKENDS", "fallback"));
    let answer = json(&said);
    let variables = answer["environment"].as_array().unwrap();
    let effect = |name: &str| {
        let of_name = |variable: &&Value| variable["name"] == name;
        variables.iter().find(of_name).unwrap()["effect"].to_string()
    };
    assert!(effect("PERCID_BACKEND").contains("not a known value"));
    assert!(effect("PERCID_TRIAL").contains("not a known value"));
    assert!(effect("PERCID_POSSIBLE_CPUS").contains("not a number"));
    assert!(effect("PERCID_BACKENDS").contains("does not look at it"));
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
