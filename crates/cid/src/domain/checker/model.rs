//! What may happen next, and what comes of it.
//!
//! # Steps
//!
//! Every request of a procedure is one step, and so are: a section's load of its id,
//! its commit, a switch to a CPU or away from it, a signal, a fall of the bound, a
//! fork. Any thread may be the next; a worker only while it is on a CPU.
//!
//! A section's load of `cpu_id` is no step of its own: the kernel changes it only
//! while it aborts the section. The bound is answered at once where it never changes.
//! A thread that ends is a worker that is never switched to again: slots belong to
//! CPUs, and leaving is the leaver's.
//!
//! # Joined steps
//!
//! Most of those steps touch nothing that others see. With [`Steps::Joined`] they are
//! part of the thread's next step that does, which leaves a few per cent of the states:
//!
//! - A worker is on a CPU while its section is open, and otherwise wherever it is asked
//!   next: switches outside of sections change only what CPU it finds itself on, and it
//!   may find any. A switch away from an open section and a signal do the same, so they
//!   are one.
//! - The choice of a victim is any slot, whatever it holds, at the moment of the look
//!   that follows it.
//! - A section that is rejected goes on with what the slot holds when it is looked at,
//!   whatever that is; so the rejection is part of the look. (Where rejections are
//!   counted it stays a step.)
//! - A scan is begun with its first look; a child's ids are rebuilt as one step, since
//!   nobody else moves meanwhile.
//!
//! In each the joined step could be the later one's neighbour in any order of steps that
//! there is: nothing of others depends on whether it has been done, and what it reads is
//! the thread's own, or a choice that all are tried of. No property tells the states in
//! between apart. The test `joined_steps_reach_whatever_each_step_does` holds the two
//! against each other, state by state, and every mutant is looked for in both.
//!
//! # Forks
//!
//! A child finds its slots wiped. But for one, perhaps: where a signal handler has forked
//! between two requests of an acquirer, the child carries out the second, which may put an
//! id, opened before, into a slot that was never used. So one slot holds any open id, or
//! none does.
//!
//! # Hints
//!
//! The victim, the age of a mark and a thread's former place may be anything, so the
//! model tries all. `loose` does the same for claims (any free id, `Full`,
//! `Contended`) and for fences (they may fail).

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use stateright::{Model, Property};

use super::config::{Config, Forks, Kernel, Steps};
use super::state::{Broken, CPUS, Doing, NEWEST, State, THREADS, Tags, Thread};
use crate::domain::{Request, Rules, SlotWord, Sound};

/// The domain in a configuration, under rules.
pub(super) struct Domain<R = Sound, const BATCH: usize = 1> {
    pub(super) config: Config,
    /// Which answers were given where, if somebody wants to know.
    pub(super) walked: Option<Walked>,
    rules: PhantomData<R>,
}

/// Which answers were given where.
pub(super) type Walked = Arc<Mutex<BTreeSet<String>>>;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Switch(usize, u8),
    Preempt(usize),
    Signal(usize),
    /// Fences see the thread from now on.
    Seen(usize),
    /// The number says what is in a slot of the child.
    Fork(usize, u8),
    /// The thread's own next step; the number chooses among hints.
    Step(usize, u8),
}

impl<R: Rules, const BATCH: usize> Domain<R, BATCH> {
    pub(super) fn new(config: Config) -> Self {
        assert!(config.threads() <= THREADS && usize::from(config.cpus) <= CPUS);
        // A leaver that a fork takes away does not scan.
        assert!(config.forks == Forks::Never || config.leavers == 0);
        Domain {
            config,
            walked: None,
            rules: PhantomData,
        }
    }

    pub(super) fn is_worker(&self, thread: usize) -> bool {
        thread < self.config.workers
    }

    pub(super) fn slots(&self) -> std::ops::Range<u32> {
        0..u32::from(self.config.cpus)
    }

    /// The request that a thread's next step answers.
    pub(super) fn request(&self, state: &State<R, BATCH>, thread: usize) -> Option<Request> {
        let procedure = state.threads[thread].doing.procedure()?;
        Some(procedure.request())
    }
}

