//! What the model remembers.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::super::protocol::{Install, Leave, Rules, Tend};
use super::config::Config;

pub(super) const THREADS: usize = 4;
pub(super) const CPUS: usize = 4;
pub(super) const SLOTS: usize = 4;
pub(super) const CELLS: usize = 2;
pub(super) const OBJECTS: usize = 4;

/// What stands for the first object; below are "none" and the tombstone.
pub(super) const FIRST: u8 = 2;

/// What a cell's own reference counts for.
pub(super) const BIAS: i8 = 16;

/// The words of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    Active,
    Dying,
    Pointer,
}

/// Plain stores that others do not see yet; the oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Buffer {
    stores: [Option<(u8, Word, u8)>; 4],
}

type Word = u8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    pub(super) object: u8,
    /// Readers that have counted themselves here.
    pub(super) outside: i8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Object {
    pub(super) live: bool,
    /// The cell that it was made for: its type.
    pub(super) kind: u8,
    pub(super) count: i8,
    pub(super) pending: i8,
    pub(super) mask: u8,
}

/// The place of a thread in what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Doing<R> {
    Rest,
    Load,
    /// A hit's section: steps 0 to 2 are its loads, 3 its commit.
    Hit {
        object: u8,
        step: u8,
    },
    Again {
        object: u8,
    },
    /// A miss.
    CountOutside,
    CountInside {
        object: u8,
    },
    GiveOutside {
        object: u8,
    },
    Peek {
        object: u8,
    },
    Claim {
        object: u8,
        found: u8,
        step: u8,
    },
    Install(Install<R>, u8),
    /// The simple slot's store.
    Overwrite {
        object: u8,
    },
    /// A lease, by its slot or by a count.
    Hold {
        object: u8,
        counted: bool,
    },
    /// A leave's section: its load, its commit.
    LeaveSection {
        object: u8,
        retries: bool,
        commits: bool,
    },
    /// The plain leave: after its store, with the mark it saw.
    LeavePlain {
        object: u8,
        mark: u8,
        step: u8,
    },
    Leave(Leave<R>, u8, bool),
    Tend(Tend<R>, Then),
    Transfer {
        object: u8,
        outside: i8,
    },
    Done,
}

