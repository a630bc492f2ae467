//! A signal handler that runs the operation that it interrupted, on the same stripe:
//! exact, and refused a bounded number of times.
//!
//! With `--cfg percid_inject` claims are held open, and every case must have been
//! interrupted inside one. Without it only those that copy much are.
#![cfg(all(target_os = "linux", not(miri)))]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use percid_rseq::Refusal;
use percid_rseq::portable::{self, LOW, TOP, claimable};
use percid_rseq::section::{ATTEMPTS, retry};

/// Words behind the stripe's first.
const WORDS: usize = 1 << 14;

/// What a case works on.
#[repr(C)]
struct Stripe([AtomicU64; 1 + WORDS]);

static STRIPE: Stripe = Stripe([const { AtomicU64::new(0) }; 1 + WORDS]);

fn first() -> *mut u64 {
    STRIPE.0.as_ptr().cast::<u64>().cast_mut()
}

/// The main line's, or the handler's.
struct Side {
    put: AtomicU64,
    taken: AtomicU64,
    runs: AtomicU64,
    refusals: AtomicU64,
    /// Steps whose every attempt was refused.
    gave_up: AtomicU64,
    hand: UnsafeCell<Hand>,
}

// SAFETY: a hand is touched by its side only: one thread, and its handler that does not
// interrupt itself.
unsafe impl Sync for Side {}

/// Room for copies, and nodes that are on no list.
struct Hand {
    room: [u64; WORDS],
    nodes: [*mut u8; NODES],
    held: usize,
}

const NODES: usize = 8;

impl Side {
    const fn new() -> Side {
        Side {
            put: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            gave_up: AtomicU64::new(0),
            hand: UnsafeCell::new(Hand {
                room: [0; WORDS],
                nodes: [std::ptr::null_mut(); NODES],
                held: 0,
            }),
        }
    }

    /// Does one step of a case.
    fn run(&self, step: Step) {
        let turn = self.runs.fetch_add(1, Ordering::Relaxed);
        // SAFETY: see `Sync`.
        let hand = unsafe { &mut *self.hand.get() };
        let outcome = retry(|| {
            let outcome = step(turn, hand);
            let refused = outcome == Err(Refusal::Aborted);
            self.refusals.fetch_add(refused.into(), Ordering::Relaxed);
            outcome
        });
        match outcome {
            Ok(Moved { put, taken }) => {
                self.put.fetch_add(put, Ordering::Relaxed);
                self.taken.fetch_add(taken, Ordering::Relaxed);
            }
            Err(Refusal::Aborted) => drop(self.gave_up.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {}
        }
    }

    fn reset(&self) {
        for count in [
            &self.put,
            &self.taken,
            &self.runs,
            &self.refusals,
            &self.gave_up,
        ] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

static MAIN: Side = Side::new();
static HANDLER: Side = Side::new();

/// What a step added and took.
#[derive(Default, PartialEq)]
struct Moved {
    put: u64,
    taken: u64,
}

fn put(put: u64) -> Moved {
    Moved { put, taken: 0 }
}

fn taken(taken: u64) -> Moved {
    Moved { put: 0, taken }
}

/// One operation; anything but success has changed nothing.
type Step = fn(u64, &mut Hand) -> Result<Moved, Refusal>;

static STEP: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn handle(_: i32) {
    let step = STEP.load(Ordering::Relaxed);
    if !step.is_null() {
        // SAFETY: a step, stored by `interrupted`.
        let step = unsafe { std::mem::transmute::<*mut (), Step>(step) };
        // Several, so that one may build on what another has done.
        (0..3).for_each(|_| HANDLER.run(step));
    }
}

/// The stripe, the hands, the counts and the delays are the process's: one case at a
/// time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    STRIPE.0[0].store(0, Ordering::Relaxed);
    alone
}

/// Ends the signals when it goes, and so when a check fails.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a step here, again and again, and in a handler that interrupts it; what is left
/// must be what was put less what was taken.
fn interrupted(name: &str, step: Step, is_long: bool, left: fn() -> u64) {
    MAIN.reset();
    HANDLER.reset();
    let inside = is_long || cfg!(percid_inject);
    #[cfg(percid_inject)]
    percid_rseq::inject::set_delay(2, 3_000);
    // SAFETY: a handler that is safe to run at any point; this thread's id.
    let thread = unsafe {
        libc::signal(libc::SIGUSR1, handle as *const () as usize);
        libc::pthread_self()
    };
    STEP.store(step as *mut (), Ordering::Relaxed);
    let done = AtomicBool::new(false);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let _until = Until(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the thread waits for this one.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                std::thread::sleep(Duration::from_micros(20));
            }
        });
        let enough = || {
            HANDLER.runs.load(Ordering::Relaxed) >= 1500
                && (!inside || HANDLER.gave_up.load(Ordering::Relaxed) >= 5)
        };
        while !enough() && start.elapsed() < Duration::from_secs(30) {
            (0..50).for_each(|_| MAIN.run(step));
        }
    });
    STEP.store(std::ptr::null_mut(), Ordering::Relaxed);
    #[cfg(percid_inject)]
    percid_rseq::inject::set_delay(2, 0);
    let sum = |count: fn(&Side) -> &AtomicU64| {
        [&MAIN, &HANDLER].map(|side| count(side).load(Ordering::Relaxed))
    };
    let ([put_here, put_there], [taken_here, taken_there]) =
        (sum(|side| &side.put), sum(|side| &side.taken));
    let ([_, runs], [refused, refusals], [_, gave_up]) = (
        sum(|side| &side.runs),
        sum(|side| &side.refusals),
        sum(|side| &side.gave_up),
    );
    println!(
        "{name}: {runs} steps of handlers, {gave_up} inside; {refused} refusals of the main line"
    );
    let put = put_here.wrapping_add(put_there);
    let taken = taken_here.wrapping_add(taken_there);
    assert_eq!(left(), put.wrapping_sub(taken), "{name}");
    // Nobody else is there while a handler runs: all its attempts fare alike.
    assert_eq!(refusals, gave_up * u64::from(ATTEMPTS), "{name}");
    // And the main line is refused only where a handler changed something.
    assert!(refused <= runs, "{name}: {refused} refusals");
    assert!(!inside || gave_up >= 5, "{name}: {gave_up} inside");
}

