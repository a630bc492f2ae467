//! What may happen next, and what comes of it.
//!
//! # Steps
//!
//! Every request of a procedure is one step, and so are: the load and the commit of a
//! section, the loads of the slot and of the cell after it, each of the three steps of a
//! miss, a store to a cell and each look at the count that is given back for it, the store
//! and the look of a leave, a switch, a preemption, the arrival of a fence at a CPU, a
//! store that leaves its buffer. Any thread may be the next, while it is on a CPU.
//!
//! # Memory
//!
//! With `buffers` it is x86's: plain stores wait, in order, in a buffer of their CPU; a
//! read-modify-write, a switch and a fence's interrupt empty it. Cells and objects are
//! changed by read-modify-writes only, but for what one thread alone has.

use std::marker::PhantomData;

use stateright::{Model, Property};

use super::super::protocol::{Procedure, Request, Rules};
use super::config::{Config, Kernel};
use super::state::{Doing, State, Thread};

/// The world in a configuration, under rules.
pub(super) struct World<R> {
    pub(super) config: Config,
    rules: PhantomData<R>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Switch(usize, u8),
    Preempt(usize),
    /// A thread's fence arrives at a CPU.
    Arrive(usize, u8),
    /// Somebody else's fence: begins, arrives, ends.
    ForeignBegins,
    ForeignArrives(u8),
    ForeignEnds,
    Drain(u8),
    /// The thread's own next step; the number chooses.
    Step(usize, u8),
    /// The thread forks; how much of their next steps the others have done.
    Fork(usize, u8),
}

impl<R: Rules> World<R> {
    pub(super) fn new(config: Config) -> Self {
        World {
            config,
            rules: PhantomData,
        }
    }

    pub(super) fn is_reader(&self, thread: usize) -> bool {
        thread < self.config.readers
    }

    /// All CPUs, but perhaps one.
    pub(super) fn others(&self, cpu: Option<u8>) -> u8 {
        let all = (1 << self.config.all_cpus()) - 1;
        all & !cpu.map_or(0, |cpu| 1 << cpu)
    }

    /// In how many ways a thread's next step may go.
    fn choices(&self, state: &State<R>, thread: usize) -> u8 {
        let config = &self.config;
        let mine = &state.threads[thread];
        if mine.fencing {
            return u8::from(mine.unreached == 0);
        }
        match mine.doing {
            Doing::Done => 0,
            Doing::Rest if mine.owns != 0 => {
                1 + u8::from(config.cells == 1 && state.cells[0].object != 0)
            }
            Doing::Rest if mine.left == 0 => 1,
            Doing::Rest if self.is_reader(thread) => config.cells * config.ways,
            Doing::Rest => config.cells * config.objects,
            Doing::Other => 2,
            Doing::Hold { counted: false, .. } => {
                let upgrades = config.upgrades && mine.owns == 0;
                1 + u8::from(config.empties) + u8::from(upgrades)
            }
            Doing::Show { step: 4, .. } => 2,
            Doing::Tend(tend, _) if config.refuses && tend.request() == Request::Fence => 2,
            _ => 1,
        }
    }

    /// A fence's interrupt.
    fn interrupt(&self, state: &mut State<R>, cpu: u8) {
        if self.config.kernel != Kernel::NoBarrier {
            state.drain(cpu);
        }
        if self.config.kernel != Kernel::NoAbort {
            let mut on_it = state.threads.iter_mut().filter(|it| it.cpu == Some(cpu));
            on_it.by_ref().for_each(Thread::abort);
        }
    }

    fn of_threads(&self, state: &State<R>, actions: &mut Vec<Action>) {
        for (index, thread) in state.threads.iter().enumerate() {
            if thread.doing == Doing::Done {
                continue;
            }
            if self.is_reader(index) {
                if thread.cpu.is_none() {
                    let free = |&cpu: &u8| state.threads.iter().all(|it| it.cpu != Some(cpu));
                    let free = (0..self.config.cpus).filter(free);
                    actions.extend(free.map(|cpu| Action::Switch(index, cpu)));
                    continue;
                }
                // Who has not begun is switched as well before.
                let calm = !matches!(thread.doing, Doing::Empty(..) | Doing::Tend(..));
                if thread.doing != Doing::Rest && (calm || !self.config.calm) {
                    actions.push(Action::Preempt(index));
                }
            }
            if self.may_fork(state, index) {
                actions.extend((0..3).map(|halves| Action::Fork(index, halves)));
            }
            let choices = self.choices(state, index);
            actions.extend((0..choices).map(|choice| Action::Step(index, choice)));
            if thread.fencing {
                let unreached = (0..8).filter(|cpu| thread.unreached >> cpu & 1 == 1);
                actions.extend(unreached.map(|cpu| Action::Arrive(index, cpu)));
            }
        }
    }
}

impl<R: Rules> Model for World<R> {
    type State = State<R>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        vec![State::new(&self.config)]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        self.of_threads(state, actions);
        let foreign = &state.foreign;
        if foreign.running {
            let unreached = (0..8).filter(|cpu| foreign.unreached >> cpu & 1 == 1);
            actions.extend(unreached.map(Action::ForeignArrives));
            if foreign.unreached == 0 {
                actions.push(Action::ForeignEnds);
            }
        } else if foreign.left > 0 {
            actions.push(Action::ForeignBegins);
        }
        for (cpu, buffer) in state.buffers.iter().enumerate() {
            if !buffer.is_empty() {
                actions.push(Action::Drain(cpu as u8));
            }
        }
    }

    fn next_state(&self, last: &Self::State, action: Action) -> Option<Self::State> {
        let mut state = last.clone();
        state.child.fresh = false;
        match action {
            Action::Switch(thread, cpu) => state.threads[thread].cpu = Some(cpu),
            Action::Preempt(thread) => {
                let cpu = state.threads[thread].cpu.take().expect("who runs");
                state.threads[thread].abort();
                state.drain(cpu);
            }
            Action::Arrive(fencer, cpu) => {
                self.interrupt(&mut state, cpu);
                state.threads[fencer].unreached &= !(1 << cpu);
            }
            Action::ForeignBegins => {
                state.foreign.left -= 1;
                state.foreign.running = true;
                state.foreign.unreached = self.others(None);
                state.foreign.counts = state.parked != 0 || self.config.kernel == Kernel::Early;
            }
            Action::ForeignArrives(cpu) => {
                self.interrupt(&mut state, cpu);
                state.foreign.unreached &= !(1 << cpu);
            }
            Action::ForeignEnds => {
                state.foreign.running = false;
                state.served |= state.foreign.counts && state.parked != 0;
            }
            Action::Drain(cpu) => state.drain_one(cpu),
            Action::Step(thread, choice) => {
                if !self.step(&mut state, thread, choice) {
                    return None;
                }
            }
            Action::Fork(thread, halves) => self.fork(&mut state, thread, halves),
        }
        state.settle_fences();
        state.order(&self.config);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("1: nothing is used after its end", |_, state: &State<R>| {
                state.broken.is_none()
            }),
            Property::always(
                "2: what is given up is freed",
                |model: &Self, state: &State<R>| {
                    state.broken.is_some() || !model.is_over(state) || model.is_clean(state)
                },
            ),
            Property::always(
                "3: who is left after a fork ends",
                |model: &Self, state: &State<R>| {
                    let looks = state.child.fresh || model.config.solo && state.child.is;
                    !looks || model.all_end(state)
                },
            ),
        ]
    }
}
