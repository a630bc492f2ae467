//! Every reachable state of small domains, and mutants that must be found.
//!
//! The procedures are the very ones of the library: the model answers their requests
//! and stops every thread between any two of them. A mutant is a rule of theirs left
//! out ([`Rules`]), or a kernel or a tag that is not what it should be.
//!
//! | property | how it is looked at |
//! | --- | --- |
//! | 1: no two sections commit under the same id | no two are open under one: either could commit next |
//! | 2: a bit is set if and only if one slot or one thread in transit owns it | in every state, but while a child rebuilds its ids |
//! | 3: nobody waits | at every step: a thread's own step brings it nearer to the end of its operation, by a number that is never negative ([`Thread::distance`](state::Thread::distance)); only an abort by others sets its section back |
//! | 4: no acquisition at or above the bound, and every id below it after three scans | at every CAS; and in every state in which no thread is left that was acquiring when the bound fell |
//! | 5: the stripe of a section's id is open | in every state |
//!
//! `ci/checker.sh` runs all of them, with the large ones, and prints the traces of
//! the mutants.
//!
//! What is not here: the order of memory accesses within a thread. Every access is a
//! step of its own, in order. The one reordering that the machine's design is about,
//! the load of an id before the switch to the CPU is seen by others, is a mutant.

mod config;
mod joined;
mod model;
mod mutants;
mod shared;
mod sound;
mod state;
mod step;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use self::config::Config;
use self::model::{Action, Domain, Walked};
use self::state::{Doing, State};
use super::Rules;

/// Visits every state, or stops at the first one that is wrong; the names of the
/// properties that do not hold.
fn explore<R: Rules, const BATCH: usize>(
    name: &str,
    config: Config,
    threads: usize,
    walked: Option<Walked>,
) -> Vec<&'static str> {
    let begun = Instant::now();
    let mut domain = Domain::<R, BATCH>::new(config);
    domain.walked = walked;
    let checker = domain
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
    let discoveries = checker.discoveries();
    for (property, path) in &discoveries {
        println!("  not so: {property}");
        for (number, (state, action)) in path.clone().into_vec().into_iter().enumerate() {
            let then = action.map(|action| describe(checker.model(), &state, action));
            println!("  {number:3} {state:?}   {}", then.unwrap_or_default());
        }
    }
    discoveries.into_keys().collect()
}

/// One line of a trace: what happens next.
fn describe<R: Rules, const BATCH: usize>(
    model: &Domain<R, BATCH>,
    state: &State<R, BATCH>,
    action: Action,
) -> String {
    match action {
        Action::Switch(thread, cpu) => format!("T{thread} runs on CPU {cpu}"),
        Action::Preempt(thread) => format!("T{thread} is preempted"),
        Action::Signal(thread) => format!("T{thread} gets a signal"),
        Action::Seen(thread) => format!("T{thread}'s switch is seen by fences"),
        Action::Fork(thread, _) => format!("T{thread} forks; in the child:"),
        Action::Step(thread, _) => {
            match (&state.threads[thread].doing, model.request(state, thread)) {
                (Doing::Open(cid), _) => format!("T{thread} commits under id {cid}"),
                (doing, Some(request)) => format!("T{thread} {}: {request:?}", doing.place()),
                _ => format!("T{thread} begins"),
            }
        }
    }
}