#[test]
fn words() {
    let _alone = alone();
    let step: Step = |turn, _| {
        // SAFETY: the stripe has room.
        unsafe {
            if turn % 2 == 0 {
                portable::array_push(first(), WORDS as u32, turn).map(|()| put(turn))
            } else {
                portable::array_pop(first()).map(taken)
            }
        }
    };
    interrupted("words", step, false, sum_of_stack);
}

/// The sum of a stack of words.
fn sum_of_stack() -> u64 {
    let len = STRIPE.0[0].load(Ordering::Relaxed) as usize;
    let words = STRIPE.0[1..=len].iter();
    words.fold(0, |sum, word| {
        sum.wrapping_add(word.load(Ordering::Relaxed))
    })
}

#[test]
fn batches() {
    let _alone = alone();
    const MANY: usize = WORDS / 2;
    let step: Step = |turn, hand| {
        let sum = |words: &[u64]| words.iter().fold(0, |sum: u64, &it| sum.wrapping_add(it));
        hand.room[0] = turn;
        let room = hand.room.as_mut_ptr();
        // SAFETY: the stripe has room, and so has the hand.
        unsafe {
            if turn % 2 == 0 {
                let count = MANY as u32;
                portable::array_push_batch(first(), WORDS as u32, room, count)
                    .map(|count| put(sum(&hand.room[..count as usize])))
            } else {
                portable::array_pop_batch(first(), room, MANY as u32)
                    .map(|count| taken(sum(&hand.room[..count as usize])))
            }
        }
    };
    interrupted("batches", step, true, sum_of_stack);
}

