//! Memory: of threads that sleep, of a pool that is hardly used, of one that was large.

use std::alloc::Layout;
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use percid::RawPool;

use crate::Error;
use crate::resident::anonymous;
use crate::suite::Fresh;

/// Threads that sleep.
pub(super) const SLEEPING: usize = 1000;

/// Objects that each of them has at a time, and bytes of one.
const OBJECTS: usize = 64;
const BYTES: usize = 256;

/// How long unused objects stay.
const DECAY: Duration = Duration::from_millis(200);

pub(super) const SLEEPERS: [Fresh; 3] = [
    Fresh {
        name: "percid",
        measure: sleeping_percid,
    },
    Fresh {
        name: "thread_local",
        measure: sleeping_thread_local,
    },
    Fresh {
        name: "needed",
        measure: needed,
    },
];

pub(super) const STARTUP: [Fresh; 1] = [Fresh {
    name: "percid",
    measure: startup,
}];

pub(super) const TRIM: [Fresh; 1] = [Fresh {
    name: "percid",
    measure: trim,
}];

pub(super) const DECAYED: [Fresh; 1] = [Fresh {
    name: "percid",
    measure: decay,
}];

const LAYOUT: Layout = match Layout::from_size_align(BYTES, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("a layout"),
};

/// Anonymous memory of the process for each thread that did `work` and now sleeps: after all
/// did, less what it was when all had begun. So nothing that threads bring is in between, and
/// pages count, 4 bytes a thread.
fn per_sleeper(work: fn(), after: impl FnOnce()) -> Result<f64, Error> {
    let all = Barrier::new(SLEEPING + 1);
    thread::scope(|scope| {
        for number in 0..SLEEPING {
            let all = &all;
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, move || {
                    touch_stack();
                    all.wait();
                    all.wait();
                    work();
                    all.wait();
                    all.wait();
                })
                .map_err(|why| Error::Thread { number, why })?;
        }
        all.wait();
        // The first readings bring the reader's own memory.
        for _ in 0..3 {
            let _ = anonymous();
        }
        let before = anonymous();
        all.wait();
        all.wait();
        after();
        let found = anonymous();
        all.wait();
        let (before, found) = (
            before.map_err(Error::Resident)?,
            found.map_err(Error::Resident)?,
        );
        Ok(found.saturating_sub(before) as f64 / SLEEPING as f64)
    })
}

/// Makes more of the stack resident than any work here uses, so that pages of stacks are not
/// counted as what a peer keeps.
#[inline(never)]
fn touch_stack() {
    black_box(&mut [1_u8; 24 << 10]);
}

static POOL: RawPool = RawPool::builder(LAYOUT)
    .decay_after(Some(DECAY))
    .build_static();

fn use_pool() {
    let mut some = [std::ptr::null_mut(); OBJECTS];
    let count = POOL.alloc_batch(&mut some);
    for &object in &some[..count] {
        // SAFETY: allocated just now.
        unsafe { object.write_bytes(1, BYTES) };
    }
    // SAFETY: as above.
    unsafe { POOL.free_batch(&some[..count]) };
}

fn sleeping_percid() -> Result<f64, Error> {
    // The process's start is in another case.
    black_box(POOL.mode());
    // Nobody misses any more: what decays does so by a timer, which this thread is. It looks,
    // takes what idle cids have to the depot, and gives that back. A little longer each time,
    // for the clock that is asked stands for four milliseconds.
    per_sleeper(use_pool, || {
        for _ in 0..4 {
            let _ = POOL.decay();
            thread::sleep(DECAY * 5 / 4);
        }
    })
}

thread_local! {
    #[allow(clippy::vec_box, reason = "a cache of blocks")]
    static CACHE: RefCell<Vec<Box<[u8; BYTES]>>> = const { RefCell::new(Vec::new()) };
}

fn sleeping_thread_local() -> Result<f64, Error> {
    let work = || {
        CACHE.with_borrow_mut(|cache| {
            cache.extend((0..OBJECTS).map(|_| Box::new([1; BYTES])));
        });
    };
    per_sleeper(work, || thread::sleep(DECAY * 2))
}

/// What the objects of as many threads as run at a time take.
fn needed() -> Result<f64, Error> {
    let active = crate::cpus::allowed().len().clamp(1, SLEEPING);
    Ok((active * OBJECTS * BYTES) as f64 / SLEEPING as f64)
}

/// KiB that a pool brings with one object in use. Not counted is code, of which the kernel
/// maps sixteen pages when one is needed.
fn startup() -> Result<f64, Error> {
    // The first readings bring the reader's own memory.
    for _ in 0..3 {
        anonymous().map_err(Error::Resident)?;
    }
    let before = anonymous().map_err(Error::Resident)?;
    static SMALL: RawPool = RawPool::new(LAYOUT);
    let object = SMALL.try_alloc();
    if let Ok(object) = object {
        // SAFETY: allocated just now.
        unsafe { object.as_ptr().write_bytes(1, BYTES) };
    }
    let after = anonymous().map_err(Error::Resident)?;
    crate::error::expect("percid", u64::from(object.is_ok()), 1)?;
    Ok(after.saturating_sub(before) as f64 / 1024.0)
}

/// MiB after a pool that held 256 MiB was trimmed.
fn trim() -> Result<f64, Error> {
    let pool = RawPool::new(super::raw::LAYOUT);
    left_of(256, &pool, || {
        let _ = pool.trim();
    })
}

/// MiB after a pool that held 64 MiB gave back what it did not need by itself, while somebody
/// read its statistics.
fn decay() -> Result<f64, Error> {
    let pool = RawPool::builder(super::raw::LAYOUT).decay_after(Some(DECAY));
    let pool = pool.build_static();
    left_of(64, &pool, || {
        let end = Instant::now() + DECAY * 20;
        while pool.stats().objects > 0 && Instant::now() < end {
            thread::sleep(Duration::from_millis(4));
        }
    })
}

/// MiB after so many were used and freed.
fn left_of(mebibytes: usize, pool: &RawPool, after: impl FnOnce()) -> Result<f64, Error> {
    let mut all = vec![std::ptr::null_mut(); (mebibytes << 20) / 64];
    let count = pool.alloc_batch(&mut all);
    let expected = all.len();
    for &object in &all[..count] {
        // SAFETY: allocated just now.
        unsafe { object.write_bytes(1, 64) };
    }
    let full = anonymous().map_err(Error::Resident)?;
    // SAFETY: as above.
    unsafe { pool.free_batch(&all[..count]) };
    drop(all);
    after();
    let left = anonymous().map_err(Error::Resident)?;
    crate::error::expect("percid", count as u64, expected as u64)?;
    crate::error::expect("percid", u64::from(full >= (mebibytes << 20) as u64), 1)?;
    Ok(left as f64 / (1 << 20) as f64)
}
