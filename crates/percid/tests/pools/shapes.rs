//! Sizes, alignments, capacities and caps.

use std::alloc::Layout;
use std::collections::{BTreeMap, HashSet};
use std::ptr::NonNull;

use percid::{PoolError, RawPool};

fn alloc(pool: &RawPool, count: usize) -> Vec<NonNull<u8>> {
    (0..count).map(|_| pool.try_alloc().unwrap()).collect()
}

fn free(pool: &RawPool, objects: Vec<NonNull<u8>>) {
    for object in objects {
        // SAFETY: allocated from this pool, once.
        unsafe { pool.free(object) };
    }
}

#[test]
fn objects_are_aligned_and_do_not_overlap() {
    for (size, align) in [
        (0, 1),
        (1, 1),
        (24, 8),
        (100, 4),
        (64, 64),
        (1, 4096),
        (5000, 16),
    ] {
        let pool = RawPool::new(Layout::from_size_align(size, align).unwrap());
        let objects = alloc(&pool, 300);
        let mut places: Vec<usize> = objects.iter().map(|object| object.addr().get()).collect();
        places.sort_unstable();
        assert!(places.iter().all(|place| place.is_multiple_of(align)));
        assert!(
            places.windows(2).all(|two| two[1] - two[0] >= size.max(1)),
            "{size}, {align}"
        );
        for object in &objects {
            // SAFETY: allocated, and so large.
            unsafe { object.as_ptr().write_bytes(7, size) };
        }
        free(&pool, objects);
    }
}

#[test]
fn over_aligned_and_huge_objects() {
    let pool = RawPool::new(Layout::from_size_align(100, 2 << 20).unwrap());
    let objects = alloc(&pool, 3);
    assert!(
        objects
            .iter()
            .all(|it| it.addr().get().is_multiple_of(2 << 20))
    );
    free(&pool, objects);

    let pool = RawPool::new(Layout::from_size_align(3 << 20, 1).unwrap());
    let objects = alloc(&pool, 20);
    for object in &objects {
        // SAFETY: allocated, and so large.
        unsafe { object.as_ptr().add((3 << 20) - 1).write(7) };
    }
    free(&pool, objects);
    assert_eq!(
        pool.stats().cached,
        0,
        "objects of this size are not cached per cid"
    );

    for (size, align) in [(1, 4 << 20), (1 << 40, 1)] {
        let layout = Layout::from_size_align(size, align).unwrap();
        let refused = RawPool::builder(layout).build();
        assert_eq!(
            refused.err(),
            Some(PoolError::Unsuitable),
            "{size}, {align}"
        );
    }
}

/// Where objects begin within a line, as `bpftrace` counts `retval & 0x3f` of the kernel's
/// allocations.
fn starts(size: usize, aligned: bool) -> BTreeMap<usize, usize> {
    let layout = Layout::from_size_align(size, 8).unwrap();
    let pool = RawPool::builder(layout)
        .cache_aligned(aligned)
        .build()
        .unwrap();
    let objects = alloc(&pool, 1024);
    let mut starts = BTreeMap::new();
    for object in &objects {
        *starts.entry(object.addr().get() & 0x3f).or_default() += 1;
    }
    free(&pool, objects);
    starts
}

#[test]
fn lines_are_shared_or_not_as_asked() {
    // 144 bytes roam in steps of 16, as the kernel's vmas did without the flag.
    let roaming: Vec<usize> = starts(144, false).into_keys().collect();
    assert_eq!(roaming, [0, 16, 32, 48]);
    assert_eq!(starts(144, true), BTreeMap::from([(0, 1024)]));
    assert_eq!(starts(40, true), BTreeMap::from([(0, 1024)]));
    // What fits twice and more into a line shares it, and lies across none.
    let halves: Vec<usize> = starts(24, true).into_keys().collect();
    assert_eq!(halves, [0, 32]);
    let eighths = starts(8, true);
    assert_eq!(eighths.len(), 8);
    assert_eq!(starts(24, false).len(), 8);
}

