//! Readers that copy an object out in a section, as `CopyCell` does.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::mpsc;

use percid_rseq::section::{self, retry};
use percid_rseq::{Refusal, enter_thread, membarrier};

use crate::disturbance::{disturb, handle, thread_id};
use crate::{Fence, Run, cpus};

/// Words of an object: so many that a reader is nearly always inside its section.
const WORDS: usize = 1 << 15;

/// Words at either end that tell what it is. Copies are made from the end, so the first
/// ones are read last.
const ENDS: usize = 16;

const POISON: u64 = u64::MAX;

const READERS: usize = 3;

struct Memory {
    pointer: AtomicPtr<u8>,
    objects: [Box<[AtomicU64]>; 2],
}

impl Memory {
    fn new() -> Memory {
        let object = || (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let objects: [Box<[AtomicU64]>; 2] = [object(), object()];
        let memory = Memory {
            pointer: AtomicPtr::new(section::nowhere()),
            objects,
        };
        memory.link(0);
        memory
    }

    fn fill(&self, object: usize, value: u64) {
        let words = &self.objects[object];
        let ends = words[..ENDS].iter().chain(&words[WORDS - ENDS..]);
        ends.for_each(|word| word.store(value, Ordering::Relaxed));
    }

    fn link(&self, object: usize) {
        let object = self.objects[object].as_ptr().cast_mut().cast();
        self.pointer.store(object, Ordering::Release);
    }

    /// Whether a copy is of one object that had not gone.
    fn read(&self, copy: &mut [u64]) -> Option<bool> {
        let target = copy.as_mut_ptr().cast::<u8>();
        // SAFETY: the pointer leads to one of the objects, which are never freed.
        let copied =
            retry(|| unsafe { section::copy_through(&self.pointer, target, size_of_val(copy)) });
        match copied {
            Ok(()) => {
                let mut ends = copy[..ENDS].iter().chain(&copy[WORDS - ENDS..]);
                Some(copy[0] != POISON && ends.all(|&one| one == copy[0]))
            }
            // Disturbed as often as it was tried.
            Err(Refusal::Aborted) => None,
            Err(refusal) => panic!("{refusal}"),
        }
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
    handle(libc::SIGUSR1, ignore);
    let (memory, run) = (Memory::new(), Run::default());
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            let (memory, run, sender) = (&memory, &run, sender.clone());
            scope.spawn(move || {
                let entered = enter_thread();
                let _ = sender.send(thread_id());
                let mut copy = vec![0; WORDS];
                while entered.is_ok() && !run.is_done() {
                    if let Some(is_good) = memory.read(&mut copy) {
                        run.note(is_good);
                    }
                }
            });
        }
        let threads: Vec<i32> = receiver.iter().take(READERS).collect();
        // A control is left alone: what restarts sections hides what it is to show.
        if !is_control {
            let run = &run;
            scope.spawn(move || disturb(run, &threads, libc::SIGUSR1));
        }
        run.write(is_control, |turn| {
            let (old, new) = (turn as usize % 2, (turn as usize + 1) % 2);
            memory.fill(new, turn);
            memory.link(new);
            if fence.make().is_ok() {
                memory.fill(old, POISON);
            }
        });
    });
    run.check(&format!("copies, {fence:?}"), is_control);
}

#[test]
fn copies_are_of_the_living() {
    run(Fence::Rseq);
}

#[test]
fn a_fence_that_does_not_restart_sections_shows() {
    run(Fence::Memory);
}

#[test]
fn no_fence_shows() {
    run(Fence::None);
}
