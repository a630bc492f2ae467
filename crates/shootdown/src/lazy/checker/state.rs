//! What the model remembers.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::super::protocol::{Empty, Install, Rules, Tend};
use super::buffer::Buffer;
pub(super) use super::buffer::Field;
use super::config::Config;

pub(super) const THREADS: usize = 4;
pub(super) const CPUS: usize = 4;
pub(super) const SLOTS: usize = 4;
pub(super) const CELLS: usize = 2;
pub(super) const OBJECTS: usize = 4;

/// What stands for an object, by its number: even, and not 0.
pub(super) const fn name_of(number: u8) -> u8 {
    2 + 2 * number
}

/// The number of an object, marked or not.
pub(super) const fn number_of(name: u8) -> u8 {
    name / 2 - 1
}

/// A mark's bit in a set of marks.
pub(super) const fn mark_of(slot: u8, name: u8) -> u16 {
    1 << (slot * OBJECTS as u8 + number_of(name))
}

/// What a cell's own reference counts for.
pub(super) const BIAS: i8 = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    pub(super) object: u8,
    /// Readers that have counted themselves here.
    pub(super) outside: i8,
    /// Somebody but the cell may have a reference.
    pub(super) lent: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Object {
    pub(super) live: bool,
    /// The cell that it was made for: its type.
    pub(super) kind: u8,
    pub(super) count: i8,
    pub(super) pending: i8,
    pub(super) mask: u8,
    pub(super) shown: bool,
    pub(super) cached: bool,
}

/// The place of a thread in what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Doing<R> {
    Rest,
    /// A section that takes a slot: its load, its commit.
    Take {
        commits: bool,
    },
    /// The slot's pointer, and then the cell.
    Pointer,
    Again,
    /// The cell holds something else.
    Other,
    /// A miss.
    CountOutside,
    CountInside {
        object: u8,
    },
    GiveOutside {
        object: u8,
    },
    /// The trace in the cell, a step late.
    Lend {
        object: u8,
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
    Empty(Empty<R>),
    /// A slot is left that held this: the store, the look.
    Leave {
        held: u8,
        looks: bool,
    },
    /// A slot is left that may be gone then: the look at the number of announcements, at the
    /// slot, the store, and the look at the number.
    Depart {
        object: u8,
        step: u8,
    },
    Nudge,
    Tend(Tend<R>, Then),
    /// What is counted is put into a cell: the look at the count, at what says whether it
    /// was shown, the two stores or the read-modify-write, and the cell.
    Show {
        object: u8,
        step: u8,
        alone: bool,
        shown: bool,
    },
    /// So much is given back of an object's count: the look at the count, at what says
    /// whether it was cached, or the read-modify-write.
    GiveBack {
        object: u8,
        given: i8,
        step: u8,
    },
    Done,
}

/// What comes after tending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Then {
    Rest,
    End,
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
    /// The slot that is held, or worked on; what it held when it was taken.
    pub(super) slot: u8,
    pub(super) taken: bool,
    pub(super) held: u8,
    /// It held something else than what was wanted, and is left as it is.
    pub(super) unused: bool,
    /// What the cell held when the load began.
    pub(super) first: u8,
    /// The object of a lease that was handed out.
    pub(super) leased: u8,
    /// An object that it has counted, by a lease that was upgraded or from the beginning.
    pub(super) owns: u8,
    /// What the cell has held since the load began; a bit each.
    pub(super) window: u8,
    /// The objects of its shootdown; a bit each.
    pub(super) batch: u8,
    /// Marks of its shootdown.
    pub(super) marks: u16,
    /// CPUs that its fence has yet to reach; `fencing` says that there is one.
    pub(super) fencing: bool,
    pub(super) unreached: u8,
    /// The number of announcements before it departs.
    pub(super) before: u8,
    /// Its install has given the last count back, or has nudged.
    pub(super) tends: bool,
    /// It tends whatever there is; it has looked at what is parked.
    pub(super) force: bool,
    pub(super) looked: bool,
}

/// A fence that somebody else makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Foreign {
    pub(super) left: u8,
    pub(super) running: bool,
    pub(super) unreached: u8,
    /// It began after what is parked was marked.
    pub(super) counts: bool,
}

