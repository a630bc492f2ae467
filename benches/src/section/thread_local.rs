//! What a thread does alone: cells and vectors in `thread_local!`.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};

use super::work::{BATCH, Batch, Body, Kind};

/// A thread's own. Made at first use: that is faster than `const` here, since a
/// vector has a destructor.
struct Own {
    units: Cell<u64>,
    held: Cell<bool>,
    nodes: RefCell<Vec<*mut u8>>,
    words: RefCell<Vec<u64>>,
    items: RefCell<Vec<[u64; 2]>>,
}

thread_local! {
    static OWN: Own = Own {
        units: Cell::new(0),
        held: Cell::new(false),
        nodes: RefCell::new(Vec::with_capacity(64)),
        words: RefCell::new(Vec::with_capacity(64)),
        items: RefCell::new(Vec::with_capacity(64)),
    };
    /// By itself, for a cell that needs no destructor is faster.
    static UNITS: Cell<u64> = const { Cell::new(0) };
}

pub(super) struct ThreadLocal {
    brought: AtomicI64,
}

impl Body for ThreadLocal {
    const NAME: &'static str = "thread_local";

    type Hand<'a> = Box<Batch>;

    fn new(_: usize) -> ThreadLocal {
        ThreadLocal {
            brought: AtomicI64::new(0),
        }
    }

    fn clear(&self) {
        self.brought.store(0, Ordering::Relaxed);
    }

    /// Leaves nothing of an earlier run.
    fn hand(&self, _: usize) -> Box<Batch> {
        UNITS.set(0);
        OWN.with(|own| {
            own.units.set(0);
            own.nodes.borrow_mut().clear();
            own.words.borrow_mut().clear();
            own.items.borrow_mut().clear();
        });
        Batch::boxed()
    }

    #[inline(always)]
    fn add(&self, _: &mut Box<Batch>) -> i64 {
        UNITS.set(UNITS.get() + 1);
        1
    }

    #[inline(always)]
    fn lock(&self, _: &mut Box<Batch>) -> i64 {
        OWN.with(|own| {
            assert!(!own.held.replace(true));
            own.units.set(own.units.get() + 1);
            own.held.set(false);
        });
        1
    }

    #[inline(always)]
    fn list(&self, _: &mut Box<Batch>) -> i64 {
        let node = black_box(std::ptr::dangling_mut());
        OWN.with(|own| own.nodes.borrow_mut().push(node));
        let popped = OWN.with(|own| own.nodes.borrow_mut().pop());
        1 - i64::from(black_box(popped).is_some())
    }

    #[inline(always)]
    fn array(&self, _: &mut Box<Batch>) -> i64 {
        OWN.with(|own| own.words.borrow_mut().push(black_box(7)));
        let popped = OWN.with(|own| own.words.borrow_mut().pop());
        1 - i64::from(black_box(popped).is_some())
    }

    #[inline(always)]
    fn copy16(&self, _: &mut Box<Batch>) -> i64 {
        OWN.with(|own| own.items.borrow_mut().push(black_box([7; 2])));
        let popped = OWN.with(|own| own.items.borrow_mut().pop());
        1 - i64::from(black_box(popped).is_some())
    }

    #[inline(always)]
    fn batch32(&self, batch: &mut Box<Batch>) -> i64 {
        let Batch(words, back) = &mut **black_box(batch);
        OWN.with(|own| own.words.borrow_mut().extend_from_slice(words));
        OWN.with(|own| {
            let mut own = own.words.borrow_mut();
            let from = own.len() - BATCH;
            back.copy_from_slice(&own[from..]);
            own.truncate(from);
        });
        0
    }

    fn bring(&self, _: Box<Batch>, what: Kind) {
        let left = OWN.with(|own| match what {
            Kind::Units => UNITS.get() as usize,
            Kind::Guarded => own.units.get() as usize,
            Kind::Nodes => own.nodes.borrow().len(),
            Kind::Words => own.words.borrow().len(),
            Kind::Bytes => own.items.borrow().len(),
        });
        self.brought.fetch_add(left as i64, Ordering::Relaxed);
    }

    fn left(&self, _: Kind) -> i64 {
        self.brought.load(Ordering::Relaxed)
    }
}
