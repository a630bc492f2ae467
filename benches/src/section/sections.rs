//! Sections on pages, by each kind of index.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{
    self, Cpu, Index, MmCid, SLOTS, Slot, Slots, Table, WordAddress, retry,
};
use percid_rseq::{Refusal, enter_thread, possible_cpus, registration};

use super::work::{BATCH, Batch, Body, Kind};

/// log2 of a stripe's bytes.
const SHIFT: u32 = 12;

/// Words of a stripe.
const WORDS: usize = 1 << (SHIFT - 3);

/// Room of a stripe's stack, in words.
const CAPACITY: u32 = 200;

/// Nodes of each thread. One would do if a thread never moved.
const NODES: usize = 1024;

/// One stripe. Word 0 is the units, the head of the list, the length of the stack or
/// the lock; word 1 what the lock guards.
#[repr(C, align(4096))]
struct Page([AtomicU64; WORDS]);

pub(super) struct Memory {
    pages: Vec<Page>,
    limit: AtomicU32,
    /// The id is the CPU.
    slots: Box<Slots>,
}

/// By which index.
pub(super) trait By: Sync + Send + 'static {
    const NAME: &'static str;

    type Index<'a>: Index;

    fn index(memory: &Memory) -> Self::Index<'_>;
}

pub(super) struct ByMmCid;
pub(super) struct ByTable;
pub(super) struct ByCpu;

impl By for ByMmCid {
    const NAME: &'static str = "percid";

    type Index<'a> = MmCid<'a>;

    #[inline(always)]
    fn index(memory: &Memory) -> MmCid<'_> {
        MmCid {
            limit: &memory.limit,
        }
    }
}

impl By for ByTable {
    const NAME: &'static str = "percid:table";

    type Index<'a> = Table<'a>;

    #[inline(always)]
    fn index(memory: &Memory) -> Table<'_> {
        Table::new(&memory.slots)
    }
}

impl By for ByCpu {
    const NAME: &'static str = "percid:cpu";

    type Index<'a> = Cpu<'a>;

    #[inline(always)]
    fn index(memory: &Memory) -> Cpu<'_> {
        Cpu {
            limit: &memory.limit,
        }
    }
}

