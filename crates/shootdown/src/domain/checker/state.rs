//! A state: memory, and where each thread is.

pub(super) const THREADS: usize = 5;
pub(super) const CIDS: usize = 2;
pub(super) const PHASES: usize = 3;
pub(super) const SEATS: usize = 2;

/// No cid: the thread does not run.
pub(super) const OFF: u8 = u8::MAX;

/// Stores that a buffer holds.
const BUFFERED: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Reads in sections; counts itself where the seat is taken.
    Reader,
    /// Counts itself always.
    Counted,
    /// Unlinks and retires.
    Writer,
    /// Unlinks, waits, and frees.
    Waiter,
    Reclaimer,
}

impl Role {
    /// Whether it is one of those that the scheduler moves. The others have CPUs of their
    /// own, which is the worst: their stores wait for as long as they can.
    pub(super) fn has_cid(self) -> bool {
        matches!(self, Role::Reader | Role::Writer)
    }
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pc {
    Rest,
    Done,
    Enter,
    Open,
    Raise,
    Raised,
    Sit,
    Count,
    CountUp,
    Look,
    Lower,
    Find,
    Use,
    Leave,
    Unlink,
    Fence,
    Choose,
    Push,
    Ask,
    Wait,
    Lock,
    Take,
    First,
    Second,
    Begin,
    Fenced,
    Scan,
    Free,
    Destroy,
}

/// A word of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Cell,
    Chosen,
    Phase,
    /// Of a cid; of a phase, where each has its own; which.
    Seat(u8, u8, u8),
    Count(u8),
    Bag(u8, u8),
}

/// A store that nobody else sees yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) value: u8,
    pub(super) adds: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Thread {
    pub(super) role: Role,
    pub(super) pc: Pc,
    pub(super) left: u8,
    pub(super) cid: u8,
    pub(super) phase: u8,
    /// The seat that it looks at.
    pub(super) seat: u8,
    pub(super) object: u8,
    /// What it loaded before its section.
    pub(super) early: Option<u8>,
    pub(super) place: Place,
    pub(super) buffer: Vec<Entry>,
    /// Of a grace period: what it frees, whom it interrupts, how far it has looked.
    pub(super) taken: u8,
    pub(super) owed: u8,
    pub(super) limit: u8,
    pub(super) scanned: u8,
    pub(super) number: u8,
}

impl Thread {
    pub(super) fn new(role: Role, left: u8) -> Thread {
        Thread {
            role,
            pc: Pc::Rest,
            left,
            cid: OFF,
            phase: 0,
            seat: 0,
            object: 0,
            early: None,
            place: Place::Cell,
            buffer: Vec::new(),
            taken: 0,
            owed: 0,
            limit: 0,
            scanned: 0,
            number: 0,
        }
    }

    /// False: the buffer is full.
    pub(super) fn store(&mut self, place: Place, value: u8) -> bool {
        self.push(place, value, false)
    }

    /// A read-modify-write that is not ordered with what follows it.
    pub(super) fn add(&mut self, place: Place, value: u8) -> bool {
        self.push(place, value, true)
    }

    fn push(&mut self, place: Place, value: u8, adds: bool) -> bool {
        let room = self.buffer.len() < BUFFERED;
        if room {
            self.buffer.push(Entry { place, value, adds });
        }
        room
    }

    /// What the kernel does to a section that is open.
    pub(super) fn restart(&mut self) {
        match self.pc {
            Pc::Enter | Pc::Sit => {
                self.pc = Pc::Enter;
                self.early = None;
                (self.phase, self.seat) = (0, 0);
            }
            Pc::Push => {
                self.pc = Pc::Choose;
                self.phase = 0;
            }
            _ => {}
        }
    }

    /// What a grace period knew.
    pub(super) fn forget(&mut self) {
        (self.taken, self.limit, self.scanned) = (0, 0, 0);
        (self.number, self.phase) = (0, 0);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) threads: [Thread; THREADS],
    pub(super) cell: u8,
    /// The phase that sections are in; with the limit, where one word has both.
    pub(super) chosen: u8,
    pub(super) phase: u8,
    pub(super) seats: [[[u8; SEATS]; PHASES]; CIDS],
    pub(super) counts: [u8; PHASES],
    /// Sets of objects.
    pub(super) bags: [[u8; PHASES]; CIDS],
    pub(super) late: u8,
    pub(super) freed: u8,
    /// The last object.
    pub(super) linked: u8,
    /// Stripes that are open.
    pub(super) limit: u8,
    pub(super) begun: u8,
    pub(super) ended: u8,
    pub(super) locked: bool,
    pub(super) preempted: u8,
    /// Grace periods whose objects are being destroyed.
    pub(super) destroying: u8,
    pub(super) child: Heritage,
    pub(super) broken: bool,
}

/// What a child of fork has inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Heritage {
    pub(super) is: bool,
    /// The lock is that of a thread that is gone.
    pub(super) inherits: bool,
    /// A reader is gone that was inside: nobody will leave for it.
    pub(super) held_up: bool,
}

impl Default for State {
    fn default() -> State {
        let absent = || Thread {
            pc: Pc::Done,
            ..Thread::new(Role::Counted, 0)
        };
        State {
            threads: std::array::from_fn(|_| absent()),
            cell: 0,
            chosen: 0,
            phase: 0,
            seats: [[[0; SEATS]; PHASES]; CIDS],
            counts: [0; PHASES],
            bags: [[0; PHASES]; CIDS],
            late: 0,
            freed: 0,
            linked: 0,
            limit: 0,
            begun: 0,
            ended: 0,
            locked: false,
            preempted: 0,
            destroying: 0,
            child: Heritage::default(),
            broken: false,
        }
    }
}

impl State {
    pub(super) fn word(&mut self, place: Place) -> &mut u8 {
        match place {
            Place::Cell => &mut self.cell,
            Place::Chosen => &mut self.chosen,
            Place::Phase => &mut self.phase,
            Place::Seat(cid, phase, seat) => {
                &mut self.seats[cid as usize][phase as usize][seat as usize]
            }
            Place::Count(phase) => &mut self.counts[phase as usize],
            Place::Bag(cid, phase) => &mut self.bags[cid as usize][phase as usize],
        }
    }

    /// What a thread loads: its own last store, or what is visible. No place is loaded
    /// that is added to.
    pub(super) fn load(&self, thread: &Thread, place: Place) -> u8 {
        let own = thread.buffer.iter().rev().find(|one| one.place == place);
        own.map_or_else(
            || match place {
                Place::Cell => self.cell,
                Place::Chosen => self.chosen,
                Place::Phase => self.phase,
                Place::Seat(cid, phase, seat) => {
                    self.seats[cid as usize][phase as usize][seat as usize]
                }
                Place::Count(phase) => self.counts[phase as usize],
                Place::Bag(cid, phase) => self.bags[cid as usize][phase as usize],
            },
            |one| one.value,
        )
    }

    /// The oldest store of a buffer becomes visible; false: there is none.
    pub(super) fn drain(&mut self, number: usize) -> bool {
        let buffer = &mut self.threads[number].buffer;
        if buffer.is_empty() {
            return false;
        }
        buffer.remove(0).apply(self);
        true
    }
}
