//! Forks, handlers, refusals and misuse.

use std::alloc::Layout;
use std::collections::HashSet;
#[cfg(target_env = "gnu")]
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use percid::{PoolError, RawPool, RemoteError};

use crate::support::{Fate, catch, forbid, handle, in_child, in_fork, limit_data, under_signals};

const LAYOUT: Layout = Layout::new::<[u64; 4]>();

fn free(pool: &RawPool, object: NonNull<u8>) {
    // SAFETY: these tests free what they allocated from this pool, once.
    unsafe { pool.free(object) };
}

/// Takes `room.len()` objects; whether each is new among those and `held`.
fn distinct(pool: &RawPool, held: &[NonNull<u8>], room: &mut [u64]) -> bool {
    for place in &mut *room {
        match pool.try_alloc() {
            Ok(object) => *place = object.addr().get() as u64,
            Err(_) => return false,
        }
    }
    room.sort_unstable();
    room.windows(2).all(|two| two[0] != two[1])
        && held
            .iter()
            .all(|object| room.binary_search(&(object.addr().get() as u64)).is_err())
}

#[test]
fn a_child_of_fork_has_a_pool_of_its_own() {
    let pool = RawPool::builder(LAYOUT).decay_after(None).build().unwrap();
    let objects: Vec<_> = (0..4000).map(|_| pool.try_alloc().unwrap()).collect();
    let (freed, held) = objects.split_at(2000);
    freed.iter().for_each(|&object| free(&pool, object));
    let mut room = vec![0; 5000];
    let before = pool.stats();
    assert!(in_fork(|| {
        let same = pool.stats() == before;
        let exact = distinct(&pool, held, &mut room);
        same && exact
            && pool.drain() != Err(RemoteError::Busy)
            && pool.trim() != Err(RemoteError::Busy)
    }));
    assert_eq!(pool.stats(), before);
    assert!(distinct(&pool, held, &mut room));
}

#[test]
fn forks_in_the_middle_of_everything() {
    const FORKS: u32 = 15;
    // So that some forks are in the middle of giving back, too.
    let pool = RawPool::builder(LAYOUT).decay_after(Some(Duration::from_millis(1)));
    let pool = pool.build().unwrap();
    let held: Vec<_> = (0..1000).map(|_| pool.try_alloc().unwrap()).collect();
    let mut room = vec![0; 5000];
    let done = AtomicBool::new(false);
    let exact = thread::scope(|scope| {
        for thread in 0..2 {
            let (pool, done) = (&pool, &done);
            scope.spawn(move || {
                let mut mine = Vec::with_capacity(800);
                while !done.load(Ordering::Relaxed) {
                    mine.extend((0..800).map_while(|_| pool.try_alloc().ok()));
                    mine.drain(..).for_each(|object| free(pool, object));
                    if thread == 0 {
                        let _ = pool.drain();
                        let _ = pool.trim();
                    }
                }
            });
        }
        let exact = (0..FORKS)
            .filter(|_| {
                in_fork(|| {
                    distinct(&pool, &held, &mut room)
                        && pool.drain() != Err(RemoteError::Busy)
                        && pool.trim() != Err(RemoteError::Busy)
                })
            })
            .count();
        done.store(true, Ordering::Relaxed);
        exact
    });
    assert_eq!(
        exact, FORKS as usize,
        "children found objects that were held, or twice"
    );
}

static IN_HANDLERS: RawPool = RawPool::builder(LAYOUT)
    .decay_after(Some(Duration::ZERO))
    .build_static();
static WRONG: AtomicU64 = AtomicU64::new(0);

