//! The suite `cid`, by criterion.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use percid_benches::cid::SUITE;

fn cid(criterion: &mut Criterion) {
    common::bench(&SUITE, criterion);
}

criterion_group!(benches, cid);
criterion_main!(benches);
