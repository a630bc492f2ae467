//! The suite `pool`, by criterion.

mod common;

fn main() {
    common::main("pool");
}
