//! Every reachable state of small worlds with lazy references, and mutants that must be
//! found.
//!
//! The procedures are the very ones of the library: the model answers their requests and
//! stops every thread between any two of them. What is a section there, or
//! lies between two procedures (the loads after it, a miss, a leave), is a step of the model
//! here. A mutant is a rule of a procedure left out (`Rules`), or a shortcut of the rest
//! (`Reader`), or a kernel whose fences are not what they should be (`Kernel`).
//!
//! | property | how it is looked at |
//! | --- | --- |
//! | 1: nothing is used after its end | no lease, count, mark, bit or list entry is of an object that was freed; nothing is freed that is leased, counted, or that a slot leads to; a lease is of the type of its cell, and of what the cell held during the load |
//! | 2: what is given up is freed | when no thread does anything any more, what is left is what the cells hold, and what is parked for whoever comes by a handle; without handles nothing is. No slot is marked or held |
//!
//! Memory is x86's where a configuration says so, and sequentially consistent where not.
//! The order of accesses within a thread is the program's, apart from x86's buffers.
//! Larger worlds join steps that touch nothing of others to the one before (`joins`);
//! `joined` holds that against single steps. Readers, writers and addresses that nothing
//! has had are alike. Weak memory: `loom::references`, for what is counted.

mod config;
mod counts;
mod forks;
mod joined;
mod model;
mod mutants;
mod perform;
mod sound;
mod state;
mod steps;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use self::config::Config;
use self::model::World;
use super::protocol::Rules;

/// Visits every state, or stops at the first one that is wrong; what is wrong there.
fn explore<R: Rules>(name: &str, config: Config, threads: usize) -> Option<&'static str> {
    let begun = Instant::now();
    let checker = World::<R>::new(config)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    let mut wrong = None;
    for (property, path) in &checker.discoveries() {
        let states = path.clone().into_vec();
        let last = states.last().and_then(|(state, _)| state.broken);
        wrong = Some(last.unwrap_or(property));
        println!(
            "  not so: {property}: {}",
            last.unwrap_or("something is left")
        );
        for (number, (state, action)) in states.into_iter().enumerate() {
            let then = action.map(|action| checker.model().describe(&state, action));
            println!("  {number:3} {state:?}   {}", then.unwrap_or_default());
        }
    }
    wrong
}
