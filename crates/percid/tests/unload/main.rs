//! A library that uses percid is loaded, used, and unloaded; its host's threads live
//! on. And they do not where they should have left it and have not.
#![cfg(all(target_os = "linux", not(loom)))]

#[cfg(all(target_env = "gnu", not(target_feature = "crt-static")))]
mod plugin;
#[cfg(all(target_env = "gnu", not(target_feature = "crt-static")))]
mod scenes;
#[path = "../support/mod.rs"]
mod support;

#[cfg(not(all(target_env = "gnu", not(target_feature = "crt-static"))))]
#[test]
fn nothing_is_unloaded_here() {
    println!("skipped: a static program loads no libraries, and musl unloads none");
}
