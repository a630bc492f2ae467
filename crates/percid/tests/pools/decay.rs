//! What nobody needs goes back to the system by itself, and nothing else does.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::time::Duration;

use percid::{Pool, RawPool, RawPoolBuilder};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();
const BYTES: usize = LAYOUT.size();

/// No time at all: each look finds that it has passed.
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// What a visit gives back at the most, and a chunk that was begun before.
const AT_A_TIME: u64 = (1 << 20) + (256 << 10);

fn pool(decay: Option<Duration>) -> RawPool {
    of(RawPool::builder(LAYOUT).decay_after(decay))
}

fn of(builder: RawPoolBuilder) -> RawPool {
    builder.build().unwrap()
}

fn alloc(pool: &RawPool, count: usize) -> Vec<NonNull<u8>> {
    let objects: Vec<_> = (0..count).map(|_| pool.try_alloc().unwrap()).collect();
    for object in &objects {
        // SAFETY: allocated just now, and so large.
        unsafe { object.as_ptr().write_bytes(1, pool.stride()) };
    }
    objects
}

fn free(pool: &RawPool, objects: &[NonNull<u8>]) {
    for &object in objects {
        // SAFETY: allocated from this pool, once.
        unsafe { pool.free(object) };
    }
}

/// Whether an object's memory reads as new.
fn is_new(object: NonNull<u8>) -> bool {
    // SAFETY: a free object of a pool whose memory stays mapped, and nobody has it.
    unsafe { object.as_ptr().read_volatile() == 0 }
}

#[test]
fn what_nobody_needs_goes_back_bit_by_bit() {
    const COUNT: usize = 20_000;
    let pool = pool(AT_ONCE);
    let (objects, live) = {
        let mut objects = alloc(&pool, COUNT);
        let live = objects.split_off(COUNT - 1);
        (objects, live)
    };
    free(&pool, &objects);
    if pool.mode().fence.is_err() {
        return;
    }
    let mut given = pool.stats().given_back;
    for _ in 0..200 {
        let now = pool.stats().given_back;
        assert!(now - given <= AT_A_TIME, "{} bytes at once", now - given);
        given = now;
    }
    // All but the chunk of the one that is in use.
    assert!(
        given >= (COUNT * BYTES - (256 << 10)) as u64,
        "{given} bytes"
    );
    assert!(is_new(objects[0]) && !is_new(live[0]));
    let stats = pool.stats();
    assert!(stats.objects <= 4096, "{} objects", stats.objects);
    // And it goes on, on the same memory.
    let again = alloc(&pool, COUNT);
    let end = objects.iter().chain(&live).map(|it| it.addr().get()).max();
    // Perhaps some more of the last chunk than before.
    let end = end.unwrap_or(0).next_multiple_of(256 << 10);
    assert!(
        again.iter().all(|object| object.addr().get() < end),
        "memory that is new"
    );
    free(&pool, &again);
    free(&pool, &live);
    for _ in 0..200 {
        let _ = pool.stats();
    }
    assert_eq!(pool.stats().objects, 0);
}

#[test]
fn misses_do_it_as_well() {
    let pool = pool(AT_ONCE);
    let many = alloc(&pool, 20_000);
    free(&pool, &many);
    // Each turn misses, whatever cid it runs on.
    for _ in 0..30 {
        let some = alloc(&pool, 2000);
        free(&pool, &some);
    }
    // Where nothing can be taken from other cids, some chunks stay.
    let given = pool.stats().given_back;
    assert!(given > 0 || pool.mode().fence.is_err(), "{given} bytes");
}

#[test]
fn what_was_used_within_the_time_stays() {
    let times = [Some(Duration::from_secs(3600)), None];
    for (decay, cached) in times.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        let builder = RawPool::builder(LAYOUT).decay_after(decay);
        let pool = of(if cached {
            builder
        } else {
            builder.cid_bytes(0)
        });
        for _ in 0..5 {
            let objects = alloc(&pool, 20_000);
            free(&pool, &objects);
            for _ in 0..20 {
                let _ = pool.stats();
            }
        }
        assert_eq!(pool.stats().given_back, 0);
        if decay.is_some() {
            assert!(pool.decay().is_ok_and(|bytes| bytes == 0) || pool.mode().fence.is_err());
        }
    }
}

