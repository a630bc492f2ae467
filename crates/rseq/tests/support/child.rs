//! Tests in processes of their own, which may be made worse before they start.

use std::process::{Command, Output};

/// Marks a child of a test: the same test in a process of its own.
const CHILD: &str = "PERCID_TEST_CHILD";

/// Which of the two processes of a test this is.
pub(crate) enum Side {
    /// The fresh one, in which the test goes on.
    Child,
    /// The one that has waited for it, with what became of it.
    Parent(Output),
}

/// Runs the rest of the calling test in a fresh process, which `prepare` may make
/// worse before it starts.
///
/// The child gets none of the variables that choose a backend but those that
/// `prepare` sets.
pub(crate) fn split(test: &str, prepare: impl FnOnce(&mut Command)) -> Side {
    if std::env::var(CHILD).is_ok_and(|child| child == test) {
        return Side::Child;
    }
    let mut command = Command::new(std::env::current_exe().expect("this test's program"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
        .env(CHILD, test)
        .env_remove("PERCID_BACKEND")
        .env_remove("GLIBC_TUNABLES");
    prepare(&mut command);
    Side::Parent(command.output().expect("a child"))
}

/// Whether a child came to the end of its test.
fn passed(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
}

/// As [`split`], for tests that must pass in the child. True there.
pub(crate) fn in_child(test: &str, prepare: impl FnOnce(&mut Command)) -> bool {
    let Side::Parent(output) = split(test, prepare) else {
        return true;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    // Where a child had to skip something, the reason is worth seeing.
    print!("{text}");
    assert!(
        passed(&output),
        "the child failed: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Keeps libc from registering areas, where it would.
pub(crate) fn without_libcs_areas(command: &mut Command) {
    command.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
}

/// Has the first panic end the process, in a child: threads that wait for one that has panicked
/// would wait for ever.
pub(crate) fn panics_end_the_process() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
}
