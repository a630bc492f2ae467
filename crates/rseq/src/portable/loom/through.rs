//! A pointer that is followed while another thread takes it away.

use super::{Fault, Guarded, Model, Run, check};
use crate::portable::LOW;
use crate::portable::claim::replace;
use crate::portable::through::through;
use crate::portable::word::Cells;

/// One thread works where a pointer leads; the other takes the pointer away, and what it
/// led to is its own.
fn pointer(run: Run) {
    type Pointer = (Model<LOW>, Guarded<3>);
    let add = |(word, cells): &Pointer| {
        let there = |place| match place {
            0 => Err(crate::Refusal::Empty),
            _ => Ok(()),
        };
        let outcome = through(word, there, |place| {
            // SAFETY: the claim's holder is alone; loom checks just that.
            unsafe { cells.write(place, cells.read(place) + 1) };
        });
        u64::from(outcome.is_ok())
    };
    let take = |(word, cells): &Pointer| {
        let place = replace::<_, LOW>(word, 0).unwrap_or(0);
        if place != 0 {
            // SAFETY: nobody is inside.
            unsafe { cells.write(place, cells.read(place) + 10) };
        }
        5 * place
    };
    let shared = (Model::new(2, run.fault), Guarded::new());
    let (shared, added, taken) = run.two(shared, add, take);
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { shared.1.read(2) }, added + taken);
}

#[test]
fn a_pointer_that_is_taken_has_nobody_inside() {
    check(pointer, &[Fault::Claim, Fault::Acquire, Fault::Release]);
}
