//! The suite `section`, by criterion.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use percid_benches::section::SUITE;

fn section(criterion: &mut Criterion) {
    common::bench(&SUITE, criterion);
}

criterion_group!(benches, section);
criterion_main!(benches);
