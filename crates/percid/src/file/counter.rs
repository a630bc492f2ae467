//! A counter of a file.

use core::fmt;
use core::sync::atomic::Ordering;
use std::sync::Arc;

use percid_cid::thread_stripe;
use percid_rseq::section::{self, Cpu, WordAddress};
use percid_rseq::{Refusal, enter_thread, portable};

use super::layout::{SHIFT, Stripe};
use super::mapping::Mapping;

/// A counter that threads of several processes add to.
///
/// # Cost
///
/// As a [`percid::Counter`](crate::Counter) of one process: one section, with one
/// comparison less. `sum`: one load for each CPU that the kernel can have.
///
/// # Fallback
///
/// In a process or a thread without sections, and on a CPU that the file has no stripe
/// for, an add is a relaxed `fetch_add` on one of a few stripes that all such threads
/// share, of all processes.
///
/// # Fork and signals
///
/// Every method may be called from a signal handler. A child of `fork` counts on in the
/// same file. A process that is killed, at whatever instruction, has counted every add
/// that returned and at most one more in each thread.
#[derive(Clone)]
pub struct Counter {
    /// The word in the stripe of CPU 0.
    first: WordAddress,
    index: usize,
    mapping: Arc<Mapping>,
}

impl Counter {
    pub(super) fn new(mapping: &Arc<Mapping>, index: usize) -> Counter {
        Counter {
            first: mapping.first(index),
            index,
            mapping: Arc::clone(mapping),
        }
    }

    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`, wrapping.
    #[inline]
    pub fn add(&self, n: u64) {
        if self.by_section(n).is_err() {
            self.add_slow(n);
        }
    }

    #[inline(always)]
    fn by_section(&self, n: u64) -> Result<(), Refusal> {
        let index = Cpu {
            limit: self.mapping.limit(),
        };
        // SAFETY: the mapping, which lives as long as `self`, has a stripe for every CPU
        // below the limit, and in every process these change by sections of that CPU
        // only: the kernel restarts one before it runs anybody else there.
        unsafe { section::add::<_, SHIFT>(index, self.first, n) }
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, n: u64) {
        for _ in 0..section::ATTEMPTS {
            match self.by_section(n) {
                Ok(()) => return,
                Err(Refusal::Aborted) => {}
                // Not where the process shall not use sections.
                Err(Refusal::NotRegistered)
                    if self.mapping.limit().load(Ordering::Relaxed) > 0
                        && enter_thread().is_ok() => {}
                Err(_) => break,
            }
        }
        let layout = self.mapping.layout();
        // Processes share these, so their ids need not be unique.
        let stripe = Stripe::ByAtomics(thread_stripe() % layout.by_atomics);
        portable::add(self.mapping.word(stripe, self.index), n);
    }

    /// What all processes have added.
    ///
    /// Exact for all that was added before; an add that runs at the same time is seen or
    /// not.
    #[must_use]
    pub fn sum(&self) -> u64 {
        sum(&self.mapping, self.index)
    }
}

/// What was added to a counter.
pub(super) fn sum(mapping: &Mapping, index: usize) -> u64 {
    let stripes = mapping.layout().stripes();
    stripes
        .map(|stripe| portable::load(mapping.word(stripe, index)))
        .fold(0, u64::wrapping_add)
}

/// Shows the racy total.
impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.sum()).finish()
    }
}
