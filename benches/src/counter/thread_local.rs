//! A cell of the thread's own: the floor for adding.
//!
//! Nobody else can read a plain cell, so where a sum is asked for, the cell is an
//! atomic that its thread alone stores to, in a registry of all threads.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;

use super::add::Adding;
use super::memory::{COUNTERS, Hoarding};
use super::sum::Summing;
use crate::Error;

const NAME: &str = "thread_local";

/// Eight thread-locals and one function to choose from them.
macro_rules! eight {
    ($($which:literal: $name:ident),*) => {
        thread_local! {
            $(static $name: Cell<u64> = const { Cell::new(0) };)*
        }

        #[inline(always)]
        fn with<const WHICH: usize, R>(use_it: impl FnOnce(&Cell<u64>) -> R) -> R {
            match WHICH {
                $($which => $name.with(use_it),)*
                _ => unreachable!("one of eight"),
            }
        }

        /// Uses all of them, one after the other.
        fn with_each(mut use_it: impl FnMut(usize, &Cell<u64>)) {
            $($name.with(|cell| use_it($which, cell));)*
        }
    };
}

eight!(0: ZERO, 1: ONE, 2: TWO, 3: THREE, 4: FOUR, 5: FIVE, 6: SIX, 7: SEVEN);

/// What threads have brought.
#[derive(Default)]
pub(crate) struct ThreadLocal {
    brought: [AtomicU64; 8],
}

impl Adding for ThreadLocal {
    const NAME: &'static str = NAME;

    type Way<'a> = ();

    fn new(_: usize) -> Result<ThreadLocal, Error> {
        Ok(ThreadLocal::default())
    }

    fn reset(&self) {
        let brought = self.brought.iter();
        brought.for_each(|one| one.store(0, Ordering::Relaxed));
    }

    fn way(&self, _: usize) {
        with_each(|_, cell| _ = black_box(std::ptr::from_ref(cell)));
    }

    #[inline(always)]
    fn add<const WHICH: usize>((): ()) {
        with::<WHICH, _>(|cell| cell.set(cell.get().wrapping_add(1)));
    }

    fn bring(&self, _: usize) {
        with_each(|which, cell| _ = self.brought[which].fetch_add(cell.take(), Ordering::Relaxed));
    }

    fn total(&self, which: usize) -> u64 {
        self.brought[which].load(Ordering::Relaxed)
    }
}

/// The cells of all threads that live, and what the others had counted.
struct Registry {
    cells: Vec<Arc<CachePadded<AtomicU64>>>,
    departed: u64,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    cells: Vec::new(),
    departed: 0,
});

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's cell, in the registry for as long as the thread lives.
struct Registered(Arc<CachePadded<AtomicU64>>);

impl Registered {
    fn new() -> Registered {
        let cell = Arc::<CachePadded<AtomicU64>>::default();
        registry().cells.push(Arc::clone(&cell));
        Registered(cell)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut registry = registry();
        registry.cells.retain(|cell| !Arc::ptr_eq(cell, &self.0));
        registry.departed += self.0.load(Ordering::Relaxed);
    }
}

thread_local! {
    static REGISTERED: Registered = Registered::new();
}

/// The registry counts for the whole process: this is what it had before.
#[derive(Default)]
pub(super) struct Registering {
    before: AtomicU64,
}

impl Registering {
    fn total() -> u64 {
        let registry = registry();
        let cells = registry.cells.iter();
        registry.departed + cells.map(|cell| cell.load(Ordering::Relaxed)).sum::<u64>()
    }
}

impl Summing for Registering {
    const NAME: &'static str = NAME;

    fn new(_: usize) -> Result<Registering, Error> {
        Ok(Registering::default())
    }

    fn reset(&self) {
        self.before.store(Registering::total(), Ordering::Relaxed);
    }

    fn add(&self, _: usize) {
        // Ordering: Relaxed. Only this thread stores, so a load and a store do.
        REGISTERED.with(|mine| {
            let count = mine.0.load(Ordering::Relaxed);
            mine.0.store(count + 1, Ordering::Relaxed);
        });
    }

    fn sum(&self) -> u64 {
        Registering::total() - self.before.load(Ordering::Relaxed)
    }
}

pub(super) struct Hoard<const COUNT: usize = COUNTERS>;

impl<const COUNT: usize> Hoarding for Hoard<COUNT> {
    const NAME: &'static str = NAME;

    const COUNT: usize = COUNT;

    type Own = Vec<Cell<u64>>;

    fn new() -> Result<Self, Error> {
        Ok(Hoard)
    }

    fn own(&self) -> Vec<Cell<u64>> {
        vec![Cell::new(0); COUNT]
    }

    fn add_to_all(&self, own: &Vec<Cell<u64>>) {
        for cell in own {
            cell.set(cell.get() + 1);
        }
    }

    fn total(&self) -> u64 {
        0
    }

    fn total_of(&self, own: &Vec<Cell<u64>>) -> u64 {
        own.iter().map(Cell::get).sum()
    }
}
