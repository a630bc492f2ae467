//! Memory for the operations: a page for each id, and the table of an index by table.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::portable::{LOW, TOP, claimable};
use percid_rseq::section::{self, Cpu, MmCid, Placed, SLOTS, Slot, Slots, Table, WordAddress};
use percid_rseq::{Refusal, membarrier, possible_cpus};

use crate::atomics;

/// log2 of a stripe's bytes.
pub(crate) const SHIFT: u32 = 12;

/// Words of a stripe.
pub(crate) const WORDS: usize = 1 << (SHIFT - 3);

/// By which index the sections of a cell run, or that there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    MmCid,
    Placed,
    Table,
    Cpu,
    /// By the thread, on the portable body.
    Thread,
}

impl By {
    pub(crate) const SECTIONS: [By; 4] = [By::MmCid, By::Placed, By::Table, By::Cpu];

    /// Whether the kernel has to keep ids for it.
    pub(crate) fn needs_mm_cid(self) -> bool {
        matches!(self, By::MmCid | By::Placed)
    }
}

/// Stripes that threads share, so that they meet there.
const THREAD_STRIPES: usize = 2;

/// The calling thread's stripe: they take turns.
fn thread_stripe() -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    std::thread_local! {
        static MINE: u32 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    MINE.with(|&mine| mine as usize % THREAD_STRIPES)
}

/// One page.
#[repr(C, align(4096))]
struct Page([AtomicU64; WORDS]);

/// Pages below 32 GiB.
struct Pages(*mut Page, usize);

// SAFETY: atomics.
unsafe impl Send for Pages {}
// SAFETY: atomics.
unsafe impl Sync for Pages {}

impl Pages {
    fn new(count: usize) -> Pages {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        for at in (1..31_usize).map(|gib| gib << 30) {
            // SAFETY: nothing is replaced.
            let pages = unsafe {
                libc::mmap(
                    std::ptr::without_provenance_mut(at),
                    count * size_of::<Page>(),
                    libc::PROT_READ | libc::PROT_WRITE,
                    flags,
                    -1,
                    0,
                )
            };
            if pages.addr() == at {
                pages.expose_provenance();
                return Pages(pages.cast(), count);
            }
        }
        panic!("no room below 32 GiB");
    }
}

impl std::ops::Deref for Pages {
    type Target = [Page];

    fn deref(&self) -> &[Page] {
        // SAFETY: so many pages of zeros, which are words.
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; nobody has them any more.
        unsafe { libc::munmap(self.0.cast(), self.1 * size_of::<Page>()) };
    }
}

pub(crate) struct Stripes {
    by: By,
    pages: Pages,
    /// The limit and the first page, for `Placed`.
    placed: AtomicU64,
    limit: AtomicU32,
    /// The id is the CPU.
    slots: Box<Slots>,
    /// For adds that one guards.
    flag: AtomicU32,
}

/// Runs an operation on a place by whatever index the stripes have.
macro_rules! by_index {
    ($self:ident, $operation:ident $([$constant:ident])? ($place:expr $(, $argument:expr)*)) => {
        // SAFETY: there is a page for every id below the limit and in a slot, and for every
        // stripe of threads, and the callers pass buffers that are large enough and places
        // within a page.
        unsafe {
            let first = $self.at($place);
            let word = WordAddress::new(first);
            match $self.by {
                By::MmCid => {
                    let index = MmCid { limit: &$self.limit };
                    section::$operation::<_, SHIFT $(, $constant)?>(index, word $(, $argument)*)
                }
                By::Placed => {
                    let index = Placed { at: &$self.placed };
                    let word = WordAddress::from_eighth($place);
                    section::$operation::<_, SHIFT $(, $constant)?>(index, word $(, $argument)*)
                }
                By::Cpu => {
                    let index = Cpu { limit: &$self.limit };
                    section::$operation::<_, SHIFT $(, $constant)?>(index, word $(, $argument)*)
                }
                By::Table => {
                    let index = Table::new(&$self.slots);
                    section::$operation::<_, SHIFT $(, $constant)?>(index, word $(, $argument)*)
                }
                By::Thread => {
                    let mine = first.wrapping_add(thread_stripe() * WORDS);
                    atomics::$operation $(::<$constant>)? (mine $(, $argument)*)
                }
            }
        }
    };
}

impl Stripes {
    pub(crate) fn new(by: By) -> Stripes {
        let ids = possible_cpus();
        let pages = Pages::new(THREAD_STRIPES.max(ids as usize));
        let first = WordAddress::new(pages.as_ptr().cast::<u64>().cast_mut());
        let slot = |cpu| {
            if cpu < ids {
                Slot::with_id(cpu)
            } else {
                Slot::new()
            }
        };
        let slots: Vec<Slot> = (0..SLOTS as u32).map(slot).collect();
        Stripes {
            by,
            placed: AtomicU64::new(Placed::word(ids, first)),
            pages,
            limit: AtomicU32::new(ids),
            slots: slots.try_into().expect("so many"),
            flag: AtomicU32::new(1),
        }
    }

