//! Pools: nothing handed out twice, nothing lost, whatever happens.
#![cfg(all(target_os = "linux", not(loom)))]

mod decay;
mod faults;
mod lists;
mod shapes;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod typed;
