//! The simple protocol that does not hold: a slot for each cid, which a reader writes and
//! the next reader of that cid overwrites. A reader that is preempted has lost its cid.

use std::sync::atomic::{AtomicU64, Ordering};

use percid::{Operation, Room, Source, StripeOwner, backend};
use percid_rseq::Refusal;
use percid_rseq::section::{self, Index, WordAddress};

use crate::disturbance::pin;
use crate::{Fence, Run, cpus};

const ALIVE: u64 = 1;
const POISON: u64 = 2;

/// Leaves an address in the cid's slot.
struct Publish(u64);

impl Operation for Publish {
    type Output = u64;

    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<u64, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::swap::<I, SHIFT>(index, first, self.0) }
    }
}

/// Whether the object that a reader found and published was alive when it used it; nothing,
/// if it could not be published.
fn read(slots: &Room, pointer: &AtomicU64, objects: &[AtomicU64]) -> Option<bool> {
    let found = pointer.load(Ordering::Acquire);
    // SAFETY: the room's word changes by this section only.
    unsafe { slots.run(&Publish(1 + found)) }.ok()?;
    if pointer.load(Ordering::Acquire) != found {
        return None;
    }
    // Others have the CPU for a while, and perhaps the cid.
    std::thread::yield_now();
    let is_alive = objects[found as usize].load(Ordering::Relaxed) == ALIVE;
    // SAFETY: as above.
    let _ = unsafe { slots.run(&Publish(0)) };
    Some(is_alive)
}

#[test]
fn a_slot_that_is_overwritten_shows() {
    if backend().source == Source::Thread {
        return println!("no sections here: {}", backend().reason);
    }
    if let Err(why) = Fence::Rseq.make() {
        return println!("no fence here: {why}");
    }
    let slots = Room::try_new(1).expect("memory for slots");
    let objects: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(ALIVE)).collect();
    let (pointer, run) = (AtomicU64::new(0), Run::default());
    let cpus = cpus();
    std::thread::scope(|scope| {
        // More than there are CPUs, or each might have an id of its own.
        for _ in 0..cpus.len() + 3 {
            scope.spawn(|| {
                pin(0, cpus[0]);
                while !run.is_done() {
                    if let Some(is_good) = read(&slots, &pointer, &objects) {
                        run.note(is_good);
                    }
                }
            });
        }
        run.write(true, |turn| {
            let old = turn % objects.len() as u64;
            let new = (old + 1) % objects.len() as u64;
            objects[new as usize].store(ALIVE, Ordering::Relaxed);
            pointer.store(new, Ordering::Release);
            let holds = |stripe: percid::StripeRef<'_>| {
                matches!(stripe.owner(), StripeOwner::Cid(_))
                    && stripe.words()[0].load(Ordering::Acquire) == 1 + old
            };
            if Fence::Rseq.make().is_ok() && !slots.stripes().any(holds) {
                objects[old as usize].store(POISON, Ordering::Relaxed);
            }
            std::thread::yield_now();
        });
    });
    run.check("slots", true);
}
