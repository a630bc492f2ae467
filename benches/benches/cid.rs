//! The suite `cid`, by criterion.

mod common;

fn main() {
    common::main("cid");
}
