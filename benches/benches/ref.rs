//! The suite `ref`, by criterion.

mod common;

fn main() {
    common::main("ref");
}