#[test]
fn a_cap_is_reached_and_left_again() {
    let builder = RawPool::builder(Layout::new::<u64>()).max_objects(100);
    let pool = builder.build().unwrap();
    let mut objects = alloc(&pool, 100);
    assert_eq!(pool.try_alloc(), Err(PoolError::Full { objects: 100 }));
    free(&pool, vec![objects.pop().unwrap()]);
    objects.push(pool.try_alloc().unwrap());
    assert_eq!(pool.try_alloc(), Err(PoolError::Full { objects: 100 }));
    free(&pool, objects);
    // Those that another cid holds are had, too.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let objects = alloc(&pool, 50);
            free(&pool, objects);
        });
    });
    if pool.mode().fence.is_ok() {
        let objects = alloc(&pool, 100);
        let distinct: HashSet<_> = objects.iter().collect();
        assert_eq!(distinct.len(), 100);
        free(&pool, objects);
    }
    let none = RawPool::builder(Layout::new::<u64>())
        .max_objects(0)
        .build()
        .unwrap();
    assert_eq!(none.try_alloc(), Err(PoolError::Full { objects: 0 }));
}

#[test]
fn an_idle_pool_gives_its_memory_back() {
    let pool = RawPool::builder(Layout::new::<[u64; 8]>()).decay_after(None);
    gives_its_memory_back(&pool.build().unwrap());
}

#[test]
fn so_does_a_checked_one() {
    let pool = RawPool::builder(Layout::new::<[u64; 8]>()).checked(true);
    let pool = pool.decay_after(None).build().unwrap();
    gives_its_memory_back(&pool);
    // What was given back is nobody's object until it is had again.
    let objects = alloc(&pool, 5000);
    let one = objects[17];
    free(&pool, objects);
    assert!(pool.trim().is_ok_and(|bytes| bytes > 0) || pool.mode().fence.is_err());
    let again = std::panic::AssertUnwindSafe(|| free(&pool, vec![one]));
    assert!(std::panic::catch_unwind(again).is_err());
}

fn gives_its_memory_back(pool: &RawPool) {
    let mut objects = alloc(pool, 100_000);
    for object in &objects {
        // SAFETY: allocated, 64 bytes.
        unsafe { object.as_ptr().write_bytes(1, 64) };
    }
    let last = objects.split_off(99_999);
    free(pool, objects);
    let Ok(bytes) = pool.trim() else {
        assert!(pool.mode().fence.is_err());
        return;
    };
    // All but the chunk of the one that is in use, and those that are counted elsewhere.
    assert!(bytes >= 99_999 * 64 - (512 << 10), "{bytes} bytes");
    assert!(pool.stats().objects <= 8192);
    free(pool, last);
    pool.trim().unwrap();
    assert_eq!(pool.stats().objects, 0);
    // And it goes on.
    let objects = alloc(pool, 10_000);
    let distinct: HashSet<_> = objects.iter().collect();
    assert_eq!(distinct.len(), 10_000);
    free(pool, objects);
}