/// What a child of fork has inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Heritage {
    pub(super) is: bool,
    /// Nothing has happened since.
    pub(super) fresh: bool,
    /// A thread that is gone has the lock; what it was shooting down.
    pub(super) inherits: bool,
    pub(super) orphans: u8,
    /// Objects that threads had in hand, and slots that they held.
    pub(super) pinned: u8,
    pub(super) stuck: u8,
    /// How many more dying objects there should be than there are.
    pub(super) drift: i8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct State<R> {
    pub(super) slots: [[u8; 2]; SLOTS],
    pub(super) buffers: [Buffer; CPUS],
    pub(super) cells: [Cell; CELLS],
    pub(super) objects: [Object; OBJECTS],
    pub(super) lock: bool,
    pub(super) nudged: bool,
    /// Times that marks were announced.
    pub(super) announced: u8,
    /// Bits of objects.
    pub(super) dying: u8,
    /// Marks that were left to holders.
    pub(super) kept: u16,
    /// What waits for somebody's fence, and whether that has come.
    pub(super) parked: u8,
    pub(super) parked_marks: u16,
    pub(super) served: bool,
    pub(super) foreign: Foreign,
    pub(super) handles: u8,
    /// Addresses that objects have had; those that none has had yet are alike.
    pub(super) used: u8,
    pub(super) threads: [Thread<R>; THREADS],
    pub(super) child: Heritage,
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
            taken: false,
            held: 0,
            unused: false,
            first: 0,
            leased: 0,
            owns: 0,
            window: 0,
            batch: 0,
            marks: 0,
            fencing: false,
            unreached: 0,
            before: 0,
            tends: false,
            force: false,
            looked: false,
        }
    }

    /// Whether it is inside a section, past its first load.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.doing, Doing::Take { commits: true })
    }

    /// The kernel aborts its section.
    pub(super) fn abort(&mut self) {
        if let Doing::Take { commits } = &mut self.doing {
            *commits = false;
        }
    }

    /// Back to rest.
    pub(super) fn rest(&mut self) {
        *self = Thread {
            left: self.left,
            owns: self.owns,
            ..Thread::new(self.cpu, self.left, Doing::Rest)
        };
    }
}

impl<R: Rules> State<R> {
    pub(super) fn new(config: &Config) -> Self {
        let mut state = State {
            slots: [[0; 2]; SLOTS],
            buffers: Default::default(),
            cells: Default::default(),
            objects: Default::default(),
            lock: false,
            nudged: false,
            announced: 0,
            dying: 0,
            kept: 0,
            parked: 0,
            parked_marks: 0,
            served: false,
            foreign: Foreign {
                left: config.foreign,
                ..Foreign::default()
            },
            handles: if config.handles {
                config.writers as u8
            } else {
                1
            },
            used: 0,
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
            child: Heritage::default(),
            broken: None,
        };
        for cell in 0..config.cells {
            state.cells[usize::from(cell)].object = name_of(cell);
            state.objects[usize::from(cell)] = Object {
                live: true,
                kind: cell,
                count: BIAS,
                pending: 1,
                mask: 0,
                shown: true,
                cached: false,
            };
        }
        state.used = (1 << config.cells) - 1;
        if config.shared {
            let name = name_of(config.cells);
            state.used |= 1 << config.cells;
            state.objects[usize::from(config.cells)] = Object {
                live: true,
                count: config.writers as i8,
                pending: 1,
                ..Object::default()
            };
            for writer in &mut state.threads[config.readers..config.threads()] {
                writer.owns = name;
            }
        }
        if config.warm {
            state.cells[0].lent = true;
            for slot in 0..config.slots() {
                state.slots[usize::from(slot)][1] = name_of(0);
                state.objects[0].mask |= 1 << slot;
                state.objects[0].cached = true;
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
        let number = usize::from(number_of(name));
        if !self.objects[number].live {
            self.fail(use_of);
        }
        &mut self.objects[number]
    }

    /// Fences have nothing to wait for on CPUs without sections and waiting stores: what
    /// the interrupt could do there later, a preemption may do, too.
    pub(super) fn settle_fences(&mut self) {
        let fencing = self.threads.iter().any(|thread| thread.fencing);
        if !fencing && !self.foreign.running {
            return;
        }
        for cpu in 0..CPUS as u8 {
            let quiet = self.buffers[usize::from(cpu)].is_empty()
                && !self
                    .threads
                    .iter()
                    .any(|other| other.cpu == Some(cpu) && other.is_open());
            if quiet {
                for thread in &mut self.threads {
                    thread.unreached &= !(1 << cpu);
                }
                self.foreign.unreached &= !(1 << cpu);
            }
        }
    }

    /// Readers are alike, and so are writers: which of them does what makes no difference.
    /// A writer's CPU is its own, and nothing waits there.
    pub(super) fn order(&mut self, config: &Config) {
        let key = |thread: &Thread<R>| {
            let mut hasher = DefaultHasher::new();
            thread.hash(&mut hasher);
            hasher.finish()
        };
        self.threads[..config.readers].sort_by_cached_key(key);
        let writers = &mut self.threads[config.readers..config.threads()];
        if writers.len() > 1 {
            writers.iter_mut().for_each(|writer| writer.cpu = None);
            writers.sort_by_cached_key(key);
            for (cpu, writer) in (config.cpus..).zip(writers) {
                writer.cpu = (writer.doing != Doing::Done).then_some(cpu);
            }
        }
    }
}