#[test]
fn bytes() {
    let _alone = alone();
    /// Words of an item, which are all alike.
    const ITEM: usize = WORDS / 4;
    let step: Step = |turn, hand| {
        let bytes = 8 * ITEM;
        if turn % 3 == 0 {
            hand.room[..ITEM].fill(turn);
        }
        let room = hand.room.as_mut_ptr();
        // SAFETY: the stripe has room, and so has the hand.
        unsafe {
            match turn % 3 {
                0 => {
                    portable::copy_push(first(), 8 * WORDS, room.cast(), bytes).map(|()| put(turn))
                }
                1 => portable::copy_pop(first(), room.cast(), bytes).map(|()| {
                    assert!(hand.room[..ITEM].iter().all(|&it| it == hand.room[0]));
                    taken(hand.room[0])
                }),
                _ => portable::copy_out::<TOP>(first(), room.cast(), 8 + bytes).map(|()| {
                    if hand.room[0] != 0 {
                        assert!(hand.room[1..=ITEM].iter().all(|&it| it == hand.room[1]));
                    }
                    Moved::default()
                }),
            }
        }
    };
    interrupted("bytes", step, true, || {
        let items = STRIPE.0[0].load(Ordering::Relaxed) as usize / (8 * ITEM);
        (0..items)
            .map(|item| STRIPE.0[1 + item * ITEM].load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    });
}

#[test]
fn nodes() {
    let _alone = alone();
    /// Nodes are links alone.
    static ALL: [AtomicU64; 2 * NODES] = [const { AtomicU64::new(0) }; 2 * NODES];
    for (side, part) in [&MAIN, &HANDLER].into_iter().zip(ALL.chunks(NODES)) {
        // SAFETY: no case runs but this, and nobody interrupts it yet.
        let hand = unsafe { &mut *side.hand.get() };
        for (place, node) in hand.nodes.iter_mut().zip(part) {
            *place = node.as_ptr().cast();
        }
        hand.held = NODES / 2;
    }
    let step: Step = |turn, hand| {
        // SAFETY: what is in the hand is on no list, and all live for ever.
        unsafe {
            if turn % 2 == 0 && hand.held > 0 {
                portable::list_push::<0>(first(), hand.nodes[hand.held - 1])?;
                hand.held -= 1;
                Ok(put(1))
            } else if hand.held < NODES {
                hand.nodes[hand.held] = portable::list_pop::<0>(first())?;
                hand.held += 1;
                Ok(taken(1))
            } else {
                Ok(Moved::default())
            }
        }
    };
    interrupted("nodes", step, false, || {
        // SAFETY: as above.
        std::iter::from_fn(|| unsafe { portable::list_pop::<0>(first()).ok() })
            .take(2 * NODES + 1)
            .count() as u64
    });
}

#[test]
fn pairs() {
    let _alone = alone();
    let step: Step = |_, _| {
        let seen = claimable::load::<TOP>(&STRIPE.0[0])?;
        // SAFETY: two words of the stripe.
        unsafe { portable::compare_compare_store::<TOP>(first(), seen, 8, 0, seen + 1) }?;
        Ok(put(1))
    };
    STRIPE.0[1].store(0, Ordering::Relaxed);
    let left = || STRIPE.0[0].load(Ordering::Relaxed);
    interrupted("pairs", step, false, left);
}

#[test]
fn flags() {
    let _alone = alone();
    static FLAG: AtomicU32 = AtomicU32::new(1);
    let step: Step =
        |turn, _| portable::add_if::<TOP>(&STRIPE.0[0], &FLAG, 1, turn).map(|()| put(turn));
    let left = || STRIPE.0[0].load(Ordering::Relaxed);
    interrupted("flags", step, false, left);
}

#[test]
fn pointers() {
    let _alone = alone();
    /// One is added to; the other is empty until the pointer leads there.
    static TARGETS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
    static LATE: AtomicU64 = AtomicU64::new(0);
    let step: Step = |turn, _| {
        let word = &STRIPE.0[0];
        if turn % 4 != 3 {
            // SAFETY: the pointer leads to a target.
            return unsafe { portable::add_through(word, 0, turn) }.map(|()| put(turn));
        }
        let addresses = TARGETS
            .each_ref()
            .map(|it| it.as_ptr().expose_provenance() as u64);
        let old = match claimable::swap::<LOW>(word, 0)? {
            0 => return Ok(Moved::default()), // interrupted here
            address => usize::from(address == addresses[1]),
        };
        // Nobody is inside the old one, and nobody has been in the new one.
        let total = TARGETS[old].swap(0, Ordering::Relaxed);
        LATE.fetch_add(TARGETS[1 - old].load(Ordering::Relaxed), Ordering::Relaxed);
        claimable::compare_store::<LOW>(word, 0, addresses[1 - old]).unwrap();
        Ok(taken(total))
    };
    let address = TARGETS[0].as_ptr().expose_provenance();
    STRIPE.0[0].store(address as u64, Ordering::Relaxed);
    interrupted("pointers", step, false, || {
        assert_eq!(LATE.load(Ordering::Relaxed), 0, "adds came late");
        let left = TARGETS.iter().map(|it| it.load(Ordering::Relaxed));
        left.fold(0, u64::wrapping_add)
    });
}