/// What comes after tending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Then {
    Rest,
    /// The lease that was just installed is used.
    Hold(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Thread<R> {
    pub(super) cpu: Option<u8>,
    pub(super) doing: Doing<R>,
    /// Operations to go.
    pub(super) left: u8,
    pub(super) cell: u8,
    pub(super) way: u8,
    /// The slot that is held, or worked on.
    pub(super) slot: u8,
    /// The object of a lease that was handed out.
    pub(super) leased: u8,
    /// What the cell has held since the load began; a bit each.
    pub(super) window: u8,
    /// The objects of its shootdown; a bit each.
    pub(super) batch: u8,
    /// For what it has marked each slot.
    pub(super) marks: [u8; SLOTS],
    /// CPUs that its fence has yet to reach; `fencing` says that there is one.
    pub(super) fencing: bool,
    pub(super) unreached: u8,
    /// Its install has given the last count back.
    pub(super) condemned: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct State<R> {
    pub(super) slots: [[u8; 3]; SLOTS],
    pub(super) buffers: [Buffer; CPUS],
    pub(super) cells: [Cell; CELLS],
    pub(super) objects: [Object; OBJECTS],
    pub(super) lock: bool,
    /// Bits of objects and of slots.
    pub(super) dying: u8,
    pub(super) orphans: u8,
    pub(super) threads: [Thread<R>; THREADS],
    pub(super) broken: Option<&'static str>,
}

impl<R: Rules> Thread<R> {
    pub(super) fn new(cpu: Option<u8>, left: u8, doing: Doing<R>) -> Self {
        Thread {
            cpu,
            doing,
            left,
            cell: 0,
            way: 0,
            slot: 0,
            leased: 0,
            window: 0,
            batch: 0,
            marks: [0; SLOTS],
            fencing: false,
            unreached: 0,
            condemned: false,
        }
    }

    /// Whether it is inside a section, past its first load.
    pub(super) fn is_open(&self) -> bool {
        matches!(
            self.doing,
            Doing::Hit { step: 1.., .. }
                | Doing::Claim { step: 1.., .. }
                | Doing::LeaveSection { commits: true, .. }
        )
    }

    /// The kernel aborts its section.
    pub(super) fn abort(&mut self) {
        match &mut self.doing {
            Doing::Hit { step, .. } | Doing::Claim { step, .. } => *step = 0,
            Doing::LeaveSection { commits, .. } => *commits = false,
            _ => {}
        }
    }

    /// Back to rest.
    pub(super) fn rest(&mut self) {
        *self = Thread {
            left: self.left,
            ..Thread::new(self.cpu, self.left, Doing::Rest)
        };
    }
}

impl<R: Rules> State<R> {
    pub(super) fn new(config: &Config) -> Self {
        let mut state = State {
            slots: [[0; 3]; SLOTS],
            buffers: Default::default(),
            cells: Default::default(),
            objects: Default::default(),
            lock: false,
            dying: 0,
            orphans: 0,
            threads: std::array::from_fn(|thread| match thread {
                _ if thread < config.readers => {
                    let cpu = (thread < usize::from(config.cpus)).then_some(thread as u8);
                    Thread::new(cpu, config.loads, Doing::Rest)
                }
                _ if thread < config.threads() => {
                    let cpu = config.cpus + (thread - config.readers) as u8;
                    Thread::new(Some(cpu), config.stores, Doing::Rest)
                }
                _ => Thread::new(None, 0, Doing::Done),
            }),
            broken: None,
        };
        for cell in 0..config.cells {
            state.cells[usize::from(cell)].object = FIRST + cell;
            state.objects[usize::from(cell)] = Object {
                live: true,
                kind: cell,
                count: BIAS,
                pending: 1,
                mask: 0,
            };
        }
        if config.warm {
            for slot in 0..config.slots() {
                state.slots[usize::from(slot)][2] = FIRST;
                state.objects[0].mask |= 1 << slot;
            }
        }
        state
    }

    pub(super) fn fail(&mut self, what: &'static str) {
        self.broken.get_or_insert(what);
    }

    /// What a CPU finds in a word of a slot.
    pub(super) fn load(&self, cpu: u8, slot: u8, field: Field) -> u8 {
        let waiting = self.buffers[usize::from(cpu)].newest(slot, field);
        waiting.unwrap_or(self.slots[usize::from(slot)][field as usize])
    }

    /// A plain store.
    pub(super) fn store(&mut self, buffers: bool, cpu: u8, slot: u8, field: Field, value: u8) {
        if buffers {
            if self.buffers[usize::from(cpu)].is_full() {
                self.drain_one(cpu);
            }
            self.buffers[usize::from(cpu)].push(slot, field, value);
        } else {
            self.slots[usize::from(slot)][field as usize] = value;
        }
    }

    /// Its oldest waiting store is seen by all.
    pub(super) fn drain_one(&mut self, cpu: u8) {
        if let Some((slot, field, value)) = self.buffers[usize::from(cpu)].pop() {
            self.slots[usize::from(slot)][usize::from(field)] = value;
        }
    }

    pub(super) fn drain(&mut self, cpu: u8) {
        while !self.buffers[usize::from(cpu)].is_empty() {
            self.drain_one(cpu);
        }
    }

    /// An object by what stands for it; a use after its end is what is looked for.
    pub(super) fn object(&mut self, name: u8, use_of: &'static str) -> &mut Object {
        if !self.objects[usize::from(name - FIRST)].live {
            self.fail(use_of);
        }
        &mut self.objects[usize::from(name - FIRST)]
    }

    /// Fences have nothing to wait for on CPUs without sections and waiting stores: what
    /// the interrupt could do there later, a preemption may do, too.
    pub(super) fn settle_fences(&mut self) {
        for thread in 0..THREADS {
            if !self.threads[thread].fencing {
                continue;
            }
            for cpu in 0..CPUS as u8 {
                let quiet = self.buffers[usize::from(cpu)].is_empty()
                    && !self
                        .threads
                        .iter()
                        .any(|other| other.cpu == Some(cpu) && other.is_open());
                if quiet {
                    self.threads[thread].unreached &= !(1 << cpu);
                }
            }
        }
    }

    /// Readers are alike: which of them does what makes no difference.
    pub(super) fn order(&mut self, readers: usize) {
        self.threads[..readers].sort_by_cached_key(|thread| {
            let mut hasher = DefaultHasher::new();
            thread.hash(&mut hasher);
            hasher.finish()
        });
    }
}

impl Buffer {
    fn newest(&self, slot: u8, field: Field) -> Option<u8> {
        let mut stores = self.stores.iter().rev().flatten();
        let found = stores.find(|store| store.0 == slot && store.1 == field as u8);
        found.map(|store| store.2)
    }

    fn is_full(&self) -> bool {
        self.stores.iter().all(Option::is_some)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stores[0].is_none()
    }

    fn push(&mut self, slot: u8, field: Field, value: u8) {
        let place = self.stores.iter_mut().find(|place| place.is_none());
        *place.expect("room in the buffer") = Some((slot, field as u8, value));
    }

    fn pop(&mut self) -> Option<(u8, u8, u8)> {
        let oldest = self.stores[0].take();
        self.stores.rotate_left(1);
        oldest
    }
}

impl<R: Rules> fmt::Debug for State<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |object: u8| match object {
            0 => '-',
            1 => '+',
            object => char::from(b'A' + object - FIRST),
        };
        for cell in self.cells.iter().filter(|cell| cell.object != 0) {
            write!(f, "cell {}:{} ", name(cell.object), cell.outside)?;
        }
        for [active, dying, pointer] in self.slots {
            write!(f, "[{active} {} {}]", name(dying), name(pointer))?;
        }
        for (index, object) in self.objects.iter().enumerate().filter(|it| it.1.live) {
            let Object {
                count,
                pending,
                mask,
                ..
            } = object;
            let name = name(index as u8 + FIRST);
            write!(f, " {name}({count} {pending} {mask:b})")?;
        }
        for buffer in self.buffers.iter().filter(|buffer| !buffer.is_empty()) {
            write!(
                f,
                " waiting {:?}",
                buffer.stores.iter().flatten().collect::<Vec<_>>()
            )?;
        }
        Ok(())
    }
}
