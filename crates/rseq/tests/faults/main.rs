//! Kernels that refuse, threads that are not registered, processes that split and
//! threads that end: what is refused is refused by name and touches nothing, and what
//! is counted is counted exactly.
#![cfg(target_os = "linux")]

#[path = "../support/child.rs"]
mod child;
mod children;
mod exits;
mod forks;
#[cfg(percid_inject)]
mod handlers;
mod host;
mod ids;
mod leaving;
mod limits;
mod operations;
mod partly;
mod refusals;
#[path = "../support/seccomp.rs"]
mod seccomp;
mod stepped;
mod swaps;
