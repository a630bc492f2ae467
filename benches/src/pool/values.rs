//! Values of 64 bytes: taken from a pool and given back.

use std::cell::RefCell;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use percid::Pool;

use crate::Error;
use crate::suite::{Done, OPERATIONS, Timed, Workload};

/// What is pooled.
#[derive(Clone, Default)]
pub(super) struct Value([u64; 8]);

impl Value {
    /// What is done with one: it counts how often it was used.
    #[inline(always)]
    fn touch(&mut self) {
        self.0[0] = black_box(self.0[0]).wrapping_add(1);
    }
}

impl sharded_slab::Clear for Value {
    fn clear(&mut self) {}
}

/// A pool.
pub(super) trait Values: Sync + Sized + 'static {
    /// As in records.
    const NAME: &'static str;

    fn new() -> Self;

    /// Takes a value, touches it and gives it back.
    fn pair(&self);
}

/// Values that a pool keeps at the start, where it is told.
const READY: usize = 64;

pub(super) struct Percid(Pool<Value>);

impl Values for Percid {
    const NAME: &'static str = "percid";

    fn new() -> Percid {
        Percid(Pool::new(Value::default))
    }

    #[inline(always)]
    fn pair(&self) {
        self.0.get().touch();
    }
}

pub(super) struct ThreadLocal;

thread_local! {
    #[allow(clippy::vec_box, reason = "a pool of boxes")]
    static VALUES: RefCell<Vec<Box<Value>>> = RefCell::new(Vec::with_capacity(READY));
}

impl Values for ThreadLocal {
    const NAME: &'static str = "thread_local";

    fn new() -> ThreadLocal {
        ThreadLocal
    }

    #[inline(always)]
    fn pair(&self) {
        let value = VALUES.with(|values| values.borrow_mut().pop());
        let mut value = value.unwrap_or_default();
        value.touch();
        VALUES.with(|values| values.borrow_mut().push(value));
    }
}

pub(super) struct ShardedSlab(sharded_slab::Pool<Value>);

impl Values for ShardedSlab {
    const NAME: &'static str = "sharded-slab";

    fn new() -> ShardedSlab {
        ShardedSlab(sharded_slab::Pool::new())
    }

    #[inline(always)]
    fn pair(&self) {
        if let Some(mut value) = self.0.create() {
            value.touch();
            let key = value.key();
            drop(value);
            self.0.clear(key);
        }
    }
}

/// How `opool` makes values.
pub(super) struct Make;

impl opool::PoolAllocator<Value> for Make {
    fn allocate(&self) -> Value {
        Value::default()
    }
}

pub(super) struct OPool(opool::Pool<Make, Value>);

impl Values for OPool {
    const NAME: &'static str = "opool";

    fn new() -> OPool {
        OPool(opool::Pool::new(READY, Make))
    }

    #[inline(always)]
    fn pair(&self) {
        self.0.get().touch();
    }
}

pub(super) struct ObjectPool(object_pool::Pool<Value>);

impl Values for ObjectPool {
    const NAME: &'static str = "object-pool";

    fn new() -> ObjectPool {
        ObjectPool(object_pool::Pool::new(READY, Value::default))
    }

    #[inline(always)]
    fn pair(&self) {
        self.0.pull(Value::default).touch();
    }
}

pub(super) struct LockFree(lockfree_object_pool::LinearObjectPool<Value>);

impl Values for LockFree {
    const NAME: &'static str = "lockfree-object-pool";

    fn new() -> LockFree {
        LockFree(lockfree_object_pool::LinearObjectPool::new(
            Value::default,
            |_| {},
        ))
    }

    #[inline(always)]
    fn pair(&self) {
        self.0.pull().touch();
    }
}

/// Queues of boxes, used as pools.
macro_rules! queues {
    ($($name:ident: $text:literal, $new:expr;)*) => {$(
        pub(super) struct $name(crossbeam_queue::$name<Box<Value>>);

        impl Values for $name {
            const NAME: &'static str = $text;

            fn new() -> $name {
                $name($new)
            }

            #[inline(always)]
            fn pair(&self) {
                let mut value = self.0.pop().unwrap_or_default();
                value.touch();
                let _ = self.0.push(value);
            }
        }
    )*};
}

queues! {
    ArrayQueue: "array-queue", crossbeam_queue::ArrayQueue::new(READY);
    SegQueue: "seg-queue", crossbeam_queue::SegQueue::new();
}

/// The implementation by a pool.
pub(super) const fn of<V: Values>() -> Timed {
    Timed {
        name: V::NAME,
        make: |_| {
            Ok(Box::new(Pairs::<V> {
                pool: V::new(),
                done: AtomicU64::new(0),
                values: PhantomData,
            }))
        },
    }
}

struct Pairs<V> {
    pool: V,
    done: AtomicU64,
    values: PhantomData<V>,
}

impl<V: Values> Workload for Pairs<V> {
    fn begin(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    fn run(&self, _: usize, rounds: u64) {
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                self.pool.pair();
            }
        }
        self.done.fetch_add(rounds * OPERATIONS, Ordering::Relaxed);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        crate::error::expect(V::NAME, self.done.load(Ordering::Relaxed), done.operations)
    }
}
