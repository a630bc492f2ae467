//! Many threads, and every object in one place at any time.

use std::alloc::Layout;
use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use percid::{Bound, Domain, PoolError, RawPool, RemoteError, Scope};

const THREADS: usize = 4;

/// Far more than threads have in hand and cids may cache.
const OBJECTS: u64 = 1 << 16;

/// What an object holds while somebody has it.
#[repr(C)]
struct Held {
    owner: AtomicU64,
    check: AtomicU64,
}

const LAYOUT: Layout = Layout::new::<Held>();

/// An object of a pool, as its user sees it, and what is written in it.
struct Object(NonNull<Held>, u64);

// SAFETY: an object is its holder's, on whatever thread.
unsafe impl Send for Object {}

/// Takes an object and writes a name into it that nobody else has.
fn take<S: Scope>(pool: &RawPool<S>, name: u64) -> Object {
    // While another thread trims, all that is free may be in its hands.
    let object = (0..100_000).find_map(|_| {
        let object = pool.try_alloc();
        if object.is_err() {
            thread::yield_now();
        }
        object.ok()
    });
    let object = object.expect("memory").cast::<Held>();
    // SAFETY: this thread's, and large enough; atomics, for a bug would have two write.
    let held = unsafe { object.as_ref() };
    held.owner.store(name, Ordering::Relaxed);
    held.check.store(!name, Ordering::Relaxed);
    Object(object, name)
}

/// Gives it back; whether somebody else has written to it.
fn give<S: Scope>(pool: &RawPool<S>, Object(object, name): Object) -> bool {
    // SAFETY: this thread's.
    let held = unsafe { object.as_ref() };
    let found = [&held.owner, &held.check].map(|word| word.load(Ordering::Relaxed));
    // SAFETY: taken from this pool, and given back once.
    unsafe { pool.free(object.cast()) };
    found != [name, !name]
}

/// Says that a thread has ended, also by a panic.
struct Ends<'a>(&'a AtomicU64);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Threads take and give back, some of it for each other, while one takes from all of them.
fn storm<S: Scope>(pool: &RawPool<S>, turns: u64)
where
    RawPool<S>: Sync,
{
    let (wrong, running) = (AtomicU64::new(0), AtomicU64::new(THREADS as u64));
    let passed: [Mutex<Vec<Object>>; THREADS] = std::array::from_fn(|_| Mutex::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (wrong, running, passed) = (&wrong, &running, &passed);
            scope.spawn(move || {
                let _ends = Ends(running);
                let mut held = Vec::new();
                let give = |object| {
                    wrong.fetch_add(u64::from(give(pool, object)), Ordering::Relaxed);
                };
                for turn in 0..turns {
                    held.push(take(pool, (thread as u64) << 32 | turn));
                    match turn % 7 {
                        0..3 => {}
                        3 => passed[(thread + 1) % THREADS]
                            .lock()
                            .unwrap()
                            .push(held.swap_remove(0)),
                        _ => give(held.swap_remove(turn as usize % held.len())),
                    }
                    if turn % 1000 == 999 {
                        held.drain(..).for_each(give);
                    }
                    if turn % 100 == 0 {
                        let mine = std::mem::take(&mut *passed[thread].lock().unwrap());
                        mine.into_iter().for_each(give);
                    }
                }
                held.drain(..).for_each(give);
            });
        }
        let mut turn = 0;
        while running.load(Ordering::Relaxed) > 0 {
            turn += 1;
            let outcome = match turn % 7 {
                0 => pool.trim(),
                1 => pool.drain_cid(turn % 3),
                2 => pool.stop(turn % 4),
                3 => pool.start((turn + 3) % 4).map(|()| 0),
                4 => pool.drain_idle(Duration::ZERO),
                5 => pool.decay(),
                _ => pool.drain(),
            };
            match outcome {
                Ok(_) | Err(RemoteError::Busy | RemoteError::NoFence(_)) => {}
                // A panic would leave threads behind that the scope waits for: they end.
                Err(_) => wrong.store(u64::MAX, Ordering::Relaxed),
            }
            thread::yield_now();
        }
    });
    for passed in passed {
        for object in passed.into_inner().unwrap() {
            wrong.fetch_add(u64::from(give(pool, object)), Ordering::Relaxed);
        }
    }
    assert_eq!(
        wrong.load(Ordering::Relaxed),
        0,
        "objects that two had at a time"
    );
}

