//! A process that forks while its threads are anywhere: what its child, which has one of
//! them and perhaps a new one, does with what the others had in hand.
//!
//! A thread forks between its operations, or with a lease. Whoever else there was is gone,
//! where it was or in the middle of that step (`halves`); its leases, marks and counts stay
//! as they are. What its CPU had yet to store is stored: the kernel interrupts every CPU
//! when it makes memory that is written to the child's and the parent's. The child is
//! another generation: it takes the lock over from who had it, and forgets what that one
//! worked on.
//!
//! | property | how it is looked at |
//! | --- | --- |
//! | 1, 2 | as ever; but what others had in hand may be left (`pinned`), and the slots that they held. Threads end with a flush |
//! | 3: who is left ends | each thread of the child, alone, comes to its end in so many steps: from the fork on, and in small worlds (`solo`) from every later state, too |

use super::super::protocol::{Procedure, Request, Rules, is_marked};
use super::config::Child;
use super::model::World;
use super::state::{Doing, OBJECTS, State, Thread, number_of};

/// More steps than a thread has left.
const ENOUGH: usize = 400;

impl<R: Rules> World<R> {
    /// Whether a thread may fork just now.
    pub(super) fn may_fork(&self, state: &State<R>, thread: usize) -> bool {
        let mine = &state.threads[thread];
        let between = matches!(mine.doing, Doing::Rest | Doing::Hold { .. });
        self.config.forks && !state.child.is && mine.cpu.is_some() && between
    }

    /// The process has forked, and this is the child. Each other thread has done so much of
    /// its next step.
    pub(super) fn fork(&self, state: &mut State<R>, thread: usize, halves: u8) {
        for cpu in 0..self.config.all_cpus() as u8 {
            state.drain(cpu);
        }
        let others: Vec<usize> = (0..self.config.threads())
            .filter(|&other| other != thread)
            .collect();
        for &other in &others {
            state.child.pinned |= in_hand(&state.threads[other]);
            self.halve(state, other, halves);
        }
        let own = state.threads[thread];
        for (slot, [active, pointer]) in (0..).zip(state.slots) {
            if active == 1 && !(own.taken && own.slot == slot) {
                state.child.stuck |= 1 << slot;
                state.child.pinned |= bit_of(pointer);
            }
        }
        for cell in state.cells.iter().filter(|cell| cell.outside > 0) {
            state.child.pinned |= bit_of(cell.object);
        }
        // Who forks does not have the lock.
        state.child.inherits = state.lock;
        if state.lock {
            state.child.pinned |= state.parked | of_marks(state.kept | state.parked_marks);
            let batches = others.iter().map(|&other| state.threads[other].batch);
            state.child.orphans = batches.fold(0, |all, batch| all | batch);
        }
        if self.config.child == Child::EndsLeases {
            state.slots.iter_mut().for_each(|[active, _]| *active = 0);
        }
        state.foreign.running = false;
        for &other in &others {
            state.threads[other] = Thread::new(None, 0, Doing::Done);
        }
        // A new one that does what the surviving one does not.
        let is_reader = self.is_reader(thread);
        let newcomer = others
            .iter()
            .find(|&&other| self.is_reader(other) != is_reader);
        if let Some(&newcomer) = newcomer {
            let own = || self.config.cpus + (newcomer - self.config.readers) as u8;
            let cpu = is_reader.then(own);
            state.threads[newcomer] = Thread::new(cpu, 1, Doing::Rest);
        }
        state.threads[thread].left += 1;
        state.child.is = true;
        state.child.fresh = true;
    }

