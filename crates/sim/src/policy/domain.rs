//! This project's `Domain`: percid-cid's own procedures, driven in simulated time.
//!
//! [`Acquire`], [`Scan`], [`Compact`], [`Aged`] and [`victim`] are the functions that the
//! real domain runs, unchanged, and so is the [`Bitmap`]; here their requests go to simulated
//! lines and CPUs. What is written anew is what the real driver does around them
//! (percid-cid, `domain/live`): the scans when a period has passed, and the budget of ids
//! that migrating threads take along under a relaxed bound.
//!
//! A domain lives in user space: a switch costs it nothing as long as the slot of the
//! CPU holds an id, and no slot of the same line has changed. A thread whose slot was taken
//! finds out at its next section.

use percid_cid::domain::{
    Acquire, Aged, Answer, Attempts, Bitmap, Claim, Compact, Depth, Outcome, Place,
    Policy as Moves, Procedure, Request, Scan, SlotState, SlotWord, victim,
};

use super::per_cpu::PerCpu;
use super::scanned::scanned;
use super::slot::PERIOD;
use super::{Policy, ensure};
use crate::bill::{Bill, Line, Lock, Part, Time};

/// Ids that may be taken along in a period under a relaxed bound.
const TAKEN_ALONG: u32 = 8;

/// Slots are eight bytes.
const SLOTS_OF_A_LINE: u32 = 8;

/// What bounds the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    /// The threads that have joined: all that live.
    Joined,
    /// The CPUs.
    Cpus,
}

#[derive(Clone, Debug)]
struct Slot {
    word: SlotWord,
    changed: Time,
    /// The version of its line that its CPU has seen.
    seen: u32,
}

impl Default for Slot {
    fn default() -> Slot {
        Slot {
            word: SlotWord::UNSET,
            changed: 0,
            seen: 0,
        }
    }
}

#[derive(Debug, Default)]
struct Space {
    ids: Bitmap,
    ids_line: Line,
    slots: PerCpu<Slot>,
    /// By CPU, too: the lines that hold the slots of [`SLOTS_OF_A_LINE`] of them.
    lines: PerCpu<Line>,
    joined: u32,
    joined_line: Line,
    hand: u32,
    scanned: Time,
    taken_along: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Task {
    id: Option<u32>,
    former: Option<Place>,
}

/// A domain for each process.
#[derive(Debug)]
pub(super) struct InUserSpace {
    bounds: Bounds,
    spaces: Vec<Space>,
    tasks: Vec<Task>,
    /// The kernel makes one membarrier after another.
    kernel: Lock,
}

/// One procedure of one process.
struct Driver<'a, 'b> {
    bill: &'a mut Bill<'b>,
    space: &'a mut Space,
    tasks: &'a mut Vec<Task>,
    kernel: &'a mut Lock,
    bounds: Bounds,
    process: u32,
    aged: Aged,
    stealing: bool,
}

impl Driver<'_, '_> {
    fn run(&mut self, mut procedure: impl Procedure) -> Outcome {
        loop {
            match procedure.request() {
                Request::Done(outcome) => return outcome,
                request => {
                    let answer = self.perform(request);
                    procedure.answer(answer);
                }
            }
        }
    }

    fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Cpu => {
                self.bill.local();
                Answer::Cpu(Some(self.bill.cpu))
            }
            Request::Bound => {
                self.bill.local();
                let cpus = self.bill.world.machine.cpus();
                Answer::Bound(match self.bounds {
                    Bounds::Joined => self.space.joined.min(cpus),
                    Bounds::Cpus => cpus,
                })
            }
            Request::Load { slot } => Answer::Word(self.load(slot).0),
            Request::Look { slot } => {
                let (word, changed) = self.load(slot);
                let age = self.bill.now().saturating_sub(changed);
                let aged = self.aged.finds(word.state(), age);
                Answer::Seen { word, aged }
            }
            Request::Swap { slot, old, new } => Answer::Swapped(self.swap(slot, old, new)),
            Request::Claim { below } => {
                self.bill.load(&self.space.ids_line);
                let claim = self.space.ids.claim_lowest(below);
                let words = match claim {
                    Claim::Id(id) => id / 64 + 1,
                    Claim::Full | Claim::Contended => below.div_ceil(64),
                };
                self.bill.spend(u64::from(words) * self.bill.costs.word);
                if matches!(claim, Claim::Id(_)) {
                    self.bill.rmw(&mut self.space.ids_line);
                }
                Answer::Claimed(claim)
            }
            // What ids lead to is not simulated.
            Request::Open { .. } => Answer::Opened(true),
            Request::Clear { cid } => {
                self.bill.rmw(&mut self.space.ids_line);
                self.space.ids.clear(cid);
                Answer::Done
            }
            Request::Victim { thief, bound } => Answer::Victim(self.victim(thief, bound)),
            Request::Fence { cpu } => {
                self.bill.fence(self.process, cpu, self.kernel);
                Answer::Fenced(true)
            }
            Request::FenceAll => {
                self.bill.fence_all(self.process, self.kernel);
                Answer::Fenced(true)
            }
            Request::ClearAll | Request::Set { .. } => {
                unreachable!("nobody forks here")
            }
            Request::Done(_) => unreachable!("a driver stops there"),
        }
    }

    fn load(&mut self, slot: u32) -> (SlotWord, Time) {
        self.bill
            .load(self.space.lines.get_mut(slot / SLOTS_OF_A_LINE));
        let slot = self.space.slots.get(slot);
        slot.map_or((SlotWord::UNSET, 0), |slot| (slot.word, slot.changed))
    }

    fn swap(&mut self, cpu: u32, old: SlotWord, new: SlotWord) -> bool {
        self.bill
            .rmw(self.space.lines.get_mut(cpu / SLOTS_OF_A_LINE));
        let slot = self.space.slots.get_mut(cpu);
        if slot.word != old {
            return false;
        }
        slot.word = new;
        slot.changed = self.bill.now();
        let is_taken = !matches!(new.state(), SlotState::Valid(_));
        if let Some(thread) = self.bill.world.running(cpu)
            && self.bill.world.process_of(thread) == self.process
            && is_taken
        {
            ensure(self.tasks, thread).id = None;
            self.bill.rejects(cpu);
        }
        // As the real driver tells a hand-over: taken from another CPU, not stolen.
        if let (SlotState::Lazy(_), SlotState::Unset) = (old.state(), new.state())
            && cpu != self.bill.cpu
            && !self.stealing
        {
            self.space.taken_along += 1;
        }
        true
    }

    fn victim(&mut self, thief: u32, bound: u32) -> Option<u32> {
        let cpus = self.bill.world.machine.cpus();
        let mut slots = Vec::with_capacity(cpus as usize);
        for cpu in 0..cpus {
            slots.push(self.load(cpu));
        }
        let victim = victim(slots, thief, bound, self.space.hand)?;
        self.space.hand = victim + 1;
        self.stealing = true;
        Some(victim)
    }
}

impl InUserSpace {
    pub(super) fn new(bounds: Bounds) -> InUserSpace {
        InUserSpace {
            bounds,
            spaces: Vec::new(),
            tasks: Vec::new(),
            kernel: Lock::default(),
        }
    }

    fn driver<'a, 'b>(&'a mut self, bill: &'a mut Bill<'b>, process: u32) -> Driver<'a, 'b> {
        Driver {
            bill,
            space: &mut self.spaces[process as usize],
            tasks: &mut self.tasks,
            kernel: &mut self.kernel,
            bounds: self.bounds,
            process,
            aged: Aged::ByTime { period: PERIOD },
            stealing: false,
        }
    }

    /// The id that a section on this CPU would load.
    fn loaded(&self, bill: &Bill, process: u32) -> Option<u32> {
        let slot = self.spaces[process as usize].slots.get(bill.cpu)?;
        match slot.word.state() {
            SlotState::Valid(id) => Some(id),
            _ => None,
        }
    }

