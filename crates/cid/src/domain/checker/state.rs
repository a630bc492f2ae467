//! One moment of the modelled domain: slots, ids, bound, and where each thread is.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::protocol::Words;
use crate::domain::{
    Acquire, Attempts, Compact, Procedure, Reset, Rules, Scan, SlotState, SlotWord,
};

/// More CPUs than any configuration has.
pub(super) const CPUS: usize = 3;
/// More threads than any configuration has.
pub(super) const THREADS: usize = 4;
/// The tag of every slot, once tags are numbered from the newest; as traces show it.
pub(super) const NEWEST: u32 = 8;

/// One moment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct State<R, const BATCH: usize> {
    pub(super) slots: [SlotWord; CPUS],
    /// The bitmap.
    pub(super) ids: u8,
    pub(super) bound: u8,
    /// Stripes of ids below this are open.
    pub(super) opened: u8,
    pub(super) threads: [Thread<R, BATCH>; THREADS],
    pub(super) forked: bool,
    /// What a step showed to be wrong.
    pub(super) broken: Option<Broken>,
}

/// What no look at one moment shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Broken {
    /// Property 3: a step of its own has brought a thread no nearer to its end.
    Waits,
    /// Property 4: an id at or above the bound was acquired.
    Above,
}

/// One thread. Scanners and leavers need no CPU: being preempted is the same for
/// them as not being chosen.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Thread<R, const BATCH: usize> {
    /// The CPU that it runs on.
    pub(super) cpu: Option<u8>,
    /// It runs there, but fences do not see it yet (a fault of the kernel).
    pub(super) unseen: bool,
    /// Rejections of this operation.
    pub(super) attempts: Attempts,
    /// It was acquiring when the bound fell.
    pub(super) stale: bool,
    pub(super) doing: Doing<R, BATCH>,
}

/// What a thread is doing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Doing<R, const BATCH: usize> {
    /// Between operations, or before the load of the id in a section.
    Rest,
    /// In a section that has loaded this id.
    Open(u8),
    Acquire(Acquire<R>),
    Scan(Scan<BATCH, R>),
    Leave(Compact<BATCH, R>),
    Reset(Reset),
    /// It will do nothing more.
    Gone,
}

impl<R: Rules, const BATCH: usize> Doing<R, BATCH> {
    pub(super) fn procedure(&self) -> Option<&dyn Procedure> {
        match self {
            Doing::Acquire(acquire) => Some(acquire),
            Doing::Scan(scan) => Some(scan),
            Doing::Leave(compact) => Some(compact),
            Doing::Reset(reset) => Some(reset),
            Doing::Rest | Doing::Open(_) | Doing::Gone => None,
        }
    }

    pub(super) fn procedure_mut(&mut self) -> Option<&mut dyn Procedure> {
        match self {
            Doing::Acquire(acquire) => Some(acquire),
            Doing::Scan(scan) => Some(scan),
            Doing::Leave(compact) => Some(compact),
            Doing::Reset(reset) => Some(reset),
            Doing::Rest | Doing::Open(_) | Doing::Gone => None,
        }
    }

    /// Where its procedure is, by name.
    pub(super) fn place(&self) -> String {
        let text = match self {
            Doing::Acquire(it) => format!("{it:?}"),
            Doing::Scan(it) => format!("{it:?}"),
            Doing::Leave(it) => format!("{it:?}"),
            Doing::Reset(it) => format!("{it:?}"),
            Doing::Rest | Doing::Open(_) | Doing::Gone => String::new(),
        };
        let (procedure, at) = text.split_once("at: ").unwrap_or_default();
        let at = at.split([' ', '(', ',']).next().unwrap_or_default();
        let procedure = procedure.split(' ').next().unwrap_or_default();
        format!("{procedure} {at}")
    }

    fn words(&mut self, visit: &mut dyn FnMut(u32, &mut SlotWord)) {
        match self {
            Doing::Acquire(acquire) => acquire.words(visit),
            Doing::Scan(scan) => scan.words(visit),
            Doing::Leave(compact) => compact.words(visit),
            _ => {}
        }
    }
}

impl<R: Rules, const BATCH: usize> Thread<R, BATCH> {
    pub(super) fn new(doing: Doing<R, BATCH>) -> Self {
        Thread {
            cpu: None,
            unseen: false,
            attempts: Attempts::default(),
            stale: false,
            doing,
        }
    }

    /// An upper bound of the steps to the end of the operation, if nobody aborts its
    /// sections: first by the rejections that are left, then within a try.
    pub(super) fn distance(&self) -> u32 {
        const TRY: u32 = 100;
        u32::from(self.attempts.left()) * TRY
            + match &self.doing {
                Doing::Open(_) => 0,
                Doing::Rest => 1,
                other => 2 + other.procedure().map_or(0, |it| it.remaining()),
            }
    }
}

