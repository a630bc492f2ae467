//! The conformance suite: every operation, by every index, with a delay at every
//! point of the section, under every disturbance; each cell exact, and each cell
//! with a delay with proof that sections were aborted *inside*. The same on the portable
//! body, where threads share stripes and the proof is that they met claims.
//!
//! Needs `RUSTFLAGS="--cfg percid_inject"`. `PERCID_CONFORMANCE=full` runs each cell
//! longer.
#![cfg(all(percid_inject, target_os = "linux"))]

mod atomics;
mod cell;
mod counting;
mod disturbance;
mod stripes;
mod through;
mod tokens;
mod within;

use std::time::Instant;

use percid_rseq::inject::POINTS;
use percid_rseq::{enter_thread, registration};

use cell::{Cell, Effort, Make};
use disturbance::Disturbance;
use stripes::By;

/// Every operation, in a workload that shows whether it is exact.
const OPERATIONS: [(&str, Make); 22] = [
    ("increment", counting::increment),
    ("add", counting::add),
    ("add_through", counting::add_through),
    ("add_if", counting::add_if),
    ("add_within", within::add_within),
    ("claim", counting::claim),
    ("claim_any", counting::claim_any),
    ("claim_first", counting::claim_first),
    ("load, compare_store", counting::compare_store),
    ("compare_compare_store", counting::compare_compare_store),
    ("swap", tokens::swap),
    ("list push, pop", tokens::list),
    ("gated list push, pop", tokens::gated_list),
    ("array push, pop", tokens::array),
    ("array batches", tokens::batches),
    ("array pairs", tokens::pairs),
    ("gated push, pop", tokens::gated_array),
    ("gated batches", tokens::gated_batches),
    ("copy push, pop", tokens::copies),
    ("copy_out", tokens::copy_out),
    ("load_through", through::load),
    ("copy_through", through::copy),
];

/// Operations that claim nothing on the portable body: there is nothing to hold open.
const ONE_ATOMIC: [&str; 7] = [
    "increment",
    "add",
    "claim",
    "claim_any",
    "claim_first",
    "load, compare_store",
    "swap",
];

/// Operations without an id: one index stands for all.
const WITHOUT_ID: [&str; 2] = ["load_through", "copy_through"];

/// What happened in many cells.
#[derive(Default)]
struct Total {
    cells: u64,
    steps: u64,
    aborts: u64,
    /// Of a cell with a delay.
    least: Option<u64>,
}

impl Total {
    /// Runs an operation under every disturbance, without a delay and at every point.
    fn run(&mut self, operation: &'static str, make: Make, by: By, points: usize) {
        let effort = match std::env::var("PERCID_CONFORMANCE").as_deref() {
            Ok("full") => Effort::FULL,
            _ => Effort::QUICK,
        };
        for disturbance in Disturbance::ALL {
            for point in 0..=points {
                let cell = Cell {
                    operation,
                    make,
                    by,
                    disturbance,
                    point,
                };
                let seen = cell.run(&effort);
                self.cells += 1;
                self.aborts += seen.aborts;
                self.steps += seen.steps;
                if point > 0 {
                    self.least = Some(self.least.map_or(seen.aborts, |it| it.min(seen.aborts)));
                }
            }
        }
    }
}

#[test]
fn every_cell_is_exact() {
    if let Err(why) = enter_thread() {
        println!("no sections here: {why}");
        return;
    }
    let has_mm_cid = registration().expect("entered").features.mm_cid;
    let start = Instant::now();
    let mut total = Total::default();
    for (operation, make) in OPERATIONS {
        for by in By::SECTIONS {
            let once = by == By::Cpu || !WITHOUT_ID.contains(&operation);
            if once && (!by.needs_mm_cid() || has_mm_cid) {
                total.run(operation, make, by, POINTS);
            }
        }
    }
    println!(
        "{} cells exact, {} steps, {} aborts inside sections, \
         at least {} in each cell with a delay; {:.0?}",
        total.cells,
        total.steps,
        total.aborts,
        total.least.expect("cells with a delay"),
        start.elapsed()
    );
}

#[test]
fn every_cell_of_the_portable_body_is_exact() {
    let start = Instant::now();
    let mut total = Total::default();
    for (operation, make) in OPERATIONS {
        let points = if ONE_ATOMIC.contains(&operation) {
            0
        } else {
            POINTS
        };
        total.run(operation, make, By::Thread, points);
    }
    println!(
        "{} portable cells exact, {} steps, {} claims met, \
         at least {} in each cell with a delay; {:.0?}",
        total.cells,
        total.steps,
        total.aborts,
        total.least.expect("cells with a delay"),
        start.elapsed()
    );
}

/// Whether some cell of the operation is not exact with the protection taken away.
fn shows_unprotected(operation: &'static str, make: Make, by: By) {
    let found = (0..200).any(|_| {
        let cell = Cell {
            operation,
            make,
            by,
            disturbance: Disturbance::Storm,
            point: 3,
        };
        !cell.holds_unprotected()
    });
    assert!(
        found,
        "{operation}, by {by:?}: exact without protection, so the cell proves nothing"
    );
}

/// The suite's own test: with the protection taken away, the same cells are not
/// exact.
#[test]
fn unprotected_cells_are_found() {
    if enter_thread().is_err() {
        return;
    }
    for (operation, make) in OPERATIONS {
        // One store, one instruction: nothing to tear.
        let is_whole =
            operation == "increment" || cfg!(target_arch = "x86_64") && operation == "add";
        if !is_whole {
            shows_unprotected(operation, make, By::Cpu);
        }
    }
}

/// The same for the portable body.
#[test]
fn unclaimed_cells_are_found() {
    for (operation, make) in OPERATIONS {
        // The pointer that is added through stays: the models take it away.
        if operation != "add_through" && !ONE_ATOMIC.contains(&operation) {
            shows_unprotected(operation, make, By::Thread);
        }
    }
}