    pub(crate) fn ids(&self) -> usize {
        self.pages.len()
    }

    /// A word of a stripe, for who looks from outside.
    pub(crate) fn word(&self, id: usize, place: usize) -> &AtomicU64 {
        &self.pages[id].0[place]
    }

    /// The word so many words after one.
    pub(crate) fn beside(&self, word: &AtomicU64, words: usize) -> &AtomicU64 {
        let first = self.pages.as_ptr().addr();
        let place = (std::ptr::from_ref(word).addr() - first) / 8 + words;
        self.word(place / WORDS, place % WORDS)
    }

    /// The sum of a word over all stripes.
    pub(crate) fn sum(&self, place: usize) -> u64 {
        (0..self.ids())
            .map(|id| self.word(id, place).load(Ordering::Relaxed))
            .sum()
    }

    fn at(&self, place: usize) -> *mut u64 {
        let first = self.pages.as_ptr().cast::<u64>().cast_mut();
        first.wrapping_add(place)
    }

    pub(crate) fn increment(&self, place: usize) -> Result<(), Refusal> {
        by_index!(self, increment(place))
    }

    pub(crate) fn add(&self, place: usize, n: u64) -> Result<(), Refusal> {
        by_index!(self, add(place, n))
    }

    pub(crate) fn add_through(&self, place: usize, words: isize, n: u64) -> Result<(), Refusal> {
        by_index!(self, add_through(place, words * 8, n))
    }

    pub(crate) fn add_if(&self, place: usize, expected: u32, n: u64) -> Result<(), Refusal> {
        by_index!(self, add_if(place, &self.flag, expected, n))
    }

    pub(crate) fn add_within<const AT: usize>(
        &self,
        place: usize,
        n: u64,
        most: u64,
    ) -> Result<(), Refusal> {
        by_index!(self, add_within[AT](place, n, most))
    }

    pub(crate) fn load(&self, place: usize) -> Result<u64, Refusal> {
        by_index!(self, load(place))
    }

    /// Loads a word that `compare_compare_store` stores to.
    pub(crate) fn load_of_pair(&self, place: usize) -> Result<u64, Refusal> {
        match self.by {
            By::Thread => claimable::load::<TOP>(self.word(thread_stripe(), place)),
            _ => self.load(place),
        }
    }

    pub(crate) fn swap(&self, place: usize, new: u64) -> Result<u64, Refusal> {
        by_index!(self, swap(place, new))
    }

    pub(crate) fn claim(&self, place: usize) -> Result<&AtomicU64, Refusal> {
        let claimed = by_index!(self, claim(place, 1))?;
        // SAFETY: a word of one of the pages.
        Ok(unsafe { AtomicU64::from_ptr(claimed) })
    }

    pub(crate) fn claim_any<const COUNT: u32>(&self, place: usize) -> Result<&AtomicU64, Refusal> {
        let claimed = by_index!(self, claim_any[COUNT](place))?;
        // SAFETY: a word of one of the pages.
        Ok(unsafe { AtomicU64::from_ptr(claimed) })
    }

    pub(crate) fn claim_first(
        &self,
        place: usize,
        count: u32,
        mark: &AtomicU64,
    ) -> Result<&AtomicU64, Refusal> {
        let claimed = by_index!(self, claim_first(place, count, mark))?;
        // SAFETY: a word of one of the pages.
        Ok(unsafe { AtomicU64::from_ptr(claimed) })
    }

    pub(crate) fn compare_store(
        &self,
        place: usize,
        expected: u64,
        new: u64,
    ) -> Result<(), Refusal> {
        by_index!(self, compare_store(place, expected, new))
    }

    pub(crate) fn compare_compare_store(
        &self,
        place: usize,
        expected: u64,
        words: isize,
        second: u64,
        new: u64,
    ) -> Result<(), Refusal> {
        by_index!(
            self,
            compare_compare_store(place, expected, words * 8, second, new)
        )
    }

    pub(crate) fn list_push<const NEXT: usize>(&self, node: *mut u8) -> Result<(), Refusal> {
        by_index!(self, list_push[NEXT](0, node))
    }

    pub(crate) fn list_pop<const NEXT: usize>(&self) -> Result<*mut u8, Refusal> {
        by_index!(self, list_pop[NEXT](0))
    }

    /// Pushes a chain, from its first node to its last.
    pub(crate) fn gated_list_push<const NEXT: usize>(
        &self,
        first: *mut u8,
        last: *mut u8,
    ) -> Result<(), Refusal> {
        by_index!(self, gated_list_push[NEXT](0, first, last))
    }

    pub(crate) fn gated_list_pop<const NEXT: usize>(&self) -> Result<*mut u8, Refusal> {
        by_index!(self, gated_list_pop[NEXT](0))
    }

