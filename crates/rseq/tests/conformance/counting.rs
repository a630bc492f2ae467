//! Operations that count: every unit that a thread added stands in some stripe.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use percid_rseq::Refusal;

use crate::cell::{Held, Workload};
use crate::stripes::{By, Stripes};

/// Adds something in one step and says how much.
type Step = fn(&Stripes, u64) -> Result<u64, Refusal>;

struct Counting {
    stripes: Stripes,
    step: Step,
    /// The words that the units are in.
    places: Range<usize>,
}

impl Workload for Counting {
    fn step(&self, _: usize, turn: u64, held: &mut Held) -> Result<(), Refusal> {
        held.units += (self.step)(&self.stripes, turn)?;
        Ok(())
    }

    fn is_exact(&self, held: &[Held]) -> Result<(), String> {
        let added: u64 = held.iter().map(|held| held.units).sum();
        let found: u64 = self
            .places
            .clone()
            .map(|place| self.stripes.sum(place))
            .sum();
        if found == added {
            Ok(())
        } else {
            Err(format!("{added} added, {found} found"))
        }
    }
}

fn counting(by: By, place: usize, step: Step) -> Box<dyn Workload> {
    Box::new(Counting {
        stripes: Stripes::new(by),
        step,
        places: place..place + 1,
    })
}

pub(crate) fn increment(by: By) -> Box<dyn Workload> {
    counting(by, 3, |stripes, _| stripes.increment(3).map(|()| 1))
}

pub(crate) fn add(by: By) -> Box<dyn Workload> {
    counting(by, 3, |stripes, turn| {
        stripes.add(3, turn % 7).map(|()| turn % 7)
    })
}

/// Word 0 of each stripe points to word 8; the units are one word further.
pub(crate) fn add_through(by: By) -> Box<dyn Workload> {
    let stripes = Stripes::new(by);
    for id in 0..stripes.ids() {
        let target = stripes.word(id, 8).as_ptr().expose_provenance();
        stripes.word(id, 0).store(target as u64, Ordering::Relaxed);
    }
    let step: Step = |stripes, turn| stripes.add_through(0, 1, turn % 5).map(|()| turn % 5);
    Box::new(Counting {
        stripes,
        step,
        places: 9..10,
    })
}

/// The flag is 1: expecting 0 there must change nothing.
pub(crate) fn add_if(by: By) -> Box<dyn Workload> {
    counting(by, 3, |stripes, turn| {
        let wrong = turn.is_multiple_of(3);
        match stripes.add_if(3, u32::from(!wrong), turn % 7) {
            Ok(()) if wrong => Err(Refusal::Mismatch),
            Ok(()) => Ok(turn % 7),
            Err(Refusal::Mismatch) if wrong => Ok(0),
            Err(refusal) => Err(refusal),
        }
    })
}

/// A read, and a store that holds only if nobody came between. The id may be
/// another one by then: so the value says which stripe it is from.
pub(crate) fn compare_store(by: By) -> Box<dyn Workload> {
    counting(by, 3, |stripes, _| {
        let seen = stripes.load(3)?;
        match stripes.compare_store(3, seen, seen + 1) {
            Ok(()) => Ok(1),
            Err(Refusal::Mismatch) => Ok(0),
            Err(refusal) => Err(refusal),
        }
    })
}

/// The second word is 0 in every stripe: expecting 1 there must change nothing.
pub(crate) fn compare_compare_store(by: By) -> Box<dyn Workload> {
    counting(by, 3, |stripes, turn| {
        let seen = stripes.load_of_pair(3)?;
        let wrong = turn.is_multiple_of(3);
        match stripes.compare_compare_store(3, seen, 2, u64::from(wrong), seen + 1) {
            Ok(()) if wrong => Err(Refusal::Mismatch),
            Ok(()) => Ok(1),
            Err(Refusal::Mismatch) => Ok(0),
            Err(refusal) => Err(refusal),
        }
    })
}

/// Words of a stripe: the lock, and what it guards.
const LOCK: usize = 4;
const GUARDED: usize = LOCK + 1;

/// A lock that a section takes, and that is held while the thread reads and writes
/// what it guards, wherever it runs by then.
pub(crate) fn claim(by: By) -> Box<dyn Workload> {
    counting(by, GUARDED, |stripes, _| {
        let lock = match stripes.claim(LOCK) {
            Ok(lock) => lock,
            Err(Refusal::Mismatch) => return Ok(0),
            Err(refusal) => return Err(refusal),
        };
        let guarded = stripes.beside(lock, 1);
        let seen = guarded.load(Ordering::Relaxed);
        // About as long as a section is held open: both are where threads are preempted.
        (0..100).for_each(|_| std::hint::spin_loop());
        guarded.store(seen + 1, Ordering::Relaxed);
        lock.store(0, Ordering::Release);
        Ok(1)
    })
}

/// Locks of a stripe, and behind them what each of them guards.
const LOCKS: u32 = 2;

/// Whichever of the locks is free, as [`claim`].
pub(crate) fn claim_any(by: By) -> Box<dyn Workload> {
    let step: Step = |stripes, _| {
        let lock = match stripes.claim_any::<LOCKS>(LOCK) {
            Ok(lock) => lock,
            Err(Refusal::Mismatch) => return Ok(0),
            Err(refusal) => return Err(refusal),
        };
        let guarded = stripes.beside(lock, LOCKS as usize);
        let seen = guarded.load(Ordering::Relaxed);
        (0..100).for_each(|_| std::hint::spin_loop());
        guarded.store(seen + 1, Ordering::Relaxed);
        lock.store(0, Ordering::Release);
        Ok(1)
    };
    let first = LOCK + LOCKS as usize;
    Box::new(Counting {
        stripes: Stripes::new(by),
        step,
        places: first..first + LOCKS as usize,
    })
}

/// Whichever of the locks is free, as [`claim`]. It holds its mark for as long.
pub(crate) fn claim_first(by: By) -> Box<dyn Workload> {
    static MARK: AtomicU64 = AtomicU64::new(7);
    let step: Step = |stripes, _| {
        let lock = match stripes.claim_first(LOCK, LOCKS, &MARK) {
            Ok(lock) => lock,
            Err(Refusal::Mismatch) => return Ok(0),
            Err(refusal) => return Err(refusal),
        };
        let guarded = stripes.beside(lock, LOCKS as usize);
        let seen = guarded.load(Ordering::Relaxed);
        (0..100).for_each(|_| std::hint::spin_loop());
        guarded.store(seen + 1, Ordering::Relaxed);
        let mark = lock.load(Ordering::Relaxed);
        lock.store(0, Ordering::Release);
        // A lock that was not its holder's shows in the count.
        Ok(u64::from(mark == 7))
    };
    let first = LOCK + LOCKS as usize;
    Box::new(Counting {
        stripes: Stripes::new(by),
        step,
        places: first..first + LOCKS as usize,
    })
}