/// Why this suite cannot run here, if it cannot.
pub(super) fn available() -> Result<(), String> {
    enter_thread().map_err(|why| why.to_string())?;
    match registration() {
        Ok(found) if found.features.mm_cid => Ok(()),
        Ok(_) => Err("this kernel's rseq has no mm_cid (Linux 6.3 has)".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// A node: its link and nothing else.
type Node = AtomicU64;

pub(super) struct Sections<B> {
    memory: Memory,
    nodes: Vec<Node>,
    by: PhantomData<B>,
}

/// Where a thread works, and the nodes that it has.
pub(super) struct Hand<'a, I> {
    index: I,
    first: WordAddress,
    nodes: &'a [Node],
    spare: *mut u8,
    /// What a batch pushes and where it pops to.
    batch: Box<Batch>,
}

/// A node that no list has yet, and the others. By value, so that a hand can stay in
/// registers.
#[cold]
#[inline(never)]
fn another_node(nodes: &[Node]) -> (*mut u8, &[Node]) {
    let Some((node, rest)) = nodes.split_first() else {
        panic!("a thread was moved {NODES} times in one run");
    };
    ((&raw const *node).cast_mut().cast(), rest)
}

impl<B: By> Sections<B> {
    fn words(&self, place: usize) -> impl Iterator<Item = &AtomicU64> {
        self.memory.pages.iter().map(move |page| &page.0[place])
    }

    fn sum(&self, place: usize) -> i64 {
        self.words(place)
            .map(|word| word.load(Ordering::Relaxed) as i64)
            .sum()
    }

    /// Nodes of a list.
    fn length(head: &AtomicU64) -> i64 {
        let (mut next, mut length) = (head.load(Ordering::Relaxed), 0);
        while next != 0 {
            let node: *const Node = std::ptr::with_exposed_provenance(next as usize);
            // SAFETY: every node that was pushed is one of ours.
            next = unsafe { (*node).load(Ordering::Relaxed) };
            length += 1;
        }
        length
    }
}

/// 0 if it was done, 1 if there was nothing to do; nothing else is refused here.
#[inline(always)]
fn missed<T>(outcome: Result<T, Refusal>) -> i64 {
    match outcome {
        Ok(_) => 0,
        Err(Refusal::Empty | Refusal::Full) => 1,
        Err(refusal) => refused(refusal),
    }
}

#[cold]
fn refused(refusal: Refusal) -> i64 {
    panic!("a section was refused for good: {refusal}")
}

// SAFETY (of all sections here): there is a page for every id below the limit and in a slot, places
// and capacities lie within it, sections alone write it while threads run, and
// buffers are as long as is said.
impl<B: By> Body for Sections<B> {
    const NAME: &'static str = B::NAME;

    type Hand<'a> = Hand<'a, B::Index<'a>>;

    fn new(threads: usize) -> Sections<B> {
        let ids = possible_cpus();
        let pages = (0..ids)
            .map(|_| Page([const { AtomicU64::new(0) }; WORDS]))
            .collect();
        let slot = |cpu| {
            if cpu < ids {
                Slot::with_id(cpu)
            } else {
                Slot::new()
            }
        };
        let slots: Vec<Slot> = (0..SLOTS as u32).map(slot).collect();
        let memory = Memory {
            pages,
            limit: AtomicU32::new(ids),
            slots: slots.try_into().expect("so many"),
        };
        let nodes = (0..threads * NODES).map(|_| Node::new(0)).collect();
        Sections {
            memory,
            nodes,
            by: PhantomData,
        }
    }

    fn clear(&self) {
        for place in 0..WORDS {
            self.words(place)
                .for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    // Inlined, so that it stays in registers.
    #[inline(always)]
    fn hand(&self, thread: usize) -> Hand<'_, B::Index<'_>> {
        enter_thread().expect("the suite was available");
        let first = self.memory.pages.as_ptr().cast::<u64>().cast_mut();
        let nodes = &self.nodes[thread * NODES..][..NODES];
        // Those that an earlier run left in a list stay there.
        let spare = std::ptr::null_mut();
        let free = nodes
            .iter()
            .position(|node| node.load(Ordering::Relaxed) == 0);
        let nodes = &nodes[free.unwrap_or(0)..];
        let mut hand = Hand {
            index: B::index(&self.memory),
            first: WordAddress::new(first),
            nodes,
            spare,
            batch: Batch::boxed(),
        };
        (hand.spare, hand.nodes) = another_node(hand.nodes);
        hand
    }

    #[inline(always)]
    fn add(&self, hand: &mut Self::Hand<'_>) -> i64 {
        let (index, word) = (hand.index, hand.first);
        // SAFETY: see above.
        1 - missed(retry(move || unsafe {
            section::increment::<_, SHIFT>(index, word)
        }))
    }

    #[inline(always)]
    fn lock(&self, hand: &mut Self::Hand<'_>) -> i64 {
        let (index, word) = (hand.index, hand.first);
        loop {
            // SAFETY: see above.
            let claimed = retry(move || unsafe { section::claim::<_, SHIFT>(index, word, 1) });
            // The owner may be preempted: then this waits for it, as it must to count.
            let Ok(lock) = claimed else {
                std::thread::yield_now();
                continue;
            };
            // SAFETY: the lock of a page, which is claimed, and the word after it.
            let (lock, guarded) =
                unsafe { (AtomicU64::from_ptr(lock), AtomicU64::from_ptr(lock.add(1))) };
            guarded.store(guarded.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            // Ordering: Release pairs with the claim, which acquires.
            lock.store(0, Ordering::Release);
            return 1;
        }
    }

    #[inline(always)]
    fn list(&self, hand: &mut Self::Hand<'_>) -> i64 {
        let (index, head, node) = (hand.index, hand.first, hand.spare);
        // SAFETY: see above; nodes live as long as the lists, and a node is its link.
        missed(retry(move || unsafe {
            section::list_push::<_, SHIFT, 0>(index, head, node)
        }));
        // SAFETY: as above.
        match retry(move || unsafe { section::list_pop::<_, SHIFT, 0>(index, head) }) {
            Ok(node) => {
                hand.spare = node;
                0
            }
            // The thread was moved to where there is nothing.
            Err(_) => {
                (hand.spare, hand.nodes) = another_node(hand.nodes);
                1
            }
        }
    }

    #[inline(always)]
    fn array(&self, hand: &mut Self::Hand<'_>) -> i64 {
        let (index, len) = (hand.index, hand.first);
        // SAFETY: see above.
        let pushed =
            retry(move || unsafe { section::array_push::<_, SHIFT>(index, len, CAPACITY, 7) });
        // SAFETY: see above.
        let popped = retry(move || unsafe { section::array_pop::<_, SHIFT>(index, len) });
        missed(popped) - missed(pushed)
    }

    #[inline(always)]
    fn copy16(&self, hand: &mut Self::Hand<'_>) -> i64 {
        let (index, len) = (hand.index, hand.first);
        let (item, mut back) = ([7_u64; 2], [0_u64; 2]);
        let (from, to) = (item.as_ptr().cast(), back.as_mut_ptr().cast());
        let room = CAPACITY as usize * 8;
        // SAFETY: see above.
        let pushed =
            retry(move || unsafe { section::copy_push::<_, SHIFT>(index, len, room, from, 16) });
        // SAFETY: see above.
        let popped = retry(move || unsafe { section::copy_pop::<_, SHIFT>(index, len, to, 16) });
        missed(popped) - missed(pushed)
    }

    #[inline(always)]
    fn batch32(&self, hand: &mut Self::Hand<'_>) -> i64 {
        let (index, len, count) = (hand.index, hand.first, BATCH as u32);
        let (from, to) = (hand.batch.0.as_ptr(), hand.batch.1.as_mut_ptr());
        let pushed = retry(move || {
            // SAFETY: see above.
            unsafe { section::array_push_batch::<_, SHIFT>(index, len, CAPACITY, from, count) }
        });
        // SAFETY: see above.
        let popped =
            retry(move || unsafe { section::array_pop_batch::<_, SHIFT>(index, len, to, count) });
        pushed.map_or(0, i64::from) - popped.map_or(0, i64::from)
    }

    fn left(&self, what: Kind) -> i64 {
        match what {
            Kind::Units | Kind::Words => self.sum(0),
            Kind::Guarded => self.sum(1),
            Kind::Nodes => self.words(0).map(Sections::<B>::length).sum(),
            Kind::Bytes => self.sum(0) / 16,
        }
    }
}
