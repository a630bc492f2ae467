//! What a thread does with variables and vectors that it keeps on its stack: the
//! least that any program pays, and no program that shares code between threads can
//! have.

use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};

use super::work::{BATCH, Batch, Body, Kind};

pub(super) struct Stack {
    brought: AtomicI64,
}

/// A thread's own.
pub(super) struct Own {
    units: u64,
    held: bool,
    nodes: Vec<*mut u8>,
    words: Vec<u64>,
    items: Vec<[u64; 2]>,
    batch: Box<Batch>,
}

impl Body for Stack {
    const NAME: &'static str = "stack";

    type Hand<'a> = Own;

    fn new(_: usize) -> Stack {
        Stack {
            brought: AtomicI64::new(0),
        }
    }

    fn clear(&self) {
        self.brought.store(0, Ordering::Relaxed);
    }

    fn hand(&self, _: usize) -> Own {
        let mut own = Own {
            units: 0,
            held: false,
            nodes: Vec::with_capacity(64),
            words: Vec::with_capacity(64),
            items: Vec::with_capacity(64),
            batch: Batch::boxed(),
        };
        // Seen by somebody else, so that the compiler keeps it in memory.
        black_box(&mut own);
        own
    }

    #[inline(always)]
    fn add(&self, own: &mut Own) -> i64 {
        own.units += 1;
        1
    }

    #[inline(always)]
    fn lock(&self, own: &mut Own) -> i64 {
        assert!(!own.held);
        own.held = true;
        own.units += 1;
        own.held = false;
        1
    }

    #[inline(always)]
    fn list(&self, own: &mut Own) -> i64 {
        own.nodes.push(black_box(std::ptr::dangling_mut()));
        1 - i64::from(black_box(own.nodes.pop()).is_some())
    }

    #[inline(always)]
    fn array(&self, own: &mut Own) -> i64 {
        own.words.push(black_box(7));
        1 - i64::from(black_box(own.words.pop()).is_some())
    }

    #[inline(always)]
    fn copy16(&self, own: &mut Own) -> i64 {
        own.items.push(black_box([7; 2]));
        1 - i64::from(black_box(own.items.pop()).is_some())
    }

    #[inline(always)]
    fn batch32(&self, own: &mut Own) -> i64 {
        let Batch(words, back) = &mut **black_box(&mut own.batch);
        own.words.extend_from_slice(words);
        let from = own.words.len() - BATCH;
        back.copy_from_slice(&own.words[from..]);
        own.words.truncate(from);
        0
    }

    fn bring(&self, own: Own, what: Kind) {
        let left = match what {
            Kind::Units | Kind::Guarded => own.units as usize,
            Kind::Nodes => own.nodes.len(),
            Kind::Words => own.words.len(),
            Kind::Bytes => own.items.len(),
        };
        self.brought.fetch_add(left as i64, Ordering::Relaxed);
    }

    fn left(&self, _: Kind) -> i64 {
        self.brought.load(Ordering::Relaxed)
    }
}
