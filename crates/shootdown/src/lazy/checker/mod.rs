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
//! # What is left out, and found
//!
//! Each shortcut that looked right once, or that the order of steps rules out, and the
//! mutant that shows it. Those of `loom` are of the same code under weak memory.
//!
//! | shortcut | found by |
//! | --- | --- |
//! | a hit loads the slot's pointer before it takes the slot | `a_pointer_loaded_first` |
//! | a hit reads the cell before, and not after: an address that is used again for another type | `a_cell_that_is_read_first` |
//! | a leaver looks, and then stores; or does not look | `a_look_before_the_store`, `a_lease_left_without_a_look`, `another_slot_left_without_a_look` |
//! | a leaver takes the mark that it finds: by then it is the next holder's | `a_leaver_that_takes_the_mark` |
//! | a leaver of slots that may go: each look, its order, and where marks are announced | `a_departure_...`, `marks_...announced...` |
//! | a miss loads the cell, and then counts; a cell counts for one | `a_miss_that_counts_late`, `a_cell_that_counts_for_one` |
//! | a cell's word has no trace of who counted, or has it late | `a_miss_that_leaves_...`, `a_value_of_others_that_is_shown_as_alone`; loom: `a_load_that_leaves_no_trace_in_the_cell` and others |
//! | an install gives its count back before the bit is set, or sets none | `a_count_given_back_before_the_bit`, `no_bit` |
//! | a bit for a stripe, not for a slot | `a_bit_for_a_stripe` |
//! | a holder replaces the pointer by a load and a store, or a mark without a word | `a_pointer_replaced_by_a_load_and_a_store`, `a_mark_replaced_quietly` |
//! | an install touches what was marked before it took the slot | `a_marked_object_that_is_told` |
//! | a bit is cleared after the pointer is replaced, or after leaving | `a_bit_cleared_after_the_pointer`, `a_slot_emptied_after_it_was_left` |
//! | the last count does not look at the mask, or asks it whether a slot ever had the object | `a_mask_that_is_not_looked_at`, `a_count_given_back_by_the_mask` |
//! | an upgrade from zero; a show that looks in the other order | `an_upgrade_from_zero`, `a_show_that_looks_whether_it_was_shown_first` |
//! | no fence; one without a barrier; one that began before the marks | `no_fence_at_all`, `a_fence_that_orders_nothing`, `a_fence_that_began_early` |
//! | a shootdown takes an active slot, or forgets its mark, or does not wait for it | `an_active_slot_taken`, `marks_of_holders_forgotten`, `a_shootdown_that_does_not_wait` |
//! | it takes the pointer away whatever it is by now | `a_pointer_taken_away_whatever_it_is` |
//! | two at a time; a lock given back without another look; nudges forgotten late | `two_shootdowns_at_a_time`, `a_lock_given_back_without_a_look`, `nudges_forgotten_late` |
//! | the last handle goes without a look for what is laid aside, or without a nudge for who is at it | `a_last_handle_given_up_without_a_look`, `a_last_handle_that_does_not_nudge` |
//! | the simple slot: a store over whatever is there | `the_simple_slot` |
//! | a child waits for, or honours, what threads held that it does not have | `forks` |
//! | orderings of counts, masks, cells, handles, and of how a slot is left | loom: `references`, `handles`, `behind`, one mutant each |
//!
//! That fences abort sections is needed by none of this: `two_readers_and_a_store_on_x86`.
//!
//! # Memory
//!
//! Memory is x86's where a configuration says so, and sequentially consistent where not.
//! The order of accesses within a thread is the program's, apart from x86's buffers.
//! Larger worlds join steps that touch nothing of others to the one before (`joins`);
//! `joined` holds that against single steps. Readers, writers and addresses that nothing
//! has had are alike. Weak memory: `loom::references`, for what is counted.

mod buffer;
mod config;
mod counts;
mod forks;
mod joined;
mod model;
mod mutants;
mod perform;
mod promises;
mod sound;
mod state;
mod steps;
mod trace;

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
