//! The suite `lock`, by criterion.

mod common;

fn main() {
    common::main("lock");
}
