//! The conformance suite: every operation, by every index, with a delay at every
//! point of the section, under every disturbance; each cell exact, and each cell
//! with a delay with proof that sections were aborted *inside*.
//!
//! Needs `RUSTFLAGS="--cfg percid_inject"`. `PERCID_CONFORMANCE=full` runs each cell
//! longer.
#![cfg(all(percid_inject, target_os = "linux"))]

mod cell;
mod counting;
mod disturbance;
mod stripes;
mod tokens;

use std::time::Instant;

use percid_rseq::inject::POINTS;
use percid_rseq::{enter_thread, registration};

use cell::{Cell, Effort, Make};
use disturbance::Disturbance;
use stripes::By;

/// Every operation, in a workload that shows whether it is exact.
const OPERATIONS: [(&str, Make); 12] = [
    ("increment", counting::increment),
    ("add", counting::add),
    ("add_through", counting::add_through),
    ("claim", counting::claim),
    ("load, compare_store", counting::compare_store),
    ("compare_compare_store", counting::compare_compare_store),
    ("swap", tokens::swap),
    ("list push, pop", tokens::list),
    ("array push, pop", tokens::array),
    ("array batches", tokens::batches),
    ("copy push, pop", tokens::copies),
    ("copy_out", tokens::copy_out),
];

#[test]
fn every_cell_is_exact() {
    if let Err(why) = enter_thread() {
        println!("no sections here: {why}");
        return;
    }
    let has_mm_cid = registration().expect("entered").features.mm_cid;
    let effort = match std::env::var("PERCID_CONFORMANCE").as_deref() {
        Ok("full") => Effort::FULL,
        _ => Effort::QUICK,
    };
    let start = Instant::now();
    let (mut cells, mut aborts, mut steps, mut least) = (0, 0, 0, u64::MAX);
    for (operation, make) in OPERATIONS {
        for by in By::ALL {
            if by == By::MmCid && !has_mm_cid {
                continue;
            }
            for disturbance in Disturbance::ALL {
                for point in 0..=POINTS {
                    let cell = Cell {
                        operation,
                        make,
                        by,
                        disturbance,
                        point,
                    };
                    let seen = cell.run(&effort);
                    cells += 1;
                    aborts += seen.aborts;
                    steps += seen.steps;
                    if point > 0 {
                        least = least.min(seen.aborts);
                    }
                }
            }
        }
    }
    println!(
        "{cells} cells exact, {steps} steps, {aborts} aborts inside sections, \
         at least {least} in each cell with a delay; {:.0?}",
        start.elapsed()
    );
    assert!(cells > 0);
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
        if operation == "increment" {
            continue;
        }
        let found = (0..200).any(|_| {
            let by = By::Cpu;
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
            "{operation}: exact without protection, so the cell proves nothing"
        );
    }
}