extern "C" fn allocates(_: i32) {
    let Ok(object) = IN_HANDLERS.try_alloc() else {
        WRONG.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let word = object.cast::<u64>();
    // SAFETY: allocated just now.
    unsafe {
        word.write(7);
        WRONG.fetch_add(u64::from(word.read() != 7), Ordering::Relaxed);
    }
    free(&IN_HANDLERS, object);
    if WRONG.load(Ordering::Relaxed) == 0 {
        // Busy, if it interrupted another; it waits for nobody.
        let _ = IN_HANDLERS.drain();
    }
}

#[test]
fn handlers_allocate_whatever_they_interrupt() {
    handle(libc::SIGUSR1, allocates);
    let mut turn = 0;
    under_signals(libc::SIGUSR1, || {
        turn += 1;
        let mut mine = [std::ptr::null_mut(); 300];
        let count = IN_HANDLERS.alloc_batch(&mut mine[..1 + turn % 300]);
        for &object in &mine[..count] {
            // SAFETY: allocated just now.
            unsafe { object.cast::<u64>().write(object.addr() as u64) };
        }
        for &object in &mine[..count] {
            // SAFETY: as above.
            let found = unsafe { object.cast::<u64>().read() };
            WRONG.fetch_add(u64::from(found != object.addr() as u64), Ordering::Relaxed);
        }
        if turn % 5 == 0 {
            let _ = IN_HANDLERS.trim();
        }
        // SAFETY: allocated above.
        unsafe { IN_HANDLERS.free_batch(&mine[..count]) };
    });
    assert_eq!(WRONG.load(Ordering::Relaxed), 0);
}

#[test]
fn memory_that_is_refused_in_the_middle_loses_nothing() {
    if !in_child(
        "faults::memory_that_is_refused_in_the_middle_loses_nothing",
        |_| {},
    ) {
        return;
    }
    let pool = RawPool::new(LAYOUT);
    let mut objects = Vec::with_capacity(1 << 22);
    objects.extend((0..100).map(|_| pool.try_alloc().unwrap()));
    // Some lie with other cids, and there is no block yet to take them away in.
    for _ in 0..4 {
        thread::scope(|scope| {
            scope.spawn(|| {
                let some: Vec<_> = (0..20).map(|_| pool.try_alloc().unwrap()).collect();
                some.into_iter().for_each(|object| free(&pool, object));
            });
        });
    }
    catch(
        &[libc::SYS_mprotect, libc::SYS_mmap],
        Fate::Errno(libc::ENOMEM),
    )
    .unwrap();
    let refused = loop {
        match pool.try_alloc() {
            Ok(object) => objects.push(object),
            Err(why) => break why,
        }
    };
    assert_eq!(
        refused,
        PoolError::NoMemory {
            os_error: libc::ENOMEM
        }
    );
    let count = objects.len();
    if pool.mode().fence.is_ok() {
        assert_eq!(count as u64, pool.stats().objects, "some are out of reach");
    }
    // Everything can be given back, and had again: all of it and no more.
    for _ in 0..2 {
        let all: HashSet<_> = objects.iter().copied().collect();
        assert_eq!(all.len(), count);
        objects.drain(..).for_each(|object| free(&pool, object));
        objects.extend((0..count).map(|_| pool.try_alloc().unwrap()));
        assert_eq!(pool.try_alloc(), Err(refused));
    }
    // A pool that gets nothing at all says so.
    let other = RawPool::new(LAYOUT);
    assert_eq!(other.try_alloc(), Err(refused));
}

/// What a pool reserves counts as memory only once it is opened. A reservation that may be
/// written to, as `memmap2` makes them, counts at once, and is refused here.
#[test]
fn reservations_are_not_memory() {
    let test = "faults::reservations_are_not_memory";
    if !in_child(test, |child| limit_data(child, 1 << 30)) {
        return;
    }
    if size_of::<usize>() == 8 {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: a new mapping, which is never used.
        let whole = unsafe { libc::mmap(std::ptr::null_mut(), 16 << 30, access, flags, -1, 0) };
        assert_eq!(whole, libc::MAP_FAILED);
    }
    let pool = RawPool::new(LAYOUT);
    let objects: Vec<_> = (0..100_000).map(|_| pool.try_alloc().unwrap()).collect();
    objects.into_iter().for_each(|object| free(&pool, object));
}

#[test]
fn without_membarrier_objects_stay_with_their_cids() {
    let test = "faults::without_membarrier_objects_stay_with_their_cids";
    if !in_child(test, |child| forbid(child, &[libc::SYS_membarrier])) {
        return;
    }
    let pool = RawPool::new(LAYOUT);
    for _ in 0..10 {
        let objects: Vec<_> = (0..2000).map(|_| pool.try_alloc().unwrap()).collect();
        objects.iter().for_each(|&object| free(&pool, object));
    }
    let mode = pool.mode();
    assert!(mode.fence.is_err() && mode.to_string().contains("stay with their cids"));
    if mode.backend.source == percid::Source::MmCid {
        assert!(matches!(pool.drain(), Err(RemoteError::NoFence(_))));
    }
    assert!(pool.stats().cached > 0);
    // What they hold keeps a chunk or two; the others are given back.
    let pool = RawPool::builder(LAYOUT).decay_after(None).build().unwrap();
    let trims = || pool.trim().unwrap_or(0);
    let decays = || (0..4).filter_map(|_| pool.decay().ok()).sum();
    for give_back in [&trims as &dyn Fn() -> usize, &decays] {
        let objects: Vec<_> = (0..400_000).map(|_| pool.try_alloc().unwrap()).collect();
        objects.iter().for_each(|&object| free(&pool, object));
        assert!(give_back() > 0);
    }
    // Caches that have no room stay closed.
    let without = RawPool::builder(LAYOUT).cid_bytes(0).build().unwrap();
    for _ in 0..10 {
        let object = without.try_alloc().unwrap();
        let _ = without.drain();
        free(&without, object);
        let mut cids = without.cids().filter(|it| it.cid.is_some());
        assert!(cids.all(|it| it.capacity == 0 && it.cached == 0 && it.refills == 0));
    }
}

/// What a panic said.
fn message(outcome: thread::Result<()>) -> String {
    let panic = outcome.expect_err("this is to panic");
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().expect("a text")).to_owned())
}

