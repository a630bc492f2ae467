//! The suite `metrics`, by criterion.

mod common;

fn main() {
    common::main("metrics");
}
