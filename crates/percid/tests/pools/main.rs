//! Pools: nothing handed out twice, nothing lost, whatever happens.
#![cfg(target_os = "linux")]

mod faults;
mod shapes;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod typed;
