//! Operations that follow a pointer: what it leads to is spoiled as soon as nobody can be
//! following it there any more.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use percid_rseq::portable::{LOW, claimable};
use percid_rseq::{Refusal, membarrier, portable, section};

use crate::cell::{Held, Workload};
use crate::stripes::By;

/// Words of a block: an odd number, so that copies take several steps.
const WORDS: usize = 5;

type Block = [AtomicU64; WORDS];

/// What a block holds that nobody may read.
const SPOILT: u64 = u64::MAX;

/// Steps of a thread for each one that changes the pointer.
const STEPS: u64 = 8;

/// Reads all words, or the first alone.
type Read = fn(&Following) -> Result<[u64; WORDS], Refusal>;

struct Following {
    by: By,
    pointer: AtomicPtr<u8>,
    blocks: Box<[Block; 2]>,
    /// Which block the pointer leads to.
    current: Mutex<usize>,
    read: Read,
    torn: AtomicBool,
}

impl Following {
    fn pointer_of_portable(&self) -> &AtomicU64 {
        // SAFETY: a word either way.
        unsafe { AtomicU64::from_ptr(self.pointer.as_ptr().cast()) }
    }

    fn address(&self, block: usize) -> *mut u8 {
        let block = (&raw const self.blocks[block]).cast_mut().cast::<u8>();
        block.expose_provenance();
        block
    }

    /// Leads elsewhere; whoever may have followed it before is done; spoils what it led to.
    fn change(&self, number: u64) {
        let Ok(mut current) = self.current.try_lock() else {
            return;
        };
        let (old, new) = (*current, 1 - *current);
        fill(&self.blocks[new], number);
        if self.by == By::Thread {
            let new = self.address(new).addr() as u64;
            if claimable::swap::<LOW>(self.pointer_of_portable(), new).is_err() {
                fill(&self.blocks[1 - old], SPOILT);
                return;
            }
        } else {
            self.pointer.store(self.address(new), Ordering::Release);
            if membarrier::fence().is_err() {
                // Nobody may be kept from what is there.
                *current = new;
                return;
            }
        }
        fill(&self.blocks[old], SPOILT);
        *current = new;
    }
}

fn fill(block: &Block, with: u64) {
    block
        .iter()
        .for_each(|word| word.store(with, Ordering::Relaxed));
}

impl Workload for Following {
    fn step(&self, thread: usize, turn: u64, held: &mut Held) -> Result<(), Refusal> {
        if turn % STEPS == STEPS - 1 {
            self.change(turn << 8 | thread as u64);
        }
        let words = (self.read)(self)?;
        if words.iter().any(|&word| word == SPOILT || word != words[0]) {
            self.torn.store(true, Ordering::Relaxed);
        }
        held.units += 1;
        Ok(())
    }

    fn is_exact(&self, held: &[Held]) -> Result<(), String> {
        let reads: u64 = held.iter().map(|held| held.units).sum();
        match self.torn.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(format!("of {reads} reads one found what was spoilt")),
        }
    }
}

fn following(by: By, read: Read) -> Box<dyn Workload> {
    let following = Box::new(Following {
        by,
        pointer: AtomicPtr::default(),
        blocks: Box::new([const { [const { AtomicU64::new(SPOILT) }; WORDS] }; 2]),
        current: Mutex::new(0),
        read,
        torn: AtomicBool::new(false),
    });
    fill(&following.blocks[0], 0);
    let first = following.address(0);
    following.pointer.store(first, Ordering::Release);
    following
}

pub(crate) fn load(by: By) -> Box<dyn Workload> {
    following(by, |this| {
        // SAFETY: leads to a block, which stays mapped whatever is in it.
        let word = unsafe {
            match this.by {
                By::Thread => portable::load_through(this.pointer_of_portable()),
                _ => section::load_through(&this.pointer),
            }
        };
        Ok([word?; WORDS])
    })
}

pub(crate) fn copy(by: By) -> Box<dyn Workload> {
    following(by, |this| {
        let mut words = [0_u64; WORDS];
        let (target, bytes) = (words.as_mut_ptr().cast(), size_of_val(&words));
        // SAFETY: as in `load`; there is room for a block.
        unsafe {
            match this.by {
                By::Thread => {
                    portable::copy_through(this.pointer_of_portable(), target, bytes)?;
                }
                _ => section::copy_through(&this.pointer, target, bytes)?,
            }
        }
        Ok(words)
    })
}