    /// A thread is gone that was in the middle of its next step.
    fn halve(&self, state: &mut State<R>, thread: usize, halves: u8) {
        if halves == 0 {
            return;
        }
        let request = match &state.threads[thread].doing {
            Doing::Install(install, _) => install.request(),
            Doing::Tend(tend, _) => tend.request(),
            &Doing::GiveBack {
                object,
                given,
                step: 2,
            } => {
                let counted = state.object(object, "a count of what is gone");
                if counted.count == given {
                    counted.count = 0;
                    let is_cached = counted.mask != 0;
                    if is_cached && halves > 1 {
                        // On the list, and not yet counted there.
                        state.dying |= bit_of(object);
                        state.child.drift -= 1;
                    }
                }
                return;
            }
            _ => return,
        };
        match request {
            Request::Condemn(object) => {
                state.dying |= bit_of(object.0 as u8);
                state.child.drift -= 1;
            }
            // Taken, and still counted.
            Request::Batch => {
                state.child.drift += state.dying.count_ones() as i8;
                state.child.pinned |= std::mem::take(&mut state.dying);
            }
            _ => {}
        }
    }

    /// Takes the lock, if nobody of this process has it.
    pub(super) fn try_lock(&self, state: &mut State<R>) -> bool {
        if state.lock && state.child.inherits && self.config.child != Child::HonoursLock {
            state.child.inherits = false;
            // What that one worked on is leaked.
            (state.kept, state.parked, state.parked_marks) = (0, 0, 0);
            state.served = false;
            if self.config.child == Child::Resumes {
                state.dying |= state.child.orphans;
            }
            return true;
        }
        !std::mem::replace(&mut state.lock, true)
    }

    /// Whether each thread ends if only it runs from here on.
    pub(super) fn all_end(&self, state: &State<R>) -> bool {
        (0..self.config.threads()).all(|thread| self.ends_alone(state.clone(), thread))
    }

    fn ends_alone(&self, mut state: State<R>, thread: usize) -> bool {
        if state.threads[thread].cpu.is_none() {
            // The scheduler sees to that.
            for (cpu, other) in (0..self.config.cpus).zip(&mut state.threads) {
                other.cpu = other.cpu.filter(|&other| other != cpu);
            }
            state.threads[thread].cpu = Some(0);
        }
        for _ in 0..ENOUGH {
            if state.threads[thread].doing == Doing::Done || state.broken.is_some() {
                return true;
            }
            state.threads[thread].unreached = 0;
            if !(0..8).any(|choice| self.step(&mut state, thread, choice)) {
                // No address is left.
                return true;
            }
        }
        false
    }
}

fn bit_of(name: u8) -> u8 {
    match name {
        0 => 0,
        name => 1 << number_of(name),
    }
}

/// The objects of marks.
pub(super) fn of_marks(marks: u16) -> u8 {
    let of_slots = (0..16 / OBJECTS).map(|slot| marks >> (slot * OBJECTS));
    of_slots.fold(0, |all, objects| all | objects as u8 & ((1 << OBJECTS) - 1))
}

/// The objects that a thread works on.
fn in_hand<R: Rules>(thread: &Thread<R>) -> u8 {
    let object = match thread.doing {
        Doing::CountInside { object }
        | Doing::GiveOutside { object }
        | Doing::Lend { object }
        | Doing::Install(_, object)
        | Doing::Overwrite { object }
        | Doing::Hold { object, .. }
        | Doing::Depart { object, .. }
        | Doing::Show { object, .. }
        | Doing::GiveBack { object, .. } => object,
        Doing::Tend(tend, _) => tend.object().map_or(0, |object| object.0 as u8),
        _ => 0,
    };
    let held = if thread.taken { thread.held } else { 0 };
    let names = [object, held, thread.leased, thread.owns];
    let names = names.into_iter().filter(|&name| name != u8::MAX);
    let all = names.fold(0, |all, name| all | bit_of(name & !1));
    all | thread.batch | of_marks(thread.marks)
}

impl<R: Rules> State<R> {
    /// Whether an object may be left in the child, for whose sake nobody can be asked.
    pub(super) fn is_pinned(&self, number: u8) -> bool {
        self.child.pinned >> number & 1 == 1
    }

