//! The suite `reclaim`, by criterion.

mod common;

fn main() {
    common::main("reclaim");
}
