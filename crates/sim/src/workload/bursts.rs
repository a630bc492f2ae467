//! Bursts with pauses, as servers have that are asked once in a while.
//!
//! One thread is never idle: it is what lets the kernel's scans run during a pause.

use std::rc::Rc;

use super::{MICROSECOND, MILLISECOND, Spec, Step, Workload, together};
use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;

/// Pieces of work in a burst, and how long each takes.
const PIECES: u32 = 50;
const PIECE: Time = 100 * MICROSECOND;

/// Thread 0 is always busy, the others burst.
pub(super) struct Bursts {
    specs: Vec<Spec>,
    pause: Time,
    pieces: Vec<u32>,
    computed: Vec<bool>,
}

impl Bursts {
    pub(super) fn new(threads: u32, pause: Time, allowed: Option<Rc<CpuSet>>) -> Bursts {
        Bursts {
            specs: together(0, threads + 1, allowed.as_ref()),
            pause,
            pieces: vec![0; threads as usize + 1],
            computed: vec![false; threads as usize + 1],
        }
    }
}

impl Workload for Bursts {
    fn threads(&self) -> &[Spec] {
        &self.specs
    }

    fn step(&mut self, thread: u32, _: Time, dice: &mut Dice) -> Step {
        if thread == 0 {
            return Step::Compute(MILLISECOND);
        }
        let computed = &mut self.computed[thread as usize];
        *computed = !*computed;
        if *computed {
            return Step::Compute(dice.around(PIECE));
        }
        let pieces = &mut self.pieces[thread as usize];
        *pieces += 1;
        if (*pieces).is_multiple_of(PIECES) {
            // Whoever wakes first is another one every time.
            Step::Sleep(self.pause + dice.below(2 * MILLISECOND))
        } else {
            Step::Sleep(dice.around(10 * MICROSECOND))
        }
    }
}
