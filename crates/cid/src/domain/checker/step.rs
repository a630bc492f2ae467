//! What a thread does next, by itself.

use super::config::{Config, Forks, Kernel, Steps};
use super::model::Domain;
use super::state::{Broken, CPUS, Doing, State, Thread};
use crate::domain::{
    Acquire, Answer, Claim, Compact, Depth, Outcome, Place, Policy, Request, Reset, Rules, Scan,
    SlotState, SlotWord,
};

impl<R: Rules, const BATCH: usize> Domain<R, BATCH> {
    /// In how many ways a thread's next step may go.
    pub(super) fn choices(&self, state: &State<R, BATCH>, thread: usize) -> u8 {
        let Config { cpus, loose, .. } = self.config;
        let joined = self.config.steps == Steps::Joined;
        match (&state.threads[thread].doing, self.request(state, thread)) {
            (Doing::Gone, _) => 0,
            (Doing::Rest, _) if self.is_worker(thread) && joined => {
                let section = u8::from(!self.config.counts);
                cpus * (section + self.formers())
            }
            (Doing::Rest, _) if self.is_worker(thread) => {
                let cpu = state.threads[thread].cpu;
                match cpu.and_then(|cpu| self.section_id(state, cpu)) {
                    Some(_) => 1,
                    None => self.formers(),
                }
            }
            (Doing::Rest, _) if thread < self.config.workers + self.config.scanners => {
                match (self.config.whole, joined) {
                    (false, _) => cpus,
                    (true, false) => 1,
                    // The first slot is aged, or is not.
                    (true, true) => 2,
                }
            }
            (_, Some(Request::Cpu)) if joined => cpus,
            (_, Some(Request::Look { .. })) if self.config.whole => 2,
            (_, Some(Request::Victim { .. })) => cpus + 1,
            (_, Some(Request::Claim { .. })) if loose => self.config.bound + 3,
            (_, Some(Request::Fence { .. } | Request::FenceAll)) if loose => 2,
            (_, Some(Request::Open { .. })) if loose => 2,
            _ => 1,
        }
    }

    /// The id that a section on a CPU would load now.
    fn section_id(&self, state: &State<R, BATCH>, cpu: u8) -> Option<u8> {
        match state.slots[usize::from(cpu)].state() {
            SlotState::Valid(cid) => Some(cid as u8),
            _ => None,
        }
    }

    /// How many places a thread may remember: none, or any id in any slot.
    fn formers(&self) -> u8 {
        1 + if self.config.handover {
            self.config.cpus * self.config.bound
        } else {
            0
        }
    }

    /// Any id in any slot; 0: none.
    fn place(&self, number: u8) -> Option<Place> {
        let place = u32::from(number.checked_sub(1)?);
        let ids = u32::from(self.config.bound);
        Some(Place {
            slot: place / ids,
            cid: place % ids,
        })
    }

    /// A worker that is between operations, or aborted, begins its section on its CPU.
    fn section(&self, state: &mut State<R, BATCH>, thread: usize, former: u8) -> bool {
        let Some(cpu) = state.threads[thread].cpu else {
            return false;
        };
        if let Some(cid) = self.section_id(state, cpu) {
            state.threads[thread].doing = Doing::Open(cid);
            return former == 0;
        }
        let mine = &mut state.threads[thread];
        if self.config.counts && !mine.attempts.rejected() {
            // The operation is done on the fallback, and the next one begins.
            mine.attempts = Default::default();
            return true;
        }
        self.acquire(state, thread, former);
        // The CPU could change before it is read; then the section would have
        // begun there, too, and only the count of rejections tells the difference.
        self.config.counts || self.procedure(state, thread, cpu)
    }

    /// As [`section`](Self::section), on any CPU that has no section open. Without a
    /// count of rejections the rejected one is joined with the first look at the slot.
    fn section_anywhere(&self, state: &mut State<R, BATCH>, thread: usize, choice: u8) -> bool {
        let (cpu, which) = (choice % self.config.cpus, choice / self.config.cpus);
        if !self.config.counts && which > 0 {
            self.acquire(state, thread, which - 1);
            return self.procedure(state, thread, cpu);
        }
        if state.threads.iter().any(|it| it.cpu == Some(cpu)) {
            return false;
        }
        state.threads[thread].cpu = Some(cpu);
        state.threads[thread].unseen = self.config.kernel == Kernel::NoSwitchBarrier;
        if self.config.counts || self.section_id(state, cpu).is_some() {
            return self.section(state, thread, which);
        }
        false
    }