    /// Whether a slot may be left held, or marked.
    pub(super) fn is_stuck(&self, slot: usize, pointer: u8) -> bool {
        let of_pinned = is_marked(pointer.into()) && self.is_pinned(number_of(pointer));
        self.child.stuck >> slot & 1 == 1 || of_pinned
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::protocol::Sound;
    use super::super::config::Config;
    use super::super::explore;
    use super::*;

    /// Slots hold the object already.
    const WARM: Config = Config {
        forks: true,
        warm: true,
        readers: 1,
        cpus: 1,
        objects: 4,
        ..Config::SMALL.coarse()
    };

    /// Whoever is left ends wherever it is.
    const SOLO: Config = Config { solo: true, ..WARM };

    /// A reader and a writer are gone, or two of either.
    const THREE: Config = Config { readers: 2, ..WARM };

    const WRITERS: Config = Config { writers: 2, ..WARM };

    /// With every policy.
    const POLICIES: Config = Config {
        clears: true,
        empties: true,
        upgrades: true,
        whole: false,
        calm: false,
        ..WARM
    };

    const BATCH: Config = Config {
        batch: 2,
        stores: 2,
        loads: 2,
        ..SOLO
    };

    const PARKS: Config = Config {
        quiesce: 2,
        foreign: 1,
        ..WARM
    };

    fn holds(name: &str, config: Config) {
        let found = explore::<Sound>(name, config, 2);
        assert_eq!(found, None, "{name}");
    }

    #[track_caller]
    fn found<R: Rules>(name: &str, config: Config) {
        let found = explore::<R>(name, config, 1);
        assert!(found.is_some(), "{name}: nothing found");
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_of_one_of_two() {
        holds("fork, two threads", SOLO);
        let cold = Config {
            warm: false,
            whole: false,
            ..WARM
        };
        holds("fork, two threads, cold", cold);
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_of_one_of_three() {
        holds("fork, two readers", THREE);
        holds("fork, two writers", WRITERS);
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_with_every_policy() {
        holds("fork, policies", POLICIES);
        holds("fork, a batch", BATCH);
        holds("fork, parked work", PARKS);
        let departs = Config {
            departs: true,
            ..WARM
        };
        holds("fork, departures", departs);
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_on_x86() {
        let buffers = Config {
            buffers: true,
            ..WARM
        };
        holds("fork, buffers", buffers);
    }

    #[test]
    #[ignore = "takes minutes: ci/checker.sh all"]
    fn a_child_of_two_stores() {
        let two_stores = Config { stores: 2, ..THREE };
        holds("fork, two readers, two stores", two_stores);
    }

    #[test]
    #[ignore = "takes minutes: ci/checker.sh all"]
    fn a_child_of_readers_of_two_cids() {
        let config = Config { cpus: 2, ..THREE };
        holds("fork, two readers of two cids", config);
    }

    /// The rules, but for one.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct WaitsForHolders;

    impl Rules for WaitsForHolders {
        const WAITS_FOR_NO_HOLDER: bool = false;
    }

    fn child(child: Child, config: Config) -> Config {
        Config { child, ..config }
    }

    #[test]
    fn a_child_that_waits_for_a_mark_of_a_thread_that_is_gone() {
        found::<WaitsForHolders>("waits for holders", WARM);
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_that_honours_the_lock_of_a_thread_that_is_gone() {
        found::<Sound>("honours the lock", child(Child::HonoursLock, WARM));
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_that_resumes_a_shootdown() {
        found::<Sound>("resumes", child(Child::Resumes, WARM));
    }

    #[test]
    fn a_child_that_ends_leases() {
        found::<Sound>("ends leases", child(Child::EndsLeases, WARM));
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
    fn a_child_that_believes_the_number_of_a_batch() {
        found::<Sound>("believes the number", child(Child::BelievesNumber, BATCH));
    }
}
