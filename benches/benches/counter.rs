//! The suite `counter`, by criterion.

mod common;

fn main() {
    common::main("counter");
}
