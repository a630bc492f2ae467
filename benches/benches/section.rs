//! The suite `section`, by criterion.

mod common;

fn main() {
    common::main("section");
}
