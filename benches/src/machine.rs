//! What figures depend on: the machine, without its name.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::cpus;

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Architecture that the program was built for.
    pub arch: String,
    /// Model of the CPU, or `unknown`.
    pub cpu: String,
    /// CPUs that are switched on.
    pub cpus_online: usize,
    /// CPUs that the process may use.
    pub cpus_allowed: usize,
    /// Release of the kernel, or `unknown`.
    pub kernel: String,
    /// The C library.
    pub libc: Libc,
    /// Where percid's ids come from.
    pub backend: String,
    /// Why.
    pub backend_reason: String,
}

/// The C library of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libc {
    /// `glibc`, `musl`, or `unknown`.
    pub name: String,
    /// Its version, or `unknown`.
    pub version: String,
}

impl Machine {
    /// The one that this runs on.
    #[must_use]
    pub fn here() -> Machine {
        let backend = percid::backend();
        Machine {
            arch: std::env::consts::ARCH.to_owned(),
            cpu: cpu_model().unwrap_or_else(unknown),
            cpus_online: cpus::online(),
            cpus_allowed: cpus::allowed().len(),
            kernel: kernel_release().unwrap_or_else(unknown),
            libc: Libc {
                name: libc_name().to_owned(),
                version: libc_version().unwrap_or_else(unknown),
            },
            backend: backend.source.to_string(),
            backend_reason: backend.reason.to_string(),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn kernel_release() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().to_owned())
}

/// x86 names its models; Arm gives two numbers.
fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    field("model name").or_else(|| {
        let (implementer, part) = (field("CPU implementer")?, field("CPU part")?);
        Some(format!("implementer {implementer} part {part}"))
    })
}

fn libc_name() -> &'static str {
    if cfg!(target_env = "gnu") {
        "glibc"
    } else if cfg!(target_env = "musl") {
        "musl"
    } else {
        "unknown"
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn libc_version() -> Option<String> {
    // SAFETY: glibc returns a string that is never freed.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    Some(version.to_string_lossy().into_owned())
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn libc_version() -> Option<String> {
    None
}
