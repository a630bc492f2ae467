//! When a run was, and of which source.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Now, to the second.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The commit that this program was built of, with a word if there were changes.
///
/// That is known if the folder it was built in is in a checkout, and the program is
/// no older than the commit: `cargo run` sees to that.
pub(super) fn commit() -> Option<String> {
    // Cargo.toml of a package from a registry is in no repository, though its folder
    // may be.
    git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    let built = std::env::current_exe().ok()?.metadata().ok()?;
    let built = built.modified().ok()?;
    let committed: u64 = git(&["log", "-1", "--format=%ct"])?.parse().ok()?;
    if built < SystemTime::UNIX_EPOCH + Duration::from_secs(committed) {
        return None;
    }
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
        commit += " with changes";
    }
    Some(commit)
}

/// What git says of the folder of this crate.
fn git(arguments: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR")])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| said.trim().to_owned())
}
