//! How large the modelled world is, and which rules hold in it.

use super::state::Role;

/// What the library does; a mutant leaves one out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Grace periods: one at a time, from choice to end.
    pub(super) serialised: bool,
    /// There is a fence,
    pub(super) fences: bool,
    /// and it restarts sections.
    pub(super) aborts: bool,
    /// Sections load the phase with acquire ordering.
    pub(super) acquires: bool,
    /// Guards are left with release ordering.
    pub(super) releases: bool,
    /// Counted readers look at the phase again,
    pub(super) looks_again: bool,
    /// behind a full fence.
    pub(super) counts_fenced: bool,
    /// There is a full fence between unlinking and retiring.
    pub(super) retires_fenced: bool,
    /// What came late is taken before the choice.
    pub(super) late_first: bool,
    /// Sections' word is changed before the counted readers'.
    pub(super) chosen_first: bool,
    /// The number of stripes is loaded after the fence.
    pub(super) limit_after: bool,
    /// A reader looks whether a seat is free.
    pub(super) looks_for_free: bool,
    /// The word of limit and phase gets another limit by a read-modify-write.
    pub(super) raises_at_once: bool,
    /// Who waits does so for a grace period that begins later.
    pub(super) waits_for_next: bool,
    /// A child takes the lock over from a thread that it does not have,
    pub(super) takes_over: bool,
    /// makes counted readers' phase that of sections,
    pub(super) rights_phase: bool,
    /// waits for the readers of the other phase,
    pub(super) waits_for_other: bool,
    /// by a grace period without a number of its own,
    pub(super) takes_no_number: bool,
    /// and not for destructors that threads ran which it does not have.
    pub(super) knows_generations: bool,
    /// Phases; 2 are enough.
    pub(super) phases: u8,
}

pub(super) const SOUND: Rules = Rules {
    serialised: true,
    fences: true,
    aborts: true,
    acquires: true,
    releases: true,
    looks_again: true,
    counts_fenced: true,
    retires_fenced: true,
    late_first: true,
    chosen_first: true,
    limit_after: true,
    looks_for_free: true,
    raises_at_once: true,
    waits_for_next: true,
    takes_over: true,
    rights_phase: true,
    waits_for_other: true,
    takes_no_number: true,
    knows_generations: true,
    phases: 2,
};

/// A small domain.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    pub(super) rules: Rules,
    /// Who is there, and how often each does what it does.
    pub(super) threads: Vec<(Role, u8)>,
    /// Switches away from a CPU.
    pub(super) preemptions: u8,
    /// Cids whose stripes are open from the start.
    pub(super) open: u8,
    /// Whether one word has the limit and the phase, and each phase its own seats: as by the
    /// kernel's ids. Otherwise seats are marked with the phase.
    pub(super) parted: bool,
    /// Seats of a cid, in a phase.
    pub(super) seats: u8,
    /// Whether the process may fork. Then who waits does so for destructors, too.
    pub(super) forks: bool,
}