impl<R: Rules, const BATCH: usize> State<R, BATCH> {
    /// Numbers tags from the newest; older ones are all alike.
    ///
    /// Exact for tags without a bound: they only grow, and a remembered word is
    /// compared with its slot and nothing else; so one that is older than its slot's
    /// never equals it again, however much older it is.
    pub(super) fn renumber(&mut self, tags: Tags) {
        let ages = match tags {
            Tags::ResetAtUnset => return,
            Tags::Unbounded => None,
            Tags::Modulo(count) => Some(count),
        };
        let newest = self.slots.map(SlotWord::tag);
        for thread in &mut self.threads {
            thread.doing.words(&mut |slot, word| {
                let age = newest[slot as usize] - word.tag();
                *word = word.with_tag(NEWEST - ages.map_or(age.min(1), |count| age % count));
            });
        }
        self.slots = self.slots.map(|word| word.with_tag(NEWEST));
    }

    /// A thread whose section is not open may be on any CPU.
    pub(super) fn forget_cpus(&mut self) {
        for thread in &mut self.threads {
            if !matches!(thread.doing, Doing::Open(_)) {
                thread.cpu = None;
                thread.unseen = false;
            }
        }
    }

    /// Orders threads of a kind: which of two workers it is makes no difference.
    pub(super) fn order(&mut self, workers: usize, others: usize) {
        let key = |thread: &Thread<R, BATCH>| {
            let mut hasher = DefaultHasher::new();
            thread.hash(&mut hasher);
            hasher.finish()
        };
        self.threads[..workers].sort_by_cached_key(key);
        self.threads[workers..workers + others].sort_by_cached_key(key);
    }

    /// Aborts the sections that fences of a CPU reach.
    pub(super) fn fence(&mut self, cpu: u8) {
        for thread in &mut self.threads {
            if thread.cpu == Some(cpu) && !thread.unseen {
                thread.abort();
            }
        }
    }

    pub(super) fn resetting(&self) -> bool {
        self.threads
            .iter()
            .any(|thread| matches!(thread.doing, Doing::Reset(_)))
    }

    /// Property 1: no two sections hold the same id.
    pub(super) fn ids_differ(&self) -> bool {
        let mut open = 0u8;
        self.threads.iter().all(|thread| match thread.doing {
            Doing::Open(cid) => {
                let bit = 1 << cid;
                open & bit == 0 && {
                    open |= bit;
                    true
                }
            }
            _ => true,
        })
    }

    /// Property 5: the stripe of a section's id is open.
    pub(super) fn stripes_are_open(&self) -> bool {
        self.threads.iter().all(|thread| match thread.doing {
            Doing::Open(cid) => cid < self.opened,
            _ => true,
        })
    }

    /// Property 2: a bit is set if and only if one slot or thread owns it.
    pub(super) fn bits_have_owners(&self) -> bool {
        let slots = self.slots.iter().filter_map(|word| word.cid());
        let transit = self.threads.iter().filter_map(|thread| {
            let procedure = thread.doing.procedure()?;
            procedure.in_transit()
        });
        let mut owned = 0u8;
        let once = slots.chain(transit).all(|cid| {
            let bit = 1 << cid;
            let new = owned & bit == 0;
            owned |= bit;
            new
        });
        once && owned == self.ids
    }

    /// Property 4: after the scans of those who lowered the bound from `highest` no
    /// slot holds an id at or above it, but for those of threads that were acquiring
    /// when it fell.
    pub(super) fn ids_below_bound(&self, highest: u8) -> bool {
        let still =
            |thread: &Thread<R, BATCH>| thread.stale || matches!(thread.doing, Doing::Leave(_));
        let cids = || self.slots.iter().filter_map(|word| word.cid());
        self.bound == highest
            || self.threads.iter().any(still)
            || cids().all(|cid| cid < u32::from(self.bound))
    }
}

impl<R, const BATCH: usize> Thread<R, BATCH> {
    /// A section that is open begins again.
    pub(super) fn abort(&mut self) {
        if matches!(self.doing, Doing::Open(_)) {
            self.doing = Doing::Rest;
        }
    }
}

/// How tags count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// As they should: 32 bits are as good as no bound.
    Unbounded,
    /// Modulo a number; 1: there are none.
    Modulo(u32),
    /// From 0 again in every UNSET.
    ResetAtUnset,
}

impl<R: Rules, const BATCH: usize> fmt::Debug for State<R, BATCH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ids {:03b} <{} |{}|", self.ids, self.bound, self.opened)?;
        for word in self.slots {
            match word.state() {
                SlotState::Unset => write!(f, " -"),
                SlotState::Valid(cid) => write!(f, " {cid}"),
                SlotState::Lazy(cid) => write!(f, " ({cid})"),
            }?;
        }
        Ok(())
    }
}