    /// A section loads the slot of its CPU: for nothing, unless the line has moved.
    fn look(&mut self, bill: &mut Bill, process: u32) {
        let space = &mut self.spaces[process as usize];
        let line = space.lines.get_mut(bill.cpu / SLOTS_OF_A_LINE);
        let seen = &mut space.slots.get_mut(bill.cpu).seen;
        if line.has_changed_since(*seen) {
            bill.part(Part::Slow);
            bill.load_seen(line, seen);
        }
    }

    fn may_take_along(&self, process: u32, now: Time) -> bool {
        let space = &self.spaces[process as usize];
        self.bounds == Bounds::Joined
            || now.saturating_sub(space.scanned) >= PERIOD
            || space.taken_along < TAKEN_ALONG
    }

    fn scan_if_due(&mut self, bill: &mut Bill, process: u32) {
        let space = &mut self.spaces[process as usize];
        if bill.now().saturating_sub(space.scanned) < PERIOD {
            return;
        }
        space.scanned = bill.now();
        bill.part(Part::Scan);
        let (since, cpus) = (bill.now(), bill.world.machine.cpus());
        let scan = || -> Scan { Scan::new(Depth::Aged, 0..cpus) };
        self.driver(bill, process).run(scan());
        let space = &mut self.spaces[process as usize];
        space.taken_along = 0;
        if let Some(free) = space.ids.lowest_free()
            && space.ids.highest() > Some(free)
        {
            let mut driver = self.driver(bill, process);
            driver.aged = Aged::Above { free };
            driver.run(scan());
        }
        scanned(bill, since);
    }
}

impl Policy for InUserSpace {
    fn process(&mut self) {
        self.spaces.push(Space::default());
    }

    fn born(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        *ensure(&mut self.tasks, thread) = Task::default();
        let space = &mut self.spaces[process as usize];
        space.joined += 1;
        bill.rmw(&mut space.joined_line);
        self.scan_if_due(bill, process);
    }

    fn died(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        *ensure(&mut self.tasks, thread) = Task::default();
        let space = &mut self.spaces[process as usize];
        space.joined -= 1;
        bill.rmw(&mut space.joined_line);
        if self.bounds == Bounds::Joined {
            let cpus = bill.world.machine.cpus();
            let compact: Compact = Compact::leaving(0..cpus);
            self.driver(bill, process).run(compact);
        }
    }

    fn switched(&mut self, bill: &mut Bill, prev: Option<u32>, next: Option<u32>) {
        if let Some(prev) = prev {
            ensure(&mut self.tasks, prev).id = None;
        }
        if let Some(next) = next {
            self.operate(bill, next);
        }
    }

    fn operate(&mut self, bill: &mut Bill, thread: u32) {
        let process = bill.world.process_of(thread);
        let mut attempts = Attempts::default();
        let mut rejected = false;
        self.look(bill, process);
        loop {
            let id = self.loaded(bill, process);
            ensure(&mut self.tasks, thread).id = id;
            if id.is_some() {
                break;
            }
            rejected = true;
            bill.part(Part::Slow);
            bill.spend(bill.costs.slow);
            let outcome = if attempts.rejected() {
                let former = ensure(&mut self.tasks, thread).former;
                let former = former.filter(|_| self.may_take_along(process, bill.now()));
                let acquire = Acquire::new(Moves::COMBINED, former);
                self.driver(bill, process).run(acquire)
            } else {
                Outcome::Fallback
            };
            match outcome {
                Outcome::Retry(Some(place)) => {
                    ensure(&mut self.tasks, thread).former = Some(place);
                }
                Outcome::Retry(None) => {}
                _ => {
                    bill.count(|tally| tally.fallbacks += 1);
                    break;
                }
            }
        }
        if rejected {
            self.scan_if_due(bill, process);
        }
    }

    fn id(&self, thread: u32) -> Option<u32> {
        self.tasks.get(thread as usize)?.id
    }

    fn held(&self, process: u32) -> u32 {
        self.spaces[process as usize].ids.count()
    }
}
