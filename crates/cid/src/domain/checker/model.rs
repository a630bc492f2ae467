//! What may happen next, and what comes of it.
//!
//! # Steps
//!
//! Every request of a procedure is one step, and so are: a section's load of its id,
//! its commit, a switch to a CPU or away from it, a signal, a fall of the bound, a
//! fork. Any thread may be the next; a worker only while it is on a CPU.
//!
//! A section's load of `cpu_id` is no step of its own: the kernel changes it only
//! while it aborts the section. The first two requests of a procedure (the CPU and
//! the bound) are answered at once where nothing can change the answer in between.
//! A thread that ends is a worker that is never switched to again: slots belong to
//! CPUs, and leaving is the leaver's.
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

use super::config::{Config, Forks, Kernel};
use super::state::{Broken, CPUS, Doing, NEWEST, State, THREADS, Tags, Thread};
use crate::domain::{
    Acquire, Answer, Claim, Compact, Depth, Outcome, Place, Policy, Request, Reset, Rules, Scan,
    SlotState, SlotWord, Sound,
};

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
    Fork(usize),
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

    fn is_worker(&self, thread: usize) -> bool {
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

    /// In how many ways a thread's next step may go.
    fn choices(&self, state: &State<R, BATCH>, thread: usize) -> u8 {
        let Config { cpus, loose, .. } = self.config;
        match (&state.threads[thread].doing, self.request(state, thread)) {
            (Doing::Gone, _) => 0,
            (Doing::Rest, _) if self.is_worker(thread) => {
                let rejected = self.section_id(state, thread).is_none();
                // A rejected thread's former place: none, or any id of any slot.
                1 + if rejected && self.config.handover {
                    cpus
                } else {
                    0
                }
            }
            (Doing::Rest, _) if thread < self.config.workers + self.config.scanners => {
                if self.config.whole { 1 } else { cpus }
            }
            (_, Some(Request::Look { .. })) if self.config.whole => 2,
            (_, Some(Request::Victim { .. })) => cpus + 1,
            (_, Some(Request::Claim { .. })) if loose => self.config.bound + 3,
            (_, Some(Request::Fence { .. } | Request::FenceAll)) if loose => 2,
            _ => 1,
        }
    }

    /// The id that a section of this worker would load now.
    fn section_id(&self, state: &State<R, BATCH>, thread: usize) -> Option<u8> {
        let cpu = state.threads[thread].cpu?;
        match state.slots[usize::from(cpu)].state() {
            SlotState::Valid(cid) => Some(cid as u8),
            _ => None,
        }
    }

    /// A worker that is between operations, or aborted, begins its section.
    fn section(&self, state: &mut State<R, BATCH>, thread: usize, choice: u8) {
        if let Some(cid) = self.section_id(state, thread) {
            state.threads[thread].doing = Doing::Open(cid);
            return;
        }
        let mine = &mut state.threads[thread];
        if self.config.counts && !mine.attempts.rejected() {
            // The operation is done on the fallback, and the next one begins.
            mine.attempts = Default::default();
            return;
        }
        let former = choice.checked_sub(1).map(u32::from).and_then(|slot| {
            let cid = state.slots[slot as usize].cid()?;
            Some(Place { slot, cid })
        });
        let policy = Policy {
            handover: true,
            scans: true,
        };
        mine.doing = Doing::Acquire(Acquire::with_rules(policy, former));
        // The CPU could change before it is read; then the section would have
        // begun there, too, and only the count of rejections tells the difference.
        if !self.config.counts {
            self.procedure(state, thread, 0);
        }
    }

    /// One step of a procedure; false if there is no such choice.
    fn procedure(&self, state: &mut State<R, BATCH>, thread: usize, choice: u8) -> bool {
        let Some(request) = self.request(state, thread) else {
            return false;
        };
        let Some(answer) = self.perform(state, thread, request, choice) else {
            return false;
        };
        let mine = &mut state.threads[thread];
        if let Some(walked) = &self.walked {
            let edge = format!("{}: {}", mine.doing.place(), kind(answer));
            walked.lock().unwrap().insert(edge);
        }
        let Some(procedure) = mine.doing.procedure_mut() else {
            return false;
        };
        let before = procedure.remaining();
        let next = procedure.step(answer);
        if procedure.remaining() >= before {
            state.broken = Some(Broken::Waits);
        }
        match next {
            Request::Done(outcome) => self.ended(state, thread, outcome),
            Request::Bound if self.config.leavers == 0 => {
                return self.procedure(state, thread, 0);
            }
            _ => {}
        }
        true
    }

    fn ended(&self, state: &mut State<R, BATCH>, thread: usize, outcome: Outcome) {
        let mine = &mut state.threads[thread];
        mine.stale = false;
        if outcome == Outcome::Fallback {
            mine.attempts = Default::default();
        }
        let left = matches!(mine.doing, Doing::Leave(_));
        mine.doing = if left { Doing::Gone } else { Doing::Rest };
    }

    /// A thread's own step.
    fn step(&self, state: &mut State<R, BATCH>, thread: usize, choice: u8) -> bool {
        let scanners = self.config.workers + self.config.scanners;
        let before = state.threads[thread].distance();
        let mine = &mut state.threads[thread];
        match mine.doing {
            Doing::Rest if self.is_worker(thread) => self.section(state, thread, choice),
            Doing::Rest if thread < scanners => {
                let slots = match self.config.whole {
                    true => self.slots(),
                    false => u32::from(choice)..u32::from(choice) + 1,
                };
                mine.doing = Doing::Scan(Scan::with_rules(Depth::Aged, slots));
                return self.procedure(state, thread, 0);
            }
            Doing::Rest => {
                mine.doing = Doing::Leave(Compact::with_rules(self.config.leave, self.slots()));
                state.bound -= 1;
                for thread in &mut state.threads {
                    thread.stale |= matches!(thread.doing, Doing::Acquire(_));
                }
            }
            Doing::Open(_) => {
                mine.doing = Doing::Rest;
                mine.attempts = Default::default();
                return true;
            }
            _ => return self.procedure(state, thread, choice),
        }
        let after = &state.threads[thread];
        // An operation that ended begins with all its attempts.
        let ended = after.attempts == Default::default();
        if self.config.counts && !ended && after.distance() >= before {
            state.broken = Some(Broken::Waits);
        }
        true
    }

    /// The child of a fork: other threads are new ones.
    fn fork(&self, state: &mut State<R, BATCH>, survivor: usize) {
        for thread in 0..self.config.threads() {
            let gone = thread >= self.config.workers + self.config.scanners;
            state.threads[thread] = match (thread == survivor, gone) {
                (true, _) if self.config.forks == Forks::Forgets => continue,
                (true, _) => Thread {
                    doing: Doing::Reset(Reset::new(self.slots())),
                    ..state.threads[thread].clone()
                },
                (false, true) => Thread::new(Doing::Gone),
                (false, false) => Thread::new(Doing::Rest),
            };
        }
        state.forked = true;
    }
}

