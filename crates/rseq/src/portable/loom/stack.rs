//! Stacks of words.

use super::super::claim::replace;
use super::super::gated::gate;
use super::super::word::Cells;
use super::{Fault, Guarded, Model, Run, Vec, assert_exact, check};
use crate::Refusal;
use crate::portable::{TOP, array};

type Stack = (Model<TOP>, Guarded<3>);

/// Two threads each push a word and pop one, and may be refused at any time.
fn stack(run: Run) {
    let visit = |name: u64| {
        move |(len, slots): &Stack| {
            // SAFETY: two slots behind the length.
            let pushed = unsafe { array::push(len, slots, |_| 2, name) };
            // SAFETY: as above.
            let popped = unsafe { array::pop(len, slots, array::open) };
            (pushed.ok().map(|()| name), popped.ok())
        }
    };
    let shared = (Model::new(0, run.fault), Guarded::new());
    let (shared, other, mine) = run.two(shared, visit(5), visit(6));
    let (len, slots) = &*shared;
    let mut found: Vec<u64> = [other.1, mine.1].into_iter().flatten().collect();
    // SAFETY: as above.
    while let Ok(value) = unsafe { array::pop(len, slots, array::open) } {
        found.push(value);
    }
    assert_exact([other.0, mine.0].into_iter().flatten().collect(), found);
}

#[test]
fn a_stack_has_each_word_once() {
    check(stack, &[Fault::Claim, Fault::Acquire, Fault::Release]);
}

/// One thread pushes two words at once, the other pops them at once: both or none.
fn batches(run: Run) {
    let shared: Stack = (Model::new(0, run.fault), Guarded::new());
    let push = |(len, slots): &Stack| {
        // SAFETY: two slots behind the length; two words.
        let pushed = unsafe { array::push_batch(len, slots, |_| 2, [5, 6].as_ptr(), 2) };
        // One if the other's word is there already.
        assert!(matches!(pushed, Ok(1 | 2) | Err(Refusal::Aborted)));
        0
    };
    let pop = |(len, slots): &Stack| {
        let mut room = [0; 2];
        // SAFETY: as above; room for two.
        match unsafe { array::pop_batch(len, slots, array::open, room.as_mut_ptr(), 2) } {
            Ok(2) => assert_eq!(room, [5, 6]),
            outcome => assert!(matches!(outcome, Err(Refusal::Empty | Refusal::Aborted))),
        }
        // Pushes over what it has read.
        // SAFETY: as above.
        _ = unsafe { array::push(len, slots, |_| 2, 7) };
        0
    };
    run.two(shared, push, pop);
}

#[test]
fn batches_come_whole() {
    check(batches, &[Fault::Claim, Fault::Acquire, Fault::Release]);
}

const OPEN: u64 = 2 << 32;

/// One thread closes a gated stack and takes what is in it, the other pushes and pops.
fn gated(run: Run) {
    let shared: Stack = (Model::new(OPEN, run.fault), Guarded::new());
    let work = |(len, slots): &Stack| -> (Vec<u64>, Option<u64>) {
        // SAFETY: two slots behind the length, and no gate says more.
        let pushed = unsafe { array::push(len, slots, gate, 5) };
        // SAFETY: as above.
        let again = unsafe { array::push(len, slots, gate, 6) };
        // SAFETY: as above.
        let popped = unsafe { array::pop(len, slots, gate) };
        let put = [pushed.ok().map(|()| 5), again.ok().map(|()| 6)];
        (put.into_iter().flatten().collect(), popped.ok())
    };
    let close = |(len, slots): &Stack| -> Vec<u64> {
        let Ok(held) = replace::<_, TOP>(len, 0) else {
            return Vec::new();
        };
        // Closed and empty; what it held is this thread's.
        // SAFETY: slots that the stack held, and nobody else reaches now.
        (1..=held & 0xffff)
            .map(|at| unsafe { slots.read(at) })
            .collect()
    };
    let (shared, worked, closed) = run.two(shared, work, close);
    let (len, slots) = &*shared;
    let mut found: Vec<u64> = worked.1.into_iter().chain(closed).collect();
    // Open again if it was never closed.
    // SAFETY: as above.
    while let Ok(value) = unsafe { array::pop(len, slots, gate) } {
        found.push(value);
    }
    assert_exact(worked.0, found);
}

#[test]
fn a_closed_stack_is_its_closers() {
    check(gated, &[Fault::Claim, Fault::Acquire, Fault::Release]);
}
