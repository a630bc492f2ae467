//! Every state of small domains, and mutants that must be found.
//!
//! The model is written beside the library, not over it: what the library does in sections
//! is assembly. `model` says what each step is, and each rule that a mutant leaves out is
//! named in `grace`, where the library keeps it.
//!
//! | what the library does | left out, it is found by |
//! | --- | --- |
//! | sections load limit, place and phase, or the phase, with acquire ordering | `a_phase_that_is_not_acquired` |
//! | a section claims a seat that is 0 (`claim_any`, `claim_first`) | `a_seat_that_is_taken_already` |
//! | a guard's drop stores with release ordering | `a_seat_that_is_left_before_the_last_load` |
//! | a thread whose cid is not open raises the limit by a read-modify-write | `a_limit_that_brings_a_phase_back` |
//! | counted readers: fence, second look, release | `a_counted_reader_...`, `a_count_that_is_left_before_the_last_load`; in loom each ordering |
//! | full fence between unlinking and retiring, or asking for a number | `retirement_without_a_fence`, `who_waits_without_a_fence` |
//! | what came late is taken first, then `chosen`, then `phase` | `what_came_late_is_taken_late`, `counted_readers_change_first` |
//! | fence after the choice, which restarts sections | `no_fence`, `seats_of_phases_without_a_fence`, `a_fence_that_does_not_restart_sections` |
//! | number of stripes after the fence | `the_number_of_stripes_before_the_fence` |
//! | one grace period at a time | `grace_periods_at_the_same_time`, `three_phases_instead_of_one_at_a_time` |
//! | who waits does so for the next | `who_waits_for_what_has_begun` |
//!
//! | a child takes the lock over, rights `phase`, and catches up with a grace period that has no number | `forks` |
//!
//! Not here, for x86 orders it anyway: that who looks at seats does so with acquire
//! ordering, and that a claim loads with it; for counts, loom finds it.

mod config;
mod forks;
mod model;
mod state;
mod steps;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use config::{Domain, Rules, SOUND};
use state::Role::{Counted, Reader, Reclaimer, Waiter, Writer};

/// Visits every state, or stops at the first that is wrong; whether one is.
fn is_broken(name: &str, domain: Domain) -> bool {
    let begun = Instant::now();
    let checker = domain
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let wrong = checker
        .discovery("nobody uses what is freed")
        .or_else(|| checker.discovery("who is left after a fork ends"));
    println!(
        "{name}: {} states, depth {}, {:.1} s{}",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
        if wrong.is_some() { ": broken" } else { "" },
    );
    if let Some(path) = wrong {
        for (state, action) in path.into_vec() {
            if let Some(action) = action {
                let number = match action {
                    model::Action::Step(one)
                    | model::Action::Other(one)
                    | model::Action::Drain(one)
                    | model::Action::Preempt(one)
                    | model::Action::Run(one, _)
                    | model::Action::Fork(one, _)
                    | model::Action::Interrupt(_, one) => one,
                };
                let thread = &state.threads[usize::from(number)];
                println!("  {action:?}: {:?} {:?}", thread.role, thread.pc);
            }
        }
        return true;
    }
    for reached in ["something is freed", "all come to an end"] {
        assert!(
            checker.discovery(reached).is_some(),
            "{name}: the model never gets where {reached}"
        );
    }
    false
}

/// Two readers in sections, whose CPUs are taken away, and a writer.
fn sections(rules: Rules) -> Domain {
    Domain {
        rules,
        threads: vec![(Reader, 1), (Reader, 1), (Writer, 1), (Reclaimer, 2)],
        preemptions: 2,
        open: 2,
        parted: false,
        seats: 1,
        forks: false,
    }
}

/// One reader enters twice while two objects go.
fn again(rules: Rules) -> Domain {
    Domain {
        rules,
        threads: vec![(Reader, 2), (Writer, 2), (Reclaimer, 2)],
        preemptions: 0,
        open: 2,
        parted: false,
        seats: 1,
        forks: false,
    }
}

/// A reader that counts itself, beside sections that retire.
fn counted(rules: Rules) -> Domain {
    Domain {
        rules,
        threads: vec![(Counted, 2), (Writer, 2), (Reclaimer, 2)],
        preemptions: 1,
        open: 2,
        parted: false,
        seats: 1,
        forks: false,
    }
}

