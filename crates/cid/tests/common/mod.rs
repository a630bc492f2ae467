//! A counter in a domain, by hand, and CPUs to be pinned to.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use percid_cid::domain::{Admission, Attempts, Policy, Stripes};
use percid_cid::{Bound, Domain, Source, possible_cids};
use percid_rseq::section::{self, WordAddress};
use percid_rseq::{Refusal, portable};

/// Stripes of one cache line each.
const SHIFT: u32 = 6;

#[repr(align(64))]
struct Line(AtomicU64);

/// A word in each stripe, and one for the fallback.
struct Word {
    lines: Vec<Line>,
    fallback: AtomicU64,
}

impl Stripes for Word {
    fn open(&self, to: u32) -> Result<(), i32> {
        if to as usize <= self.lines.len() {
            Ok(())
        } else {
            Err(libc::ENOMEM)
        }
    }

    fn opened(&self) -> u32 {
        self.lines.len() as u32
    }
}

pub(crate) struct Counter {
    domain: Domain,
    word: Arc<Word>,
}

impl Counter {
    pub(crate) fn new(domain: &Domain) -> Counter {
        let word = Arc::new(Word {
            lines: (0..possible_cids())
                .map(|_| Line(AtomicU64::new(0)))
                .collect(),
            fallback: AtomicU64::new(0),
        });
        domain
            .attach(Arc::clone(&word) as Arc<dyn Stripes>)
            .expect("room");
        Counter {
            domain: domain.clone(),
            word,
        }
    }

    pub(crate) fn add(&self, n: u64) {
        let address = WordAddress::new(self.word.lines.as_ptr().cast::<u64>().cast_mut());
        let mut attempts = Attempts::default();
        let mut aborts = 0;
        loop {
            let outcome = match self.domain.index() {
                // SAFETY: stripes below the limit are open: there is a line for each.
                Some(index) => unsafe { section::add::<_, SHIFT>(index, address, n) },
                None => Err(Refusal::BeyondLimit),
            };
            match outcome {
                Ok(()) => return,
                Err(Refusal::Aborted) if aborts < section::ATTEMPTS => {
                    aborts += 1;
                    self.domain.note_abort();
                }
                Err(Refusal::NotRegistered | Refusal::BeyondLimit)
                    if self.domain.admit(&mut attempts) == Admission::Retry => {}
                Err(_) => return portable::add(&self.word.fallback, n),
            }
        }
    }

    pub(crate) fn total(&self) -> u64 {
        let lines = self.word.lines.iter();
        lines
            .map(|line| line.0.load(Ordering::Relaxed))
            .sum::<u64>()
            + self.word.fallback.load(Ordering::Relaxed)
    }

    /// Units that were added on the fallback.
    pub(crate) fn on_fallback(&self) -> u64 {
        self.word.fallback.load(Ordering::Relaxed)
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Ids that were ever added under.
    pub(crate) fn ids(&self) -> BTreeSet<usize> {
        (0..self.word.lines.len())
            .filter(|&id| self.word.lines[id].0.load(Ordering::Relaxed) != 0)
            .collect()
    }
}

/// A domain, unless this host has none by table.
pub(crate) fn domain(bound: Bound, period: Duration, policy: Policy) -> Option<Domain> {
    let domain = Domain::builder()
        .bound(bound)
        .period(period)
        .policy(policy)
        .build()
        .expect("a domain");
    if domain.source() != Source::Table {
        println!("no tables here: {:?}", percid_cid::backend());
        return None;
    }
    Some(domain)
}

pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a set that the call fills.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &raw mut set);
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&cpu| libc::CPU_ISSET(cpu, &set))
            .collect()
    }
}

pub(crate) fn pin_to(cpus: &[usize]) {
    // SAFETY: a set of CPUs that exist.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        cpus.iter().for_each(|&cpu| libc::CPU_SET(cpu, &mut set));
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}
