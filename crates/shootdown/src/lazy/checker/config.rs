//! How large the modelled world is, and what may happen in it.

/// How large, and what may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) readers: usize,
    pub(super) writers: usize,
    /// Where readers run; each has its stripe of slots.
    pub(super) cpus: u8,
    pub(super) ways: u8,
    pub(super) cells: u8,
    /// Addresses that objects may have.
    pub(super) objects: u8,
    /// Loads of each reader.
    pub(super) loads: u8,
    /// Stores of each writer.
    pub(super) stores: u8,
    /// Stores by plain instructions wait in a buffer of their CPU, as on x86.
    pub(super) buffers: bool,
    /// Policies.
    pub(super) clears: bool,
    pub(super) empties: bool,
    pub(super) filter: bool,
    /// Dying objects that a shootdown waits for.
    pub(super) batch: u32,
    /// So many dying objects wait for somebody's fence, and one more makes its own.
    pub(super) quiesce: u32,
    /// Fences that somebody else makes.
    pub(super) foreign: u8,
    /// Fences may be refused.
    pub(super) refuses: bool,
    /// Leases are upgraded; what is counted is put into the cell, or given back.
    pub(super) upgrades: bool,
    /// Every writer begins with a reference to one and the same object, which no cell has
    /// had yet.
    pub(super) shared: bool,
    /// The last writer that ends drops the cells; each has a handle, and gives it up.
    pub(super) handles: bool,
    /// Every slot holds the first cell's object already.
    pub(super) warm: bool,
    /// Slots may be gone as soon as they are left: who leaves one looks at the home.
    pub(super) departs: bool,
    /// A thread may fork, and this is the child from then on.
    pub(super) forks: bool,
    pub(super) child: Child,
    /// At each state of it each thread is tried alone.
    pub(super) solo: bool,
    /// Steps of a procedure that nobody else can tell apart are joined.
    pub(super) joins: bool,
    /// A miss counts in one step, and a store is one.
    pub(super) whole: bool,
    /// Readers are not preempted while they resolve marks or tend.
    pub(super) calm: bool,
    pub(super) kernel: Kernel,
    pub(super) reader: Reader,
}

/// What a fence does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Sound,
    /// It is a memory barrier on every CPU, but aborts no section: the command without
    /// `_RSEQ`. Nothing here needs more.
    NoAbort,
    /// It aborts sections, and is no memory barrier.
    NoBarrier,
    /// Somebody else's counts though it began before the marks.
    Early,
}

/// What a child of fork does, and its shortcuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Child {
    Sound,
    /// It does not take the lock over.
    HonoursLock,
    /// It goes on with what a thread that is gone was shooting down.
    Resumes,
    /// It holds all slots to be idle.
    EndsLeases,
    /// It does not look whether there is a batch, if there should be one by its number.
    BelievesNumber,
}

/// What is not a procedure, and its shortcuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Sound,
    /// The pointer is loaded before the slot is taken.
    PointerFirst,
    /// The cell is read before the slot is taken, and not after.
    CellFirst,
    /// A lease is left by a look at the pointer, and then the store.
    LooksFirst,
    /// A lease is left without a look.
    LeavesBlindly,
    /// A slot that held something else is left without a look.
    LeavesOthersBlindly,
    /// Who finds a mark after leaving takes it away itself.
    TakesMark,
    /// A slot is emptied when it has been left.
    EmptiesLate,
    /// Who holds a slot replaces its pointer by a load and a store.
    ReplacesPlainly,
    /// Who departs does not look at the slot,
    DepartsBlindly,
    /// or at it, and then at the number of announcements,
    DepartsPointerFirst,
    /// or not at that again,
    DepartsAtOnce,
    /// or again, and then stores.
    DepartsLate,
    /// Who counts itself by a cell leaves no trace there,
    LendsNothing,
    /// or a step later.
    LendsLate,
    /// What others have is put into a cell as if it were alone.
    ShowsAsAlone,
    /// Who counts for the last one does not look whether slots have the object.
    ForgetsMask,
    /// Who finds nothing else counted asks whether slots have the object now, not whether
    /// any has had it.
    AsksMask,
    /// Who shows an object looks first whether it has been shown, and then at the count.
    ShownFirst,
    /// A lease is upgraded from a count of zero.
    RisesFromZero,
    /// Who gives the last handle up does not nudge, though somebody may be parking.
    EndsQuietly,
    /// The last handle goes without a look for what is parked.
    GivesUpBlindly,
    /// A miss loads the cell, and then counts.
    CountsLate,
    /// What a cell holds counts for one, not for as many as there can be readers.
    NoBias,
    /// A slot's bit stands for all slots of its stripe.
    BitPerStripe,
    /// A slot is written by one section, over whatever is there, without a claim: the
    /// simple slot.
    Overwrites,
}

impl Config {
    pub(super) const SMALL: Config = Config {
        readers: 2,
        writers: 1,
        cpus: 2,
        ways: 1,
        cells: 1,
        objects: 3,
        loads: 1,
        stores: 1,
        buffers: false,
        clears: false,
        empties: false,
        filter: true,
        batch: 1,
        quiesce: 0,
        foreign: 0,
        refuses: false,
        upgrades: false,
        shared: false,
        handles: false,
        warm: false,
        departs: false,
        forks: false,
        child: Child::Sound,
        solo: false,
        joins: false,
        whole: false,
        calm: false,
        kernel: Kernel::Sound,
        reader: Reader::Sound,
    };

    /// With fewer steps.
    pub(super) const fn coarse(self) -> Config {
        Config {
            joins: true,
            whole: true,
            calm: true,
            ..self
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.readers + self.writers
    }

    /// Each writer has a CPU to itself.
    pub(super) fn all_cpus(&self) -> usize {
        usize::from(self.cpus) + self.writers
    }

    pub(super) fn slots(&self) -> u8 {
        self.cpus * self.ways
    }
}
