//! A program without `std` allocates from a pool: it builds, holds nothing of `std`, and runs.
//!
//! It is built by cargo, alone: beside what needs `std` it would have that, too.
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    not(any(loom, percid_inject, percid_compare_twice, percid_portable))
))]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program, and returns where it is.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bare/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--no-default-features"])
        // Nothing unwinds without std.
        .args(["--config", "profile.dev.panic='abort'"])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("cargo");
    let why = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{why}");
    target.join("debug/percid-test-bare")
}

/// Whether names of functions of `std` are in a program, as either mangling has them.
fn has_std(program: &Path) -> bool {
    let bytes = std::fs::read(program).expect("a program");
    let mut names = bytes.windows(7);
    names.any(|it| it == b"_ZN3std" || it.starts_with(b"_3std"))
}

#[test]
fn a_pool_needs_no_std() {
    let program = build();
    let this = std::env::current_exe().expect("this program");
    assert!(has_std(&this), "nothing would be found anywhere");
    assert!(!has_std(&program));
    let ran = Command::new(&program).output().expect("the program runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said} {ran:?}");
    assert!(said.contains(" 0 wrong"), "{said}");
}
