//! The protocol of lazy references, bare: a slot is taken by a section, its pointer and the
//! cell are read after that, and it is left by a store; who replaces the object marks the
//! slots that hold it, makes a fence, and waits for those that are taken.
//!
//! What it needs of the fence is that stores made before it are seen: a fence that restarts
//! no sections does as well, and none at all does not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::sync::mpsc;

use percid::{Operation, Room, Source, StripeOwner, backend};
use percid_rseq::Refusal;
use percid_rseq::section::{self, Index, WordAddress};

use crate::disturbance::{disturb, handle, thread_id};
use crate::{Fence, Run, cpus};

const OBJECTS: u64 = 64;
const ALIVE: u64 = 1;
const POISON: u64 = 2;
const MARK: u64 = 1;

/// Takes the cid's slot.
struct Take;

impl Operation for Take {
    type Output = *mut u64;

    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::claim::<I, SHIFT>(index, first, 1) }
    }
}

struct World {
    slots: Room,
    /// An object by its name: twice its number, and 2.
    cell: AtomicU64,
    objects: Vec<AtomicU64>,
    /// Who installs, or replaces, has it: that is not what is tried here.
    install: Mutex<()>,
}

impl World {
    fn object(&self, name: u64) -> &AtomicU64 {
        &self.objects[(name / 2 - 1) as usize]
    }

    /// Whether a leased object was alive as long as the lease lasted; nothing, if there was
    /// none.
    fn read(&self) -> Option<bool> {
        // SAFETY: the first word changes from 0 by this section only.
        let slot = unsafe { self.slots.run(&Take) }.ok()?;
        // SAFETY: words of the room, which outlives its readers.
        let [active, pointer] = [0, 1].map(|word| unsafe { AtomicU64::from_ptr(slot.add(word)) });
        compiler_fence(Ordering::SeqCst);
        let held = pointer.load(Ordering::Acquire);
        let is_lease = self.cell.load(Ordering::Acquire) == held;
        let mut is_alive = true;
        if is_lease {
            for _ in 0..50 {
                is_alive &= self.object(held).load(Ordering::Relaxed) == ALIVE;
                std::hint::spin_loop();
            }
        } else if let Ok(_alone) = self.install.try_lock() {
            pointer.swap(self.cell.load(Ordering::Relaxed), Ordering::AcqRel);
        }
        active.store(0, Ordering::Release);
        is_lease.then_some(is_alive)
    }

    /// A control is to come when a reader is about to take its slot again: its store is then
    /// on its way, for the line is here.
    fn wait_for_an_idle_one(&self, object: u64) {
        for _ in 0..100_000 {
            let idle = self.slots.stripes().any(|stripe| {
                let words = stripe.words();
                words[1].load(Ordering::Relaxed) == object && words[0].load(Ordering::Relaxed) == 0
            });
            if idle {
                break;
            }
            std::hint::spin_loop();
        }
    }

    fn replace(&self, fence: Fence) {
        let Ok(_alone) = self.install.lock() else {
            return;
        };
        let old = self.cell.load(Ordering::Relaxed);
        let new = old % (2 * OBJECTS) + 2;
        self.object(new).store(ALIVE, Ordering::Relaxed);
        if fence == Fence::None {
            self.wait_for_an_idle_one(old);
        }
        self.cell.store(new, Ordering::Release);
        let mut marked = Vec::new();
        for stripe in self.slots.stripes() {
            let pointer = &stripe.words()[1];
            let marks = matches!(stripe.owner(), StripeOwner::Cid(_))
                && pointer
                    .compare_exchange(old, old | MARK, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok();
            if marks {
                marked.push(stripe);
            }
        }
        if fence.make().is_err() {
            return;
        }
        for stripe in marked {
            let [active, pointer] = [&stripe.words()[0], &stripe.words()[1]];
            let mut turn = 0_u32;
            while active.load(Ordering::Acquire) != 0 {
                turn += 1;
                if turn.is_multiple_of(1024) {
                    std::thread::yield_now();
                }
            }
            // So that the reader need not: it would have to wait for the lock.
            pointer.store(new, Ordering::Release);
        }
        self.object(old).store(POISON, Ordering::Relaxed);
    }
}

extern "C" fn ignore(_: i32) {}

fn run(fence: Fence, is_control: bool) {
    if backend().source == Source::Thread {
        return println!("no sections here: {}", backend().reason);
    }
    if let Err(why) = Fence::Rseq.make().and_then(|()| Fence::Memory.make()) {
        return println!("no fence here: {why}");
    }
    if is_control && cpus().len() < 2 {
        return println!("one CPU: nobody looks while a store is on its way");
    }
    handle(libc::SIGUSR1, ignore);
    let world = World {
        slots: Room::try_new(2).expect("memory for slots"),
        cell: AtomicU64::new(2),
        objects: (0..OBJECTS).map(|_| AtomicU64::new(ALIVE)).collect(),
        install: Mutex::new(()),
    };
    let run = Run::default();
    // A control's threads have the CPUs to themselves.
    let readers = if is_control { cpus().len() - 1 } else { 3 };
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..readers {
            let (world, run, sender) = (&world, &run, sender.clone());
            scope.spawn(move || {
                let _ = sender.send(thread_id());
                while !run.is_done() {
                    if let Some(is_good) = world.read() {
                        run.note(is_good);
                    }
                }
            });
        }
        let threads: Vec<i32> = receiver.iter().take(readers).collect();
        if !is_control {
            let run = &run;
            scope.spawn(move || disturb(run, &threads, libc::SIGUSR1));
        }
        run.write(is_control, |_| world.replace(fence));
    });
    run.check(&format!("leases, {fence:?}"), is_control);
}

#[test]
fn leases_are_of_the_living() {
    run(Fence::Rseq, false);
}

#[test]
fn a_fence_that_restarts_nothing_does_for_leases() {
    run(Fence::Memory, false);
}

#[test]
#[ignore = "in release, for up to a minute: two CPUs race for a store buffer: ci/stress.sh"]
fn leases_without_a_fence_show() {
    run(Fence::None, true);
}