#[test]
fn what_is_cached_can_be_moved_stopped_and_resized() {
    let pool = RawPool::builder(Layout::new::<[u64; 4]>()).decay_after(None);
    let pool = pool.build().unwrap();
    for _ in 0..3 {
        let objects = alloc(&pool, 3000);
        free(&pool, objects);
    }
    assert!(pool.stats().cached > 0);
    let cids: Vec<_> = pool.cids().filter(|it| it.cached > 0).collect();
    assert!(
        cids.iter()
            .all(|it| it.cached <= it.capacity && it.refills > 0)
    );
    if pool.mode().fence.is_err() {
        return;
    }
    let cached = pool.stats().cached;
    assert_eq!(pool.drain().unwrap() as u64, cached, "nobody else is there");
    assert_eq!(pool.stats().cached, 0);
    assert_eq!(pool.drain().unwrap(), 0);

    // Every cid is stopped: nothing is cached, and all works.
    let most = cids.iter().filter_map(|it| it.cid).max();
    for cid in 0..=most.unwrap_or(0) {
        pool.stop(cid).unwrap();
    }
    let objects = alloc(&pool, 100);
    free(&pool, objects);
    if most.is_some() {
        let stopped = pool.cids().filter(|it| it.stopped);
        assert!(stopped.map(|it| it.cached + it.capacity).sum::<u32>() == 0);
    }
    for cid in 0..=most.unwrap_or(0) {
        pool.start(cid).unwrap();
    }
    let objects = alloc(&pool, 3000);
    free(&pool, objects);
    pool.resize(32 * 20).unwrap();
    let objects = alloc(&pool, 100);
    free(&pool, objects);
    assert!(
        pool.cids()
            .filter(|it| it.cid.is_some())
            .all(|it| it.cached <= 20)
    );
    // The first look says nothing yet; the second finds that nobody was there since.
    pool.drain_idle(std::time::Duration::ZERO).unwrap();
    pool.drain_idle(std::time::Duration::ZERO).unwrap();
    assert_eq!(
        pool.cids().map(|it| u64::from(it.cached)).sum::<u64>(),
        pool.stats().cached
    );
    assert!(pool.decay().is_ok());
}

/// What a cid may cache doubles with each miss, from a sixteenth of the bytes to all of them,
/// and begins small again when it was taken away.
#[test]
fn capacities_follow_misses() {
    let builder = RawPool::builder(Layout::new::<[u64; 8]>()).cid_bytes(32 << 10);
    let pool = builder.decay_after(None).build().unwrap();
    let (least, most) = (32, 512);
    for _ in 0..20 {
        let objects = alloc(&pool, 3000);
        free(&pool, objects);
    }
    let of_cids = || pool.cids().filter(|it| it.cid.is_some() && it.refills > 0);
    assert!(of_cids().all(|it| (least..=most).contains(&it.capacity)));
    let reached = of_cids().map(|it| it.capacity).max();
    assert!(reached.is_none_or(|capacity| capacity == most));
    if pool.mode().fence.is_ok() {
        pool.drain().unwrap();
        assert!(of_cids().all(|it| it.cached == 0 && it.capacity <= most / 2));
        for _ in 0..10 {
            pool.drain().unwrap();
        }
        assert!(of_cids().all(|it| it.capacity == least));
    }
}

#[test]
fn a_refill_is_two_blocks() {
    let builder = RawPool::builder(Layout::new::<[u64; 8]>()).decay_after(None);
    let pool = builder.build().unwrap();
    let objects = alloc(&pool, 20_000);
    free(&pool, objects);
    // What a refill brings to a cid, of which the one that missed takes one.
    let mut brought = Vec::new();
    let mut objects = Vec::new();
    for _ in 0..10_000 {
        let before: Vec<_> = pool.cids().collect();
        objects.extend(alloc(&pool, 1));
        let refilled = pool.cids().zip(before).filter(|(now, before)| {
            now.cid.is_some() && before.capacity >= 248 && now.refills > before.refills
        });
        brought.extend(refilled.map(|(now, _)| now.cached));
    }
    free(&pool, objects);
    let least = brought.iter().min();
    assert!(least.is_none_or(|&least| least < 2 * 62), "{least:?}");
}

#[test]
fn who_takes_and_gives_back_by_turns_hardly_ever_misses() {
    let pool = RawPool::builder(Layout::new::<[u64; 4]>()).decay_after(None);
    let pool = pool.build().unwrap();
    for _ in 0..2000 {
        let object = alloc(&pool, 1);
        free(&pool, object);
    }
    // Each cid that the thread comes to misses at first.
    let misses: u64 = pool.cids().map(|it| it.refills + it.flushes).sum();
    assert!((1..1000).contains(&misses), "{misses} misses");
}