/// Two that reclaim.
fn reclaimers(rules: Rules) -> Domain {
    Domain {
        rules,
        threads: vec![(Reader, 1), (Writer, 2), (Reclaimer, 1), (Reclaimer, 1)],
        preemptions: 0,
        open: 2,
        parted: false,
        seats: 1,
        forks: false,
    }
}

/// One that waits for a grace period instead of retiring.
fn waiter(rules: Rules) -> Domain {
    Domain {
        rules,
        threads: vec![(Reader, 2), (Waiter, 2), (Reclaimer, 3)],
        preemptions: 0,
        open: 2,
        parted: false,
        seats: 1,
        forks: false,
    }
}

/// Stripes that are opened while a grace period goes on.
fn opening(rules: Rules) -> Domain {
    Domain {
        rules,
        threads: vec![(Writer, 1), (Reader, 1), (Reclaimer, 1)],
        preemptions: 1,
        open: 1,
        parted: false,
        seats: 1,
        forks: false,
    }
}

/// One word has the limit and the phase, and each phase has seats of its own.
fn parted(domain: Domain) -> Domain {
    Domain {
        parted: true,
        ..domain
    }
}

/// Two seats of a cid, for readers that follow one another on a CPU.
fn seats(rules: Rules) -> Domain {
    Domain {
        seats: 2,
        threads: vec![(Reader, 1), (Reader, 1), (Waiter, 1), (Reclaimer, 2)],
        ..parted(sections(rules))
    }
}

/// Nothing is open at first: a reader raises the limit while grace periods choose phases.
fn raising(rules: Rules) -> Domain {
    Domain {
        threads: vec![(Reader, 1), (Waiter, 2), (Reclaimer, 3)],
        open: 0,
        ..parted(waiter(rules))
    }
}

#[track_caller]
fn holds(name: &str, domain: Domain) {
    assert!(!is_broken(name, domain), "{name}");
}

#[track_caller]
fn found(name: &str, domain: Domain) {
    assert!(
        is_broken(name, domain),
        "{name}: the mutant passed: the model proves nothing"
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn readers_in_sections_are_waited_for() {
    holds("sections", sections(SOUND));
    holds("again", again(SOUND));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn counted_readers_are_waited_for() {
    holds("counted", counted(SOUND));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn grace_periods_of_two_threads() {
    holds("reclaimers", reclaimers(SOUND));
}

#[test]
fn who_waits_is_served() {
    holds("waiter", waiter(SOUND));
}

#[test]
fn stripes_may_be_opened() {
    holds("opening", opening(SOUND));
    holds("opening, parted", parted(opening(SOUND)));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn phases_with_seats_of_their_own() {
    holds("again, parted", parted(again(SOUND)));
    holds("counted, parted", parted(counted(SOUND)));
    holds("reclaimers, parted", parted(reclaimers(SOUND)));
    holds("seats", seats(SOUND));
}

#[test]
fn a_limit_is_raised_while_phases_change() {
    holds("raising", raising(SOUND));
}

/// A test for each mutant, in the smallest domain that shows it.
macro_rules! mutants {
    ($($name:ident: $domain:ident { $($rule:ident: $value:expr),* };)*) => {$(
        #[test]
        #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
        fn $name() {
            found(stringify!($name), $domain(Rules { $($rule: $value,)* ..SOUND }));
        }
    )*};
}

mutants! {
    grace_periods_at_the_same_time: reclaimers { serialised: false };
    three_phases_instead_of_one_at_a_time: reclaimers { serialised: false, phases: 3 };
    no_fence: sections { fences: false };
    a_fence_that_does_not_restart_sections: again { aborts: false };
    a_phase_that_is_not_acquired: again { acquires: false };
    a_seat_that_is_left_before_the_last_load: again { releases: false };
    a_count_that_is_left_before_the_last_load: counted { releases: false };
    a_counted_reader_that_does_not_look_again: counted { looks_again: false };
    a_counted_reader_without_a_fence: counted { counts_fenced: false };
    retirement_without_a_fence: again { retires_fenced: false };
    what_came_late_is_taken_late: again { late_first: false };
    counted_readers_change_first: counted { chosen_first: false };
    the_number_of_stripes_before_the_fence: opening { limit_after: false };
    who_waits_for_what_has_begun: waiter { waits_for_next: false };
    who_waits_without_a_fence: waiter { retires_fenced: false };
    a_seat_that_is_taken_already: seats { looks_for_free: false };
    seats_of_phases_without_a_fence: seats { fences: false };
    a_limit_that_brings_a_phase_back: raising { raises_at_once: false };
}
