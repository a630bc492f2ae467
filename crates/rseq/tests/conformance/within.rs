//! The addition that keeps a sum of words within a range.

use percid_rseq::Refusal;

use crate::cell::{Held, Workload};
use crate::stripes::{By, Stripes};

/// The first of the words of a stripe that are used.
const FIRST: usize = 3;

/// What their sum may be.
const MOST: u64 = 40;

/// In each stripe one word gives and the other takes, and a third stays.
struct Within(Stripes);

impl Workload for Within {
    fn step(&self, thread: usize, turn: u64, held: &mut Held) -> Result<(), Refusal> {
        let n = 1 + turn % 7;
        let (added, outcome) = if (turn + thread as u64).is_multiple_of(2) {
            (n, self.0.add_within::<1>(FIRST, n, MOST))
        } else {
            let taken = n.wrapping_neg();
            (taken, self.0.add_within::<0>(FIRST, taken, MOST))
        };
        match outcome {
            Ok(()) => held.units = held.units.wrapping_add(added),
            Err(Refusal::Full) => {}
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    fn is_exact(&self, held: &[Held]) -> Result<(), String> {
        let load = |id, word| percid_rseq::portable::load(self.0.word(id, FIRST + word));
        let mut found = 0_u64;
        for id in 0..self.0.ids() {
            let within = load(id, 0).wrapping_add(load(id, 1));
            found = found.wrapping_add(within);
            if within.wrapping_add(load(id, 2)) > MOST {
                return Err(format!("stripe {id} holds {within:#x}"));
            }
        }
        let added = held
            .iter()
            .fold(0_u64, |sum, held| sum.wrapping_add(held.units));
        if found == added {
            Ok(())
        } else {
            Err(format!("{added} added, {found} found"))
        }
    }
}

pub(crate) fn add_within(by: By) -> Box<dyn Workload> {
    Box::new(Within(Stripes::new(by)))
}
