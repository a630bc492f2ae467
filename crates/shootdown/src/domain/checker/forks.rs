//! A process that forks while its threads are anywhere: what its child, which has one of
//! them and new ones, does with what the others had in hand.
//!
//! A thread forks outside of the domain's functions: at rest, inside as a reader, before it
//! asks for anything. The other threads are gone, each where it was; what it had stored is
//! there, its seat or count is never left, its objects are leaked. For each there is a new
//! thread that does the same. Of grace periods:
//!
//! | it was | the child finds |
//! | --- | --- |
//! | behind the lock, anywhere | the lock held, by a generation that is gone: `inherit` |
//! | between two looks at readers | the lock free and the grace period: it goes on with it |
//! | destroying, outside of the lock | that it has ended; its objects leak |
//!
//! In the child, unless a reader is gone that was inside, everybody comes to an end
//! (`is_stuck`).

use stateright::Model;

use super::config::Domain;
use super::state::{OFF, Pc, Place, Role, State, Thread};

/// How other threads are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// With the lock, if that is where they were.
    Locked,
    /// Between two looks at readers, if one was that far.
    Waiting,
    /// With the list of what came late, too, which is leaked.
    WithLate,
}

impl Gone {
    pub(super) const ALL: [Gone; 3] = [Gone::Locked, Gone::Waiting, Gone::WithLate];
}

impl Domain {
    /// Whether a thread may fork just now.
    pub(super) fn may_fork(&self, state: &State, thread: &Thread) -> bool {
        let runs = thread.cid != OFF || !thread.role.has_cid();
        let outside = matches!(thread.pc, Pc::Rest | Pc::Find | Pc::Use | Pc::Fence);
        // A grace period that waits for readers is nobody's.
        let waits = thread.pc == Pc::Scan;
        self.forks && !state.child.is && runs && (outside || waits)
    }

    /// The process has forked, and this is the child.
    pub(super) fn fork(&self, state: &mut State, survivor: usize, gone: Gone) -> bool {
        for number in 0..self.threads.len() {
            while state.drain(number) {}
        }
        let mut held = state.threads[survivor].pc == Pc::Scan;
        for (number, &(role, _)) in self.threads.iter().enumerate() {
            if number == survivor {
                continue;
            }
            let thread = &mut state.threads[number];
            if thread.pc == Pc::Scan && gone == Gone::Waiting {
                // Whoever looks next does so from the start.
                thread.scanned = 0;
                held = true;
                continue;
            }
            let inside = matches!(thread.pc, Pc::Find | Pc::Use | Pc::Leave);
            let counted = matches!(thread.pc, Pc::Look | Pc::Lower);
            state.child.held_up |= inside || counted || thread.place != Place::Cell;
            if gone == Gone::WithLate && matches!(thread.pc, Pc::Choose | Pc::Take) {
                state.late = 0;
            }
            *thread = Thread::new(role, 1);
        }
        if self.rules.knows_generations {
            state.destroying = 0;
        }
        state.child.is = true;
        state.child.inherits = state.locked && !held;
        true
    }

    /// What who takes the lock over does first: see `ReclaimDomain::inherited`.
    pub(super) fn inherit(&self, state: &mut State, thread: &mut Thread) {
        let rules = &self.rules;
        state.child.inherits = false;
        if !rules.waits_for_other {
            // As if nothing had been.
            return;
        }
        let word = state.chosen;
        let chosen = if self.parted { word & 3 } else { word };
        if rules.rights_phase {
            state.phase = chosen;
        }
        thread.phase = self.next_phase(state.phase);
        state.begun += u8::from(!rules.takes_no_number);
        thread.number = state.begun;
        thread.pc = Pc::Begin;
    }

    /// Whether a child's grace periods are waited for: whoever waits makes them.
    pub(super) fn is_awaited(&self, state: &State) -> bool {
        let waits = |thread: &Thread| thread.pc == Pc::Wait && state.ended < thread.phase;
        state.child.is && state.threads.iter().any(waits)
    }

    /// Whether they may be yet.
    pub(super) fn may_be_awaited(&self, state: &State) -> bool {
        let waits = |thread: &Thread| thread.role == Role::Waiter && thread.pc != Pc::Done;
        state.child.is && state.threads.iter().any(waits)
    }

    /// Whether somebody in the child waits for ever, though nobody is gone that was inside.
    pub(super) fn is_stuck(&self, state: &State) -> bool {
        let done = |thread: &Thread| thread.pc == Pc::Done;
        if !state.child.is || state.child.held_up || state.threads.iter().all(done) {
            return false;
        }
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        let mut next = actions.into_iter();
        next.all(|action| self.next_state(state, action).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Rules, SOUND};
    use super::super::state::Role::{Counted, Reader, Reclaimer, Waiter, Writer};
    use super::super::{found, holds, parted};
    use super::*;

    fn forking(rules: Rules, threads: &[(Role, u8)]) -> Domain {
        Domain {
            rules,
            threads: threads.to_vec(),
            preemptions: 0,
            open: 2,
            parted: false,
            seats: 1,
            forks: true,
        }
    }

    fn sections(rules: Rules) -> Domain {
        forking(rules, &[(Reader, 2), (Waiter, 1), (Reclaimer, 1)])
    }

    fn counted(rules: Rules) -> Domain {
        forking(rules, &[(Counted, 2), (Waiter, 1), (Reclaimer, 1)])
    }

    fn both(rules: Rules) -> Domain {
        forking(
            rules,
            &[(Reader, 1), (Counted, 1), (Waiter, 1), (Reclaimer, 1)],
        )
    }

    fn retiring(rules: Rules) -> Domain {
        forking(rules, &[(Reader, 1), (Writer, 1), (Reclaimer, 2)])
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_waits_for_its_own_readers() {
        holds("fork, sections", sections(SOUND));
        holds("fork, sections, parted", parted(sections(SOUND)));
        holds("fork, counted", counted(SOUND));
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_of_readers_of_both_kinds() {
        holds("fork, both", both(SOUND));
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_that_retires() {
        holds("fork, retiring", retiring(SOUND));
    }

    macro_rules! mutants {
        ($($name:ident: $domain:ident { $rule:ident };)*) => {$(
            #[test]
            #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
            fn $name() {
                found(stringify!($name), $domain(Rules { $rule: false, ..SOUND }));
            }
        )*};
    }

    mutants! {
        a_lock_of_a_thread_that_is_gone_is_honoured: sections { takes_over };
        an_inherited_grace_period_takes_a_number: sections { takes_no_number };
        the_readers_of_the_other_phase_are_not_waited_for: sections { waits_for_other };
        a_choice_that_was_half_made_stays: both { rights_phase };
        destructors_of_threads_that_are_gone_are_waited_for: sections { knows_generations };
    }
}
