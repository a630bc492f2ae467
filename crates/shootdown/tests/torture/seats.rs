//! The grace period of a domain, bare: readers take seats in the phase that a word says, a
//! writer has it say the other one, fences, and waits until the seats of the first are left.
//! Without a fence a seat of the first is taken after that. (That a fence must restart
//! sections is shown by `copies`, which are in theirs for longer than an interrupt takes to
//! come.)
//!
//! So that readers are in their sections most of the time, most seats are taken for good, and
//! a section looks at all of those first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use percid::{Operation, Part, Room, StripeOwner, StripeRef};
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, enter_thread, membarrier};

use crate::disturbance::{disturb, handle, thread_id};
use crate::{Fence, PATIENCE, Run, cpus};

/// Seats of a phase.
const SEATS: u32 = Room::LONGEST / 2;

/// Those that are to be had.
const FREE: usize = 8;

/// Where the seats of the phases are.
const PHASES: [u32; 2] = [0, SEATS];

/// What a seat holds that is taken for good.
const FOR_GOOD: u64 = 2;

const OBJECTS: usize = 64;

const ALIVE: u64 = 1;
const POISON: u64 = 2;

const READERS: usize = 3;

/// How long a reader stays that has come late: for a few grace periods.
const LATE: u32 = 20_000;

/// Takes a free seat of the phase that the part leads to.
struct Seat;

impl Operation for Seat {
    type Output = *mut u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::claim_any::<I, SHIFT, SEATS>(index, first) }
    }
}

/// Takes a free seat of a phase, whichever is chosen.
struct SeatOf(usize);

impl Operation for SeatOf {
    type Output = *mut u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        let seats = first.offset(PHASES[self.0] as usize);
        // SAFETY: the caller's contract.
        unsafe { section::claim_any::<I, SHIFT, SEATS>(index, seats) }
    }
}

struct Memory {
    part: Part,
    room: Room,
    /// The phase, for readers to tell whether they are late.
    now: AtomicU64,
    current: AtomicU64,
    objects: Vec<AtomicU64>,
}

impl Memory {
    fn new() -> Option<Memory> {
        let memory = Memory {
            part: Part::nowhere(),
            room: Room::try_new(2 * SEATS).ok()?,
            now: AtomicU64::new(0),
            current: AtomicU64::new(0),
            objects: (0..OBJECTS).map(|_| AtomicU64::new(ALIVE)).collect(),
        };
        memory
            .part
            .lead_to(&memory.room, PHASES[0])
            .then_some(memory)
    }

    /// Takes most seats of the current cid for good; of several, if it changes meanwhile.
    fn furnish(&self) {
        for phase in 0..PHASES.len() {
            let mut taken = Vec::new();
            // SAFETY: seats are 0, or whoever's has taken them; words of the room, which stays.
            while let Ok(seat) = unsafe { self.room.run(&SeatOf(phase)) } {
                // SAFETY: as above.
                taken.push(unsafe { AtomicU64::from_ptr(seat) });
            }
            let first_free = taken.len().saturating_sub(FREE);
            for (number, seat) in taken.into_iter().enumerate() {
                let left = if number < first_free { FOR_GOOD } else { 0 };
                seat.store(left, Ordering::Release);
            }
        }
    }

    /// The phase that a seat is of.
    fn phase_of(&self, seat: &AtomicU64) -> u64 {
        let seat = std::ptr::from_ref(seat);
        let of = |stripe: StripeRef<'_>| {
            let place = stripe.words().as_ptr_range();
            let is_second = || seat.addr() - place.start.addr() >= SEATS as usize * 8;
            place.contains(&seat).then(is_second)
        };
        u64::from(
            self.room
                .stripes()
                .find_map(of)
                .expect("a seat of the room"),
        )
    }

    /// Whether what a reader found was there while it had its seat.
    fn read(&self) -> Option<bool> {
        // SAFETY: as in `furnish`.
        let seat = unsafe {
            let seat = self.part.run(&Seat);
            seat.or_else(|_| self.part.run_slow(&self.room, &Seat))
        };
        // SAFETY: as in `furnish`.
        let seat = unsafe { AtomicU64::from_ptr(seat.ok()?) };
        let found = self.current.load(Ordering::Acquire) as usize;
        let is_alive = || self.objects[found].load(Ordering::Relaxed) != POISON;
        if self.phase_of(seat) != self.now.load(Ordering::Relaxed) {
            let stay = |_: &u32| is_alive();
            (0..LATE)
                .take_while(stay)
                .for_each(|_| std::hint::spin_loop());
        }
        let alive = is_alive();
        seat.store(0, Ordering::Release);
        Some(alive)
    }

    fn is_left(&self, phase: usize) -> bool {
        let mut stripes = self.room.stripes();
        stripes.all(|stripe| {
            let seats = &stripe.words()[PHASES[phase] as usize..][..SEATS as usize];
            !matches!(stripe.owner(), StripeOwner::Cid(_))
                || seats
                    .iter()
                    // Those that are to be had are the last ones.
                    .rev()
                    .all(|seat| seat.load(Ordering::Acquire) != 1)
        })
    }

    /// Unlinks an object, waits for those who may have found it, and poisons it.
    fn replace(&self, turn: u64, fence: Fence, is_done: impl Fn() -> bool) {
        let (old, new) = (turn as usize % OBJECTS, (turn as usize + 1) % OBJECTS);
        let (before, after) = (turn as usize % 2, (turn as usize + 1) % 2);
        self.objects[new].store(ALIVE, Ordering::Relaxed);
        self.current.store(new as u64, Ordering::Release);
        self.now.store(after as u64, Ordering::Relaxed);
        self.part.lead_to(&self.room, PHASES[after]);
        if fence.make().is_err() {
            return;
        }
        while !self.is_left(before) {
            if is_done() {
                return;
            }
            std::hint::spin_loop();
        }
        self.objects[old].store(POISON, Ordering::Relaxed);
    }
}

extern "C" fn ignore(_: i32) {}

fn run(fence: Fence) {
    let is_control = fence != Fence::Rseq;
    if let Err(why) = enter_thread() {
        return println!("no sections here: {why}");
    }
    if let Err(why) = membarrier::fence() {
        return println!("no fence here: {why}");
    }
    if is_control && cpus().len() < 2 {
        return println!("one CPU: whoever interrupts a section restarts it");
    }
    let Some(memory) = Memory::new() else {
        return println!("the ids are not the kernel's here");
    };
    handle(libc::SIGUSR1, ignore);
    let run = Run::default();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            let (memory, run, sender) = (&memory, &run, sender.clone());
            scope.spawn(move || {
                memory.furnish();
                let _ = sender.send(thread_id());
                while !run.is_done() {
                    if let Some(is_good) = memory.read() {
                        run.note(is_good);
                    }
                }
            });
        }
        let threads: Vec<i32> = receiver.iter().take(READERS).collect();
        if !is_control {
            let run = &run;
            scope.spawn(move || disturb(run, &threads, libc::SIGUSR1));
        }
        let start = Instant::now();
        // A reader that has failed leaves no seat.
        let is_over = || run.bad() > 0 || start.elapsed() > PATIENCE;
        run.write(is_control, |turn| memory.replace(turn, fence, is_over));
    });
    run.check(&format!("seats, {fence:?}"), is_control);
}

#[test]
fn seats_of_a_phase_become_fewer() {
    run(Fence::Rseq);
}

#[test]
#[ignore = "needs two CPUs that have nothing else to do"]
fn no_fence_shows() {
    run(Fence::None);
}
