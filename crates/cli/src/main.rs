//! The `percid` program: what this machine gives to structures sharded by the
//! concurrency id, and how fast they are here beside their peers.

mod args;
mod bench;
mod doctor;
mod error;
mod exit;
mod manual;
mod measure;
mod output;
mod page;
mod progress;
mod report;
mod sim;
mod source;
mod table;
mod target;
mod top;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    exit::code(args::Arguments::parse().run())
}
