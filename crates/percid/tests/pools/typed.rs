//! Pools of values: each is dropped once, wherever and however.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;

use percid::{Bound, Domain, Pool, PoolError};

/// Counts how many there are.
struct Counted(Arc<AtomicI64>, u64);

impl Counted {
    fn new(living: &Arc<AtomicI64>) -> Counted {
        living.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(living), 0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn living(count: &Arc<AtomicI64>) -> i64 {
    count.load(Ordering::Relaxed)
}

#[test]
fn values_are_used_again_and_dropped_with_the_pool() {
    let count = Arc::default();
    let pool = Pool::new(|| Counted::new(&count));
    for _ in 0..100 {
        let mut value = pool.get();
        value.1 += 1;
    }
    // A preempted thread may find itself on a cid without one.
    assert!(living(&count) <= 100);
    let many: Vec<_> = (0..1000).map(|_| pool.get()).collect();
    assert!(living(&count) >= 1000);
    drop(many);
    let taken = pool.get().detach();
    let before = living(&count);
    drop(taken);
    assert_eq!(living(&count), before - 1);
    drop(pool);
    assert_eq!(living(&count), 0);
}

#[test]
fn handles_are_dropped_on_other_threads() {
    const THREADS: usize = 4;
    let count = Arc::default();
    let pool = Pool::builder(|| Counted::new(&count))
        .reset(|value| value.1 = 0)
        .build();
    let dirty = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (pool, dirty) = (&pool, &dirty);
            scope.spawn(move || {
                for turn in 0..200 {
                    let mut values: Vec<_> = (0..turn % 40).map(|_| pool.get()).collect();
                    for value in &mut values {
                        dirty.fetch_add(value.1, Ordering::Relaxed);
                        value.1 = 1;
                    }
                    if turn % 10 == 0 {
                        scope.spawn(move || drop(values));
                    }
                    if turn % 50 == 0 {
                        let _ = pool.drain();
                    }
                }
            });
        }
    });
    assert_eq!(
        dirty.load(Ordering::Relaxed),
        0,
        "values that were not reset"
    );
    if pool.mode().fence.is_ok() {
        pool.drain().unwrap();
        assert_eq!(living(&count), 0, "all were idle, and are dropped");
        assert!(pool.trim().is_ok());
    }
    drop(pool);
    assert_eq!(living(&count), 0);
}

#[test]
fn statics_and_domains() {
    static NAMES: Pool<String> = Pool::new(String::new);
    NAMES.get().push('x');
    assert!(NAMES.try_get().unwrap().len() <= 1);
    let domain = Domain::builder().bound(Bound::Strict).build().unwrap();
    let count = Arc::default();
    let pool = Pool::in_domain(&domain, || Counted::new(&count)).unwrap();
    for _ in 0..3 {
        drop((0..50).map(|_| pool.get()).collect::<Vec<_>>());
    }
    drop(pool);
    assert_eq!(living(&count), 0);
}

#[test]
fn types_of_no_size_and_of_much_alignment() {
    thread_local! {
        static DROPPED: Cell<u32> = const { Cell::new(0) };
    }
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPPED.set(DROPPED.get() + 1);
        }
    }
    let pool = Pool::new(|| Nothing);
    let some: Vec<_> = (0..100).map(|_| pool.get()).collect();
    drop(some);
    drop(pool);
    assert_eq!(DROPPED.get(), 100);

    #[repr(align(4096))]
    struct Page([u8; 100]);
    let pool = Pool::new(|| Page([7; 100]));
    let pages: Vec<_> = (0..10).map(|_| pool.get()).collect();
    for page in &pages {
        assert!(std::ptr::from_ref::<Page>(page).addr().is_multiple_of(4096));
        assert_eq!(page.0, [7; 100]);
    }
}

#[test]
fn a_bounded_pool_says_so() {
    let count = Arc::default();
    let pool = Pool::builder(|| Counted::new(&count)).max_values(3).build();
    let three = [pool.get(), pool.get(), pool.get()];
    assert_eq!(pool.try_get().err(), Some(PoolError::Full { objects: 3 }));
    assert!(catch_unwind(AssertUnwindSafe(|| pool.get())).is_err());
    drop(three);
    if pool.mode().fence.is_ok() {
        // Also those that another cid got.
        let three: Vec<_> = (0..3).map(|_| pool.get()).collect();
        assert_eq!((three.len(), living(&count)), (3, 3));
    }
}

#[test]
fn nothing_is_kept_where_nothing_may_be() {
    let count = Arc::default();
    let pool = Pool::builder(|| Counted::new(&count))
        .cid_capacity(0)
        .build();
    for _ in 0..10 {
        drop((pool.get(), pool.get()));
        assert_eq!(living(&count), 0);
    }
    assert!(pool.stats().cached == 0 && pool.drain().is_ok());
}

#[test]
fn panics_lose_nothing_and_drop_nothing_twice() {
    let count = Arc::default();
    let fails = Cell::new(true);
    let pool = Pool::builder(|| {
        assert!(!fails.get(), "made in vain");
        Counted::new(&count)
    })
    .max_values(2)
    .reset(|value: &mut Counted| assert_ne!(value.1, 7, "reset in vain"))
    .build();
    for _ in 0..5 {
        assert!(catch_unwind(AssertUnwindSafe(|| pool.get())).is_err());
    }
    fails.set(false);
    // The memory of what was not made is there: two fit.
    let mut two = [pool.get(), pool.get()];
    two[0].1 = 7;
    assert!(catch_unwind(AssertUnwindSafe(|| drop(two))).is_err());
    assert_eq!(living(&count), 1, "half reset, so dropped");
    if pool.mode().fence.is_ok() {
        let two = [pool.get(), pool.get()];
        assert_eq!(living(&count), 2);
        drop(two);
    }
    drop(pool);
    assert_eq!(living(&count), 0);
}

#[test]
fn a_panic_in_drop_does_not_keep_the_others() {
    struct Fails(Rc<Cell<u32>>, bool);
    impl Drop for Fails {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(!self.1, "dropped in vain");
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let pool = Pool::new(|| Fails(Rc::clone(&dropped), false));
    let mut some: Vec<_> = (0..100).map(|_| pool.get()).collect();
    some[50].1 = true;
    drop(some);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool))).is_err());
    assert_eq!(dropped.get(), 100);
}
