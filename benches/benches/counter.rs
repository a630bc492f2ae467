//! The suite `counter`, by criterion.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use percid_benches::counter::SUITE;

fn counter(criterion: &mut Criterion) {
    common::bench(&SUITE, criterion);
}

criterion_group!(benches, counter);
criterion_main!(benches);