#[test]
fn a_timer_of_ones_own_does_it_without_any_use() {
    let pool = pool(None);
    let objects = alloc(&pool, 30_000);
    free(&pool, &objects);
    let given: usize = (0..3).map_while(|_| pool.decay().ok()).sum();
    if pool.mode().fence.is_ok() {
        assert!(given >= 30_000 * BYTES, "{given} bytes");
        let stats = pool.stats();
        assert_eq!((stats.objects, stats.given_back), (0, given as u64));
        assert!(objects.iter().all(|&object| is_new(object)));
    }
}

/// A chunk of large objects goes in parts, and not at all if it is used in between.
#[test]
fn large_chunks_go_in_parts() {
    let layout = Layout::from_size_align(1 << 20, 8).unwrap();
    let pool = of(RawPool::builder(layout).decay_after(AT_ONCE));
    let objects = alloc(&pool, 16);
    free(&pool, &objects);
    for _ in 0..8 {
        let _ = pool.stats();
    }
    assert_eq!(pool.stats().given_back, 0);
    let gone = objects.iter().filter(|&&object| is_new(object)).count();
    assert!((4..16).contains(&gone), "{gone} of 16");
    let one = alloc(&pool, 1);
    for _ in 0..40 {
        let _ = pool.stats();
    }
    assert_eq!(pool.stats().given_back, 0);
    assert!(!is_new(one[0]));
    free(&pool, &one);
    for _ in 0..40 {
        let _ = pool.stats();
    }
    assert_eq!(pool.stats().given_back, 16 << 20);
    assert!(objects.iter().all(|&object| is_new(object)));
}

#[test]
fn checked_pools_and_such_without_caches_give_back_too() {
    let builder = RawPool::builder(LAYOUT).decay_after(AT_ONCE);
    for builder in [builder.checked(true), builder.cid_bytes(0)] {
        let pool = of(builder);
        let objects = alloc(&pool, 20_000);
        free(&pool, &objects);
        for _ in 0..50 {
            let _ = pool.stats();
        }
        assert_eq!(pool.stats().given_back, (20_000 * BYTES) as u64);
        // What was written there before is not taken for misuse.
        let again = alloc(&pool, 20_000);
        free(&pool, &again);
    }
}

/// Memory that is locked is not given back, and not said to be.
#[test]
fn what_the_system_refuses_to_take_is_not_counted() {
    let pool = of(RawPool::builder(LAYOUT).cid_bytes(0).decay_after(None));
    let objects = alloc(&pool, 1000);
    let page = objects[0].as_ptr().cast();
    // SAFETY: locks a page, and does nothing else.
    if unsafe { libc::mlock(page, 1) } != 0 {
        return;
    }
    free(&pool, &objects);
    let given = pool.trim().unwrap_or(0);
    let stats = pool.stats();
    assert_eq!((given, stats.given_back, stats.objects), (0, 0, 1000));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::munlock(page, 1) }, 0);
    assert!(pool.trim().is_ok_and(|bytes| bytes == 1000 * BYTES));
    assert!(objects.iter().all(|&object| is_new(object)));
}

/// Their users may have no page there yet.
#[test]
fn large_objects_are_not_written_to() {
    let layout = Layout::from_size_align(1024, 8).unwrap();
    let pool = of(RawPool::builder(layout).decay_after(None));
    let objects = alloc(&pool, 1000);
    free(&pool, &objects);
    assert!(!objects.iter().any(|&object| is_new(object)));
}

#[test]
fn the_memory_of_dropped_values_goes_back() {
    let pool = Pool::new(|| [1_u64; 64]);
    let values: Vec<_> = (0..5000).map(|_| pool.get()).collect();
    drop(values);
    if pool.mode().fence.is_ok() {
        assert!(pool.drain().unwrap() > 0);
        pool.trim().unwrap();
        assert!(pool.stats().given_back >= 5000 * 512);
    }
}
