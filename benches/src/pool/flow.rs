//! One thread allocates, another frees.

use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::thread;

use crossbeam_utils::CachePadded;

use super::raw::{Memory, all_differ};
use crate::Error;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

/// Objects on their way between two threads, at the most.
const RING: usize = 1024;

/// Objects that are published, or acknowledged, at a time.
const BATCH: u64 = 64;

/// Looks before the other is let have the CPU. Few: on a machine with other work, who waits
/// must not take the time of whom it waits for.
const LOOKS: u32 = 128;

/// The implementation by an allocator.
pub(super) const fn of<M: Memory>() -> Timed {
    Timed {
        name: M::NAME,
        make: |threads| {
            let rings = (0..threads / 2).map(|_| Ring::new()).collect();
            Ok(Box::new(Flow::<M> {
                rings,
                wrong: AtomicU64::new(0),
                memory: PhantomData,
            }))
        },
    }
}

struct Flow<M> {
    /// For each pair of threads.
    rings: Vec<Ring>,
    /// Objects that did not arrive as they were sent.
    wrong: AtomicU64,
    memory: PhantomData<fn() -> M>,
}

/// A bounded queue from one thread to another, the same for every peer.
struct Ring {
    places: Box<[AtomicPtr<u8>]>,
    sent: CachePadded<AtomicU64>,
    received: CachePadded<AtomicU64>,
}

impl Ring {
    fn new() -> Ring {
        Ring {
            places: (0..RING).map(|_| AtomicPtr::default()).collect(),
            sent: CachePadded::new(AtomicU64::new(0)),
            received: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// Sends so many.
    // Ordering: Acquire and Release, here and in `receive`: a place is written again after
    // it was read, and read after it was written.
    fn send(&self, count: u64, make: impl Fn(u64) -> *mut u8) {
        let start = self.sent.load(Ordering::Relaxed);
        let mut at = start;
        while at < start + count {
            let end = (at + BATCH).min(start + count);
            wait(|| end - self.received.load(Ordering::Acquire) <= RING as u64);
            for number in at..end {
                self.places[number as usize % RING].store(make(number), Ordering::Relaxed);
            }
            self.sent.store(end, Ordering::Release);
            at = end;
        }
    }

    /// Receives so many.
    fn receive(&self, count: u64, mut take: impl FnMut(u64, *mut u8)) {
        let start = self.received.load(Ordering::Relaxed);
        let mut at = start;
        while at < start + count {
            let end = (at + BATCH).min(start + count);
            wait(|| self.sent.load(Ordering::Acquire) >= end);
            for number in at..end {
                take(
                    number,
                    self.places[number as usize % RING].load(Ordering::Relaxed),
                );
            }
            self.received.store(end, Ordering::Release);
            at = end;
        }
    }
}

fn wait(is_done: impl Fn() -> bool) {
    let mut looks: u32 = 0;
    while !is_done() {
        looks += 1;
        if looks.is_multiple_of(LOOKS) {
            thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Allocates an object and writes its number into it.
fn make<M: Memory>(number: u64) -> *mut u8 {
    let memory = M::alloc();
    if !memory.is_null() {
        // SAFETY: 64 bytes, allocated just now.
        unsafe { memory.cast::<u64>().write(number) };
    }
    memory
}

/// Whether it is the object of that number; frees it.
///
/// # Safety
///
/// Made by [`make`], and not freed yet.
unsafe fn take<M: Memory>(number: u64, memory: *mut u8) -> bool {
    // SAFETY: the caller's contract.
    let right = !memory.is_null() && unsafe { memory.cast::<u64>().read() } == number;
    // SAFETY: the caller's contract.
    unsafe { M::free(memory) };
    right
}

impl<M: Memory> Workload for Flow<M> {
    fn begin(&self) {
        self.wrong.store(0, Ordering::Relaxed);
    }

    fn run(&self, thread: usize, rounds: u64) {
        let count = rounds * OPERATIONS;
        let mut wrong = 0;
        match self.rings.get(thread / 2) {
            Some(ring) if thread.is_multiple_of(2) => ring.send(count, make::<M>),
            Some(ring) => ring.receive(count, |number, memory| {
                // SAFETY: the other thread's `make`, received once.
                wrong += u64::from(!unsafe { take::<M>(number, memory) });
            }),
            None => {
                let mut held = [std::ptr::null_mut(); 512];
                let mut done = 0;
                while done < count {
                    let some = (held.len() as u64).min(count - done) as usize;
                    for (number, place) in held[..some].iter_mut().enumerate() {
                        *place = black_box(make::<M>(number as u64));
                    }
                    for (number, &memory) in held[..some].iter().enumerate() {
                        // SAFETY: made just now.
                        wrong += u64::from(!unsafe { take::<M>(number as u64, memory) });
                    }
                    done += some as u64;
                }
            }
        }
        self.wrong.fetch_add(wrong, Ordering::Relaxed);
    }

    fn check(&self, _: Done) -> Result<(), Error> {
        all_differ::<M>()?;
        crate::error::expect(M::NAME, self.wrong.load(Ordering::Relaxed), 0)
    }
}