/// An answer without its numbers.
fn kind(answer: Answer) -> &'static str {
    match answer {
        Answer::Cpu(Some(_)) => "a CPU",
        Answer::Cpu(None) => "no CPU",
        Answer::Bound(_) => "the bound",
        Answer::Word(word) | Answer::Seen { word, .. } => match word.state() {
            SlotState::Unset => "UNSET",
            SlotState::Valid(_) => "VALID",
            SlotState::Lazy(_) => "LAZY",
        },
        Answer::Swapped(true) => "swapped",
        Answer::Swapped(false) => "lost",
        Answer::Claimed(Claim::Id(_)) => "an id",
        Answer::Claimed(Claim::Full) => "full",
        Answer::Claimed(Claim::Contended) => "contended",
        Answer::Victim(Some(_)) => "a victim",
        Answer::Victim(None) => "nobody",
        Answer::Fenced(true) => "fenced",
        Answer::Fenced(false) => "unfenced",
        Answer::Done => "done",
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
        for (index, thread) in state.threads.iter().enumerate() {
            if self.is_worker(index) {
                if thread.cpu.is_some() {
                    actions.push(Action::Preempt(index));
                } else {
                    let free = |&cpu: &u8| state.threads.iter().all(|it| it.cpu != Some(cpu));
                    let free = (0..self.config.cpus).filter(free);
                    actions.extend(free.map(|cpu| Action::Switch(index, cpu)));
                    continue;
                }
                if thread.unseen {
                    actions.push(Action::Seen(index));
                }
                match thread.doing {
                    Doing::Open(_) => actions.push(Action::Signal(index)),
                    Doing::Rest if self.config.forks != Forks::Never && !state.forked => {
                        actions.push(Action::Fork(index));
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
            Action::Fork(thread) => self.fork(&mut state, thread),
            Action::Step(thread, choice) => {
                if !self.step(&mut state, thread, choice) {
                    return None;
                }
            }
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
        ]
    }

    fn within_boundary(&self, state: &Self::State) -> bool {
        self.config.tags != Tags::ResetAtUnset || state.slots.iter().all(|word| word.tag() < NEWEST)
    }
}
