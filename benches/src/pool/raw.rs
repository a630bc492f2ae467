//! Memory of 64 bytes: allocated and freed.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use percid::RawPool;

use crate::Error;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

pub(super) const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// Where memory comes from.
pub(super) trait Memory: Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// 64 bytes; null if there are none.
    fn alloc() -> *mut u8;

    /// # Safety
    ///
    /// Allocated so, perhaps on another thread, and not used any more.
    unsafe fn free(memory: *mut u8);
}

pub(super) struct Percid;

static POOL: RawPool = RawPool::new(LAYOUT);

impl Memory for Percid {
    const NAME: &'static str = "percid";

    #[inline(always)]
    fn alloc() -> *mut u8 {
        POOL.try_alloc()
            .map_or(std::ptr::null_mut(), |memory| memory.as_ptr())
    }

    #[inline(always)]
    unsafe fn free(memory: *mut u8) {
        if let Some(memory) = std::ptr::NonNull::new(memory) {
            // SAFETY: the caller's contract.
            unsafe { POOL.free(memory) };
        }
    }
}

/// What a thread keeps for itself; the heap has the rest.
pub(super) struct ThreadLocal;

/// What it keeps at the most.
const KEPT: usize = 1024;

thread_local! {
    static FREE: RefCell<Vec<*mut u8>> = RefCell::new(Vec::with_capacity(KEPT));
}

impl Memory for ThreadLocal {
    const NAME: &'static str = "thread_local";

    #[inline(always)]
    fn alloc() -> *mut u8 {
        FREE.with(|free| free.borrow_mut().pop())
            .unwrap_or_else(Malloc::alloc)
    }

    #[inline(always)]
    unsafe fn free(memory: *mut u8) {
        FREE.with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(memory);
            } else {
                // SAFETY: the caller's contract; it came from there.
                unsafe { Malloc::free(memory) };
            }
        });
    }
}

pub(super) struct Malloc;

impl Memory for Malloc {
    const NAME: &'static str = "malloc";

    #[inline(always)]
    fn alloc() -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { libc::malloc(LAYOUT.size()).cast() }
    }

    #[inline(always)]
    unsafe fn free(memory: *mut u8) {
        // SAFETY: the caller's contract.
        unsafe { libc::free(memory.cast()) };
    }
}

/// Allocators of other crates.
macro_rules! allocators {
    ($($name:ident: $text:literal, $allocator:expr;)*) => {$(
        pub(super) struct $name;

        impl Memory for $name {
            const NAME: &'static str = $text;

            #[inline(always)]
            fn alloc() -> *mut u8 {
                // SAFETY: the layout has a size.
                unsafe { $allocator.alloc(LAYOUT) }
            }

            #[inline(always)]
            unsafe fn free(memory: *mut u8) {
                // SAFETY: the caller's contract.
                unsafe { $allocator.dealloc(memory, LAYOUT) };
            }
        }
    )*};
}

allocators! {
    MiMalloc: "mimalloc", mimalloc::MiMalloc;
    SnMalloc: "snmalloc", snmalloc_rs::SnMalloc;
}

/// Objects of `raw64`.
const MANY: usize = 64;

/// One after the other.
pub(super) const fn pairs<M: Memory>() -> Timed {
    Timed {
        name: M::NAME,
        make: |_| Ok(Box::new(Pairs::<M, 1>::new())),
    }
}

/// Many, and then all back.
pub(super) const fn many<M: Memory>() -> Timed {
    Timed {
        name: M::NAME,
        make: |_| Ok(Box::new(Pairs::<M, MANY>::new())),
    }
}

struct Pairs<M, const DEPTH: usize> {
    done: AtomicU64,
    memory: std::marker::PhantomData<fn() -> M>,
}

impl<M: Memory, const DEPTH: usize> Pairs<M, DEPTH> {
    fn new() -> Self {
        Pairs {
            done: AtomicU64::new(0),
            memory: std::marker::PhantomData,
        }
    }
}

impl<M: Memory, const DEPTH: usize> Workload for Pairs<M, DEPTH> {
    fn begin(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    fn run(&self, _: usize, rounds: u64) {
        let mut held = [std::ptr::null_mut(); DEPTH];
        let mut done = 0;
        while done < rounds * OPERATIONS {
            let count = DEPTH.min((rounds * OPERATIONS - done) as usize);
            for place in &mut held[..count] {
                *place = black_box(M::alloc());
            }
            for &memory in &held[..count] {
                // SAFETY: allocated just now.
                unsafe { M::free(black_box(memory)) };
            }
            done += count as u64;
        }
        self.done.fetch_add(done, Ordering::Relaxed);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        all_differ::<M>()?;
        crate::error::expect(M::NAME, self.done.load(Ordering::Relaxed), done.operations)
    }
}

/// Whether as much as this thread has at a time is memory of its own.
pub(super) fn all_differ<M: Memory>() -> Result<(), Error> {
    const COUNT: usize = 2000;
    let all: Vec<*mut u8> = (0..COUNT).map(|_| M::alloc()).collect();
    for (name, &memory) in all.iter().enumerate() {
        if !memory.is_null() {
            // SAFETY: 64 bytes, allocated just now.
            unsafe { memory.cast::<u64>().write(name as u64) };
        }
    }
    let mut right = HashSet::new();
    for (name, &memory) in all.iter().enumerate() {
        // SAFETY: as above.
        if !memory.is_null() && unsafe { memory.cast::<u64>().read() } == name as u64 {
            right.insert(memory);
        }
    }
    for memory in all {
        // SAFETY: as above.
        unsafe { M::free(memory) };
    }
    crate::error::expect(M::NAME, right.len() as u64, COUNT as u64)
}