    /// Takes what the list of a stripe holds, from outside; its head. One thread at a time.
    pub(crate) fn take_list(&self, id: usize) -> Result<u64, Refusal> {
        let [head, stop] = [0, 1].map(|place| self.word(id, place));
        stop.store(1, Ordering::Relaxed);
        let mut taken = Ok(0);
        if self.by == By::Thread {
            taken = claimable::swap::<LOW>(head, 0);
        } else if membarrier::fence().is_ok() {
            // Nobody changes it now.
            taken = Ok(head.load(Ordering::Relaxed));
            head.store(0, Ordering::Relaxed);
        }
        // Ordering: Release pairs with the section's load of the stop word: the new head
        // is seen with it.
        stop.store(0, Ordering::Release);
        taken
    }

    pub(crate) fn array_push(&self, capacity: u32, value: u64) -> Result<(), Refusal> {
        by_index!(self, array_push(0, capacity, value))
    }

    pub(crate) fn array_pop(&self) -> Result<u64, Refusal> {
        by_index!(self, array_pop(0))
    }

    pub(crate) fn array_push_batch(&self, capacity: u32, from: &[u64]) -> Result<u32, Refusal> {
        let count = from.len() as u32;
        by_index!(self, array_push_batch(0, capacity, from.as_ptr(), count))
    }

    pub(crate) fn array_pop_batch(&self, to: &mut [u64]) -> Result<u32, Refusal> {
        let count = to.len() as u32;
        by_index!(self, array_pop_batch(0, to.as_mut_ptr(), count))
    }

    /// Pushes on the stack that lies `chosen` bytes after the first word.
    pub(crate) fn array_push_pair(
        &self,
        chosen: &AtomicU64,
        capacity: u32,
        pair: [u64; 2],
    ) -> Result<(), Refusal> {
        by_index!(self, array_push_pair(0, chosen, capacity, pair[0], pair[1]))
    }

    /// Pops from the stack at a place.
    pub(crate) fn array_pop_pair(&self, place: usize, to: &mut [u64; 2]) -> Result<u32, Refusal> {
        by_index!(self, array_pop_batch(place, to.as_mut_ptr(), 2))
    }

    pub(crate) fn gated_push(&self, value: u64) -> Result<(), Refusal> {
        by_index!(self, gated_push(0, value))
    }

    pub(crate) fn gated_pop(&self) -> Result<u64, Refusal> {
        by_index!(self, gated_pop(0))
    }

    pub(crate) fn gated_push_batch(&self, from: &[u64]) -> Result<u32, Refusal> {
        by_index!(self, gated_push_batch(0, from.as_ptr(), from.len() as u32))
    }

    pub(crate) fn gated_pop_batch(&self, to: &mut [u64]) -> Result<u32, Refusal> {
        by_index!(self, gated_pop_batch(0, to.as_mut_ptr(), to.len() as u32))
    }

    /// Takes what the gated stack of a stripe holds, from outside, and opens it again
    /// with a gate. One thread at a time.
    pub(crate) fn take_gated(&self, id: usize, gate: u32) -> Result<Vec<u64>, Refusal> {
        let word = self.word(id, 0);
        let content = |len: u32| {
            (1..=len as usize)
                .map(|place| self.word(id, place).load(Ordering::Relaxed))
                .collect()
        };
        if self.by == By::Thread {
            let held = claimable::swap::<TOP>(word, 0)?;
            let taken = content(held as u32);
            // A claim will be refused. If something was pushed to a closed stack nonetheless,
            // as without claims, it stays there, twice.
            let open = || claimable::compare_store::<TOP>(word, 0, u64::from(gate) << 32);
            while open() == Err(Refusal::Aborted) {
                std::hint::spin_loop();
            }
            return Ok(taken);
        }
        // SAFETY: the two halves of an aligned word, which sections access by halves.
        let [len, at] = unsafe { &*word.as_ptr().cast::<[AtomicU32; 2]>() };
        // Ordering: the fence orders all of it before what follows.
        at.store(0, Ordering::Relaxed);
        let fenced = membarrier::fence();
        let mut taken = Vec::new();
        if fenced.is_ok() {
            taken = content(len.load(Ordering::Relaxed));
            len.store(0, Ordering::Relaxed);
        }
        // Ordering: Release pairs with the section's load of the gate: the new length is
        // seen with it.
        at.store(gate, Ordering::Release);
        Ok(taken)
    }

    pub(crate) fn copy_push(&self, capacity: usize, from: &[u8]) -> Result<(), Refusal> {
        by_index!(self, copy_push(0, capacity, from.as_ptr(), from.len()))
    }

    pub(crate) fn copy_pop(&self, to: &mut [u8]) -> Result<(), Refusal> {
        by_index!(self, copy_pop(0, to.as_mut_ptr(), to.len()))
    }

    pub(crate) fn copy_out(&self, place: usize, to: &mut [u64]) -> Result<(), Refusal> {
        by_index!(
            self,
            copy_out(place, to.as_mut_ptr().cast(), size_of_val(to))
        )
    }
}