/// Takes all that there may be: each once, and then no more.
fn all_are_there<S: Scope>(pool: &RawPool<S>) {
    let mut all = HashSet::new();
    let refused = loop {
        match pool.try_alloc() {
            Ok(object) => assert!(all.insert(object), "{object:p} twice"),
            Err(why) => break why,
        }
    };
    assert_eq!(refused, PoolError::Full { objects: OBJECTS });
    // Without a fence those in other cids' magazines cannot be had.
    if pool.mode().fence.is_ok() {
        assert_eq!(all.len() as u64, OBJECTS, "some are lost");
    }
    for object in all {
        // SAFETY: taken just now.
        unsafe { pool.free(object) };
    }
}

#[test]
fn no_object_twice_and_none_lost() {
    let pool = RawPool::builder(LAYOUT)
        .max_objects(OBJECTS)
        .build()
        .unwrap();
    storm(&pool, 20_000);
    all_are_there(&pool);
    storm(&pool, 5_000);
    all_are_there(&pool);
}

/// Memory is given back all the time: never that of an object which somebody has, for what is
/// written in it would be gone.
#[test]
fn so_it_is_while_memory_is_given_back() {
    let builder = RawPool::builder(LAYOUT)
        .max_objects(OBJECTS)
        .decay_after(Some(Duration::ZERO));
    for builder in [builder, builder.cid_bytes(256), builder.cid_bytes(0)] {
        let pool = builder.build().unwrap();
        storm(&pool, 600);
        all_are_there(&pool);
        storm(&pool, 500);
        if pool.mode().fence.is_ok() {
            pool.trim().unwrap();
            assert!(pool.stats().given_back > 0);
        }
    }
}

#[test]
fn a_pool_in_a_domain_is_the_same() {
    let domain = Domain::builder().bound(Bound::Strict).build().unwrap();
    let builder = RawPool::builder(LAYOUT).max_objects(OBJECTS);
    let pool = builder.in_domain(&domain).unwrap();
    storm(&pool, 10_000);
    all_are_there(&pool);
}

#[test]
fn without_caches_it_is_the_same() {
    let builder = RawPool::builder(LAYOUT).max_objects(OBJECTS).cid_bytes(0);
    let pool = builder.build().unwrap();
    storm(&pool, 5_000);
    all_are_there(&pool);
    assert_eq!(pool.stats().cached, 0);
}

#[test]
fn checked_pools_find_nothing_wrong() {
    let builder = RawPool::builder(LAYOUT).max_objects(OBJECTS).checked(true);
    let pool = builder.build().unwrap();
    storm(&pool, 3_000);
    all_are_there(&pool);
}

#[test]
fn batches_are_the_same_objects() {
    let pool = RawPool::builder(LAYOUT)
        .max_objects(OBJECTS)
        .build()
        .unwrap();
    let mut rooms = vec![[std::ptr::null_mut(); 77]; 20];
    let mut seen = HashSet::new();
    for _ in 0..3 {
        seen.clear();
        for room in &mut rooms {
            assert_eq!(pool.alloc_batch(room), room.len());
            assert!(room.iter().all(|&object| seen.insert(object)));
        }
        for room in &rooms {
            // SAFETY: allocated just now.
            unsafe { pool.free_batch(room) };
        }
    }
    let mut all = vec![std::ptr::null_mut(); OBJECTS as usize + 1];
    let found = pool.alloc_batch(&mut all);
    if pool.mode().fence.is_ok() {
        assert_eq!(found as u64, OBJECTS);
    }
    // SAFETY: allocated just now.
    unsafe { pool.free_batch(&all[..found]) };
}
