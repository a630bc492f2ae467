//! Stacks of words.

use super::{Fault, Guarded, Model, Run, Vec, assert_exact, check};
use crate::Refusal;
use crate::portable::{TOP, array};

type Stack = (Model<TOP>, Guarded<3>);

/// Two threads each push a word and pop one, and may be refused at any time.
fn stack(run: Run) {
    let visit = |name: u64| {
        move |(len, slots): &Stack| {
            // SAFETY: two slots behind the length.
            let pushed = unsafe { array::push(len, slots, 2, name) };
            // SAFETY: as above.
            let popped = unsafe { array::pop(len, slots) };
            (pushed.ok().map(|()| name), popped.ok())
        }
    };
    let shared = (Model::new(0, run.fault), Guarded::new());
    let (shared, other, mine) = run.two(shared, visit(5), visit(6));
    let (len, slots) = &*shared;
    let mut found: Vec<u64> = [other.1, mine.1].into_iter().flatten().collect();
    // SAFETY: as above.
    while let Ok(value) = unsafe { array::pop(len, slots) } {
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
        let pushed = unsafe { array::push_batch(len, slots, 2, [5, 6].as_ptr(), 2) };
        // One if the other's word is there already.
        assert!(matches!(pushed, Ok(1 | 2) | Err(Refusal::Aborted)));
        0
    };
    let pop = |(len, slots): &Stack| {
        let mut room = [0; 2];
        // SAFETY: as above; room for two.
        match unsafe { array::pop_batch(len, slots, room.as_mut_ptr(), 2) } {
            Ok(2) => assert_eq!(room, [5, 6]),
            outcome => assert!(matches!(outcome, Err(Refusal::Empty | Refusal::Aborted))),
        }
        // Pushes over what it has read.
        // SAFETY: as above.
        _ = unsafe { array::push(len, slots, 2, 7) };
        0
    };
    run.two(shared, push, pop);
}

#[test]
fn batches_come_whole() {
    check(batches, &[Fault::Claim, Fault::Acquire, Fault::Release]);
}