impl<R: Rules, const BATCH: usize> Model for Domain<R, BATCH> {
    type State = State<R, BATCH>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        let mut state = State {
            slots: [SlotWord::UNSET; CPUS],
            ids: 0,
            bound: self.config.bound,
            opened: 0,
            threads: std::array::from_fn(|thread| {
                let absent = thread >= self.config.threads();
                Thread::new(if absent { Doing::Gone } else { Doing::Rest })
            }),
            forked: false,
            broken: None,
        };
        state.renumber(self.config.tags);
        vec![state]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        let resetting = state.resetting();
        let may_fork = self.config.forks != Forks::Never && !state.forked;
        for (index, thread) in state.threads.iter().enumerate() {
            if self.is_worker(index) {
                match self.config.steps {
                    Steps::Joined => {}
                    Steps::Each if thread.cpu.is_some() => actions.push(Action::Preempt(index)),
                    Steps::Each => {
                        let free = |&cpu: &u8| state.threads.iter().all(|it| it.cpu != Some(cpu));
                        let free = (0..self.config.cpus).filter(free);
                        actions.extend(free.map(|cpu| Action::Switch(index, cpu)));
                        continue;
                    }
                }
                if thread.unseen {
                    actions.push(Action::Seen(index));
                }
                match thread.doing {
                    Doing::Open(_) => actions.push(Action::Signal(index)),
                    Doing::Rest if may_fork => {
                        let left = self.config.cpus * self.config.bound;
                        actions.extend((0..=left).map(|left| Action::Fork(index, left)));
                    }
                    _ => {}
                }
            }
            // Nobody else is in the domain until the child's ids are rebuilt.
            if !resetting || matches!(thread.doing, Doing::Reset(_)) {
                let choices = self.choices(state, index);
                actions.extend((0..choices).map(|choice| Action::Step(index, choice)));
            }
        }
    }

    fn next_state(&self, last: &Self::State, action: Action) -> Option<Self::State> {
        let mut state = last.clone();
        match action {
            Action::Switch(thread, cpu) => {
                state.threads[thread].cpu = Some(cpu);
                state.threads[thread].unseen = self.config.kernel == Kernel::NoSwitchBarrier;
            }
            Action::Preempt(thread) => {
                let thread = &mut state.threads[thread];
                thread.abort();
                thread.cpu = None;
                thread.unseen = false;
            }
            Action::Signal(thread) => state.threads[thread].abort(),
            Action::Seen(thread) => state.threads[thread].unseen = false,
            Action::Fork(thread, left) => {
                if !self.fork(&mut state, thread, left) {
                    return None;
                }
            }
            Action::Step(thread, choice) => {
                if !self.step(&mut state, thread, choice) {
                    return None;
                }
            }
        }
        if self.config.steps == Steps::Joined {
            state.forget_cpus();
        }
        state.renumber(self.config.tags);
        if self.config.alike {
            state.order(self.config.workers, self.config.scanners);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "1: two sections differ in id",
                |_, state: &State<R, BATCH>| state.ids_differ(),
            ),
            Property::always("2: a bit has one owner", |_, state: &State<R, BATCH>| {
                state.resetting() || state.bits_have_owners()
            }),
            Property::always("3: nobody waits", |_, state: &State<R, BATCH>| {
                state.broken != Some(Broken::Waits)
            }),
            Property::always(
                "4: ids fall below the bound",
                |model: &Self, state: &State<R, BATCH>| {
                    state.broken != Some(Broken::Above) && state.ids_below_bound(model.config.bound)
                },
            ),
            Property::always("5: stripes are open", |_, state: &State<R, BATCH>| {
                state.stripes_are_open()
            }),
        ]
    }

    fn within_boundary(&self, state: &Self::State) -> bool {
        self.config.tags != Tags::ResetAtUnset || state.slots.iter().all(|word| word.tag() < NEWEST)
    }
}
