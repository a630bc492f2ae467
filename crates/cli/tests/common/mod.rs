//! Starting the program with an environment that is known.

#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// The program, with nothing set that changes what it does.
pub(crate) fn percid(arguments: &[&str]) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_percid")), arguments)
}

/// The program with so many KiB of address space.
pub(crate) fn percid_within(kilobytes: u32, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_percid"));
    clean(shell, arguments)
}

fn clean(mut command: Command, arguments: &[&str]) -> Command {
    command
        .args(arguments)
        .env_remove("PERCID_BACKEND")
        .env_remove("PERCID_POSSIBLE_CPUS")
        .env_remove("PERCID_TRIAL")
        .env_remove("GLIBC_TUNABLES")
        // What decides on colours: also where tests run by themselves, which counts as
        // a place that shows them.
        .env_remove("CI")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("CLICOLOR_FORCE");
    command
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    Said {
        code: status.code(),
        out: String::from_utf8(stdout).expect("text on stdout"),
        err: String::from_utf8(stderr).expect("text on stderr"),
    }
}

/// An empty directory that goes when this goes.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("percid-cli-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory for the test");
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a readable path").into()
    }

    /// Names of what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .expect("the directory is there")
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