    fn acquire(&self, state: &mut State<R, BATCH>, thread: usize, former: u8) {
        let policy = Policy {
            handover: true,
            scans: true,
        };
        let former = self.place(former);
        state.threads[thread].doing = Doing::Acquire(Acquire::with_rules(policy, former));
    }

    /// Whether nothing that others do changes the answer: then it is no step.
    fn is_constant(&self, request: Request) -> bool {
        request == Request::Bound && self.config.leavers == 0
    }

    /// Whether it touches nothing that is shared.
    fn is_local(&self, request: Request) -> bool {
        matches!(request, Request::Cpu | Request::Victim { .. }) || self.is_constant(request)
    }

    /// One step of a procedure; false if there is no such choice.
    fn procedure(&self, state: &mut State<R, BATCH>, thread: usize, mut choice: u8) -> bool {
        let mut accessed = self.config.steps == Steps::Each;
        loop {
            let Some(request) = self.request(state, thread) else {
                return false;
            };
            let Some(answer) = self.perform(state, thread, request, choice) else {
                return false;
            };
            if matches!(request, Request::Cpu | Request::Victim { .. }) {
                // The choice is made.
                choice = 0;
            }
            accessed |= !self.is_local(request);
            match self.answer(state, thread, answer) {
                Request::Done(outcome) => {
                    self.ended(state, thread, outcome);
                    return true;
                }
                next if accessed && !self.is_constant(next) => return true,
                _ => {}
            }
        }
    }

    /// Has a procedure take an answer.
    fn answer(&self, state: &mut State<R, BATCH>, thread: usize, answer: Answer) -> Request {
        let mine = &mut state.threads[thread];
        if let Some(walked) = &self.walked {
            let edge = format!("{}: {}", mine.doing.place(), kind(answer));
            walked.lock().unwrap().insert(edge);
        }
        let procedure = mine.doing.procedure_mut().expect("it asked");
        let before = procedure.remaining();
        let next = procedure.step(answer);
        if procedure.remaining() >= before {
            state.broken = Some(Broken::Waits);
        }
        next
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

    /// A thread's own step; false if there is no such choice.
    pub(super) fn step(&self, state: &mut State<R, BATCH>, thread: usize, choice: u8) -> bool {
        let scanners = self.config.workers + self.config.scanners;
        let before = state.threads[thread].distance();
        let mine = &mut state.threads[thread];
        match mine.doing {
            Doing::Rest if self.is_worker(thread) => {
                let begun = match self.config.steps {
                    Steps::Each => self.section(state, thread, choice),
                    Steps::Joined => self.section_anywhere(state, thread, choice),
                };
                if !begun {
                    return false;
                }
            }
            Doing::Rest if thread < scanners => {
                let slots = match self.config.whole {
                    true => self.slots(),
                    false => u32::from(choice)..u32::from(choice) + 1,
                };
                let hint = if self.config.whole { choice } else { 0 };
                mine.doing = Doing::Scan(Scan::with_rules(Depth::Aged, slots));
                return self.procedure(state, thread, hint);
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

    /// The child of a fork: slots are wiped, but for what is `left`, and other threads are
    /// new ones; false if that cannot be left.
    pub(super) fn fork(&self, state: &mut State<R, BATCH>, survivor: usize, left: u8) -> bool {
        state.slots = [SlotWord::UNSET; CPUS];
        if let Some(place) = self.place(left) {
            if place.cid >= u32::from(state.opened) {
                return false;
            }
            state.slots[place.slot as usize] = SlotWord::UNSET.valid(place.cid);
        }
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
        // Nobody else does anything until it is done.
        while self.config.steps == Steps::Joined && state.resetting() {
            self.procedure(state, survivor, 0);
        }
        true
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
        Answer::Opened(true) => "open",
        Answer::Opened(false) => "closed",
        Answer::Victim(Some(_)) => "a victim",
        Answer::Victim(None) => "nobody",
        Answer::Fenced(true) => "fenced",
        Answer::Fenced(false) => "unfenced",
        Answer::Done => "done",
    }
}