#[test]
fn misuse_of_a_checked_pool_is_found() {
    let pool = RawPool::builder(LAYOUT).checked(true).build().unwrap();
    let misuse = |act: &dyn Fn()| message(catch_unwind(AssertUnwindSafe(act)));
    let object = pool.try_alloc().unwrap();
    let mut elsewhere = 0_u64;
    let foreign = NonNull::from(&mut elsewhere).cast();
    assert!(misuse(&|| free(&pool, foreign)).contains("not an object of"));
    let inside = object.map_addr(|at| at.saturating_add(8));
    assert!(misuse(&|| free(&pool, inside)).contains("not an object of"));
    free(&pool, object);
    assert!(misuse(&|| free(&pool, object)).contains("freed twice"));
    // SAFETY: that it is free is what is to be found; the memory is there.
    unsafe { object.as_ptr().add(9).write(1) };
    let text = misuse(&|| {
        for _ in 0..10_000 {
            let _ = pool.try_alloc();
        }
    });
    assert!(text.contains("byte 9 after it was freed"), "{text}");
}

#[test]
#[cfg(debug_assertions)]
fn a_foreign_pointer_is_found_where_debugging() {
    let pool = RawPool::new(LAYOUT);
    free(&pool, pool.try_alloc().unwrap());
    let mut elsewhere = 0_u64;
    let foreign = NonNull::from(&mut elsewhere).cast();
    let outcome = catch_unwind(AssertUnwindSafe(|| free(&pool, foreign)));
    assert!(message(outcome).contains("not an object of"));
}

