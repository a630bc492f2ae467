//! Completions, manual pages, exit codes, and what a terminal gets.

mod common;

use std::io::Read;
use std::process::Stdio;

use common::{Directory, percid, run};

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(&mut percid(&["completions", shell]));
        assert_eq!(said.code, Some(0), "{said:?}");
        for word in ["doctor", "bench", "compare", "report", "completions"] {
            assert!(said.out.contains(word), "{word} for {shell}");
        }
        assert!(!said.out.contains("__measure"), "for {shell}");
        assert_eq!(said.err, "");
    }
    let said = run(&mut percid(&["completions", "cmd"]));
    assert_eq!(said.code, Some(2), "{said:?}");
}

/// Whatever shell there is reads what was made for it.
#[test]
fn bash_reads_its_completions() {
    let script = run(&mut percid(&["completions", "bash"])).out;
    let directory = Directory::new();
    let file = directory.file("percid.bash");
    std::fs::write(&file, script).unwrap();
    let Ok(done) = std::process::Command::new("bash")
        .args(["--norc", "-n", &file])
        .output()
    else {
        return;
    };
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let page = run(&mut percid(&["man"]));
    assert_eq!(page.code, Some(0), "{page:?}");
    for word in [".TH percid 1", "bench", "report", "Exit codes"] {
        assert!(page.out.contains(word), "{word} in {}", page.out);
    }
    let page = run(&mut percid(&["man", "bench"]));
    assert_eq!(page.code, Some(0), "{page:?}");
    assert!(page.out.contains(".TH percid-bench 1"), "{}", page.out);
    assert!(page.out.contains("quick"), "{}", page.out);
    let page = run(&mut percid(&["man", "bench", "compare"]));
    assert!(
        page.out.contains(".TH percid-bench-compare 1"),
        "{}",
        page.out
    );
    assert!(page.out.contains("threshold"), "{}", page.out);
    for bad in ["nothing", "__measure", "doctor bench"] {
        let names = bad.split(' ');
        let said = run(percid(&["man"]).args(names));
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(bad), "{}", said.err);
    }
}

#[test]
fn exit_codes() {
    for (arguments, code) in [
        (["--help"].as_slice(), 0),
        (&["--version"], 0),
        (&["bench", "--list"], 0),
        (&[], 2),
        (&["--nonsense"], 2),
        (&["bench", "compare", "a", "b", "c"], 2),
        (&["report", "--from", "/no/such/file"], 2),
        (&["top", "/no/such/file"], 2),
        (&["sim"], 2),
        (&["sim", "run", "moon"], 2),
        (&["sim", "list"], 0),
    ] {
        let said = run(&mut percid(arguments));
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
    }
    let mut refused = percid(&["doctor"]);
    refused.env("PERCID_BACKEND", "fallback");
    assert_eq!(run(&mut refused).code, Some(3));
    // What needs sections, asked for by name; by the way it is only left out.
    let mut refused = percid(&["bench", "cid"]);
    let said = run(refused.env("PERCID_BACKEND", "fallback"));
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("percid doctor says"), "{}", said.err);
    let help = run(&mut percid(&["--help"])).out;
    assert!(help.contains("Exit codes: 0 done; 1 failed"), "{help}");
}

/// What the program writes to a terminal that is its standard output and error.
fn on_a_terminal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = percid(arguments);
    command
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(terminal.slave.try_clone().unwrap())
        .stderr(terminal.slave);
    let mut child = command.spawn().unwrap();
    // It holds the other end of the terminal as long as it lives.
    drop(command);
    let mut said = Vec::new();
    let mut master = std::fs::File::from(terminal.master);
    let mut some = [0; 4096];
    // The end is an error, on Linux.
    while let Ok(count @ 1..) = master.read(&mut some) {
        said.extend_from_slice(&some[..count]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    String::from_utf8_lossy(&said).into_owned()
}

const BENCH: [&str; 5] = ["bench", "counter/add_one", "--quick", "--threads", "1"];

#[test]
fn a_terminal_gets_progress_and_styles() {
    let said = on_a_terminal(&BENCH, &[("TERM", "xterm-256color")]);
    assert!(said.contains("left"), "{said}");
    assert!(said.contains("\u{1b}[1mcounter add_one"), "{said}");
}

#[test]
fn no_color_takes_styles_away() {
    let directory = Directory::new();
    let json = directory.file("run.json");
    let said = run(percid(&BENCH).args(["--json", &json]));
    assert_eq!(said.code, Some(0), "{said:?}");
    // Nor does what is no terminal get any, nor progress.
    assert_eq!(said.err, "");
    assert!(!said.out.contains('\u{1b}') && !said.out.contains("left"));

    let compare = ["bench", "compare", &json, &json];
    let verdict = "0 of percid worse";
    let said = on_a_terminal(&compare, &[("TERM", "xterm")]);
    assert!(said.contains(&format!("\u{1b}[32m{verdict}")), "{said}");
    for environment in [
        [("TERM", "xterm"), ("NO_COLOR", "1")],
        [("TERM", "dumb"), ("LANG", "C")],
    ] {
        let said = on_a_terminal(&compare, &environment);
        assert!(said.contains(verdict), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}