/// A thread that ends where it stands, between getting objects and using them: what it had is
/// lost, given to nobody and not taken back; what it had freed is there.
#[test]
#[cfg(target_env = "gnu")]
fn a_thread_that_is_killed_loses_what_it_has_and_nothing_else() {
    const HAD: usize = 100;
    const FREED: usize = 2000;
    type Shared = (RawPool, [AtomicU64; HAD]);

    extern "C" fn work(shared: *mut c_void) -> *mut c_void {
        // SAFETY: what the thread was started with, which outlives it.
        let (pool, had) = unsafe { &*shared.cast::<Shared>() };
        let mut freed = [ptr::null_mut(); FREED];
        let freed_count = pool.alloc_batch(&mut freed);
        for place in had {
            let object = pool.try_alloc().map_or(0, |object| object.addr().get());
            place.store(object as u64, Ordering::Relaxed);
        }
        // SAFETY: allocated above. The rest is not freed.
        unsafe { pool.free_batch(&freed[..freed_count]) };
        // SAFETY: ends this thread and nothing else. Nothing on its stack is anybody's.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        shared
    }

    let shared: Shared = (RawPool::new(LAYOUT), [const { AtomicU64::new(0) }; HAD]);
    let (mut thread, what) = (0, (&raw const shared).cast_mut().cast());
    // SAFETY: a place for the thread's name, and a function that takes what it is given.
    let created = unsafe { libc::pthread_create(&raw mut thread, ptr::null(), work, what) };
    assert_eq!(created, 0);
    // SAFETY: a thread that nobody else joins. The kernel says that it is gone.
    assert_eq!(unsafe { libc::pthread_join(thread, ptr::null_mut()) }, 0);

    let (pool, had) = &shared;
    let held: Vec<NonNull<u8>> = had
        .iter()
        .filter_map(|object| {
            NonNull::new(ptr::with_exposed_provenance_mut(
                object.load(Ordering::Relaxed) as usize,
            ))
        })
        .collect();
    assert_eq!(held.len(), HAD);
    // Where there is no fence, what is on other cids stays there.
    let _ = pool.trim();
    for object in &held {
        // SAFETY: nobody's any more, and still there.
        unsafe { object.as_ptr().write_bytes(7, LAYOUT.size()) };
    }
    let mut room = vec![0; FREED * 2];
    assert!(distinct(pool, &held, &mut room));
    for object in &held {
        // SAFETY: as above.
        assert_eq!(unsafe { object.as_ptr().read() }, 7);
    }
}

/// Objects that a constructor of this program has got, before `main`.
static EARLY: [AtomicU64; 200] = [const { AtomicU64::new(0) }; 200];
static EARLY_POOL: RawPool = RawPool::new(LAYOUT);

extern "C" fn before_main() {
    for (at, place) in EARLY.iter().enumerate() {
        let Ok(object) = EARLY_POOL.try_alloc() else {
            return;
        };
        // SAFETY: allocated just now, and large enough.
        unsafe { object.cast::<u64>().write(at as u64) };
        place.store(object.addr().get() as u64, Ordering::Relaxed);
        if at % 2 == 1 {
            free(&EARLY_POOL, object);
        }
    }
}

// SAFETY: the section is one of pointers to functions without arguments.
#[unsafe(link_section = ".init_array")]
#[used]
static AT_START: extern "C" fn() = before_main;

#[test]
fn constructors_use_pools_before_main() {
    let early = EARLY.each_ref().map(|it| it.load(Ordering::Relaxed));
    assert!(early.iter().all(|&object| object != 0));
    // Each second one is still in use, and as it was left.
    let held: Vec<_> = early.iter().enumerate().step_by(2).collect();
    for &(at, &object) in &held {
        let object: *const u64 = ptr::with_exposed_provenance(object as usize);
        // SAFETY: allocated before, and never freed.
        assert_eq!(unsafe { object.read() }, at as u64);
    }
    let held: Vec<_> = held
        .into_iter()
        .filter_map(|(_, &object)| NonNull::new(ptr::with_exposed_provenance_mut(object as usize)))
        .collect();
    let mut room = vec![0; 1000];
    assert!(distinct(&EARLY_POOL, &held, &mut room));
}

#[test]
fn destructors_of_thread_locals_use_pools() {
    static POOL: RawPool = RawPool::new(LAYOUT);
    struct AtExit;
    impl Drop for AtExit {
        fn drop(&mut self) {
            free(&POOL, POOL.try_alloc().unwrap());
        }
    }
    thread_local!(static AT_EXIT: AtExit = const { AtExit });
    for _ in 0..50 {
        thread::spawn(|| AT_EXIT.with(|_| ())).join().unwrap();
    }
    // Each got one of those that the last had.
    assert!(POOL.stats().objects < 50 * 64 * 2);
}
