//! Releasing many write locks.

use std::hint::black_box;
use std::time::Instant;

use percid::{LockSpace, ObjectLock};

use crate::Error;
use crate::error::expect;
use crate::suite::Fresh;

const LOCKS: usize = 1000;

/// Times that all are taken and released; the median counts.
const TIMES: usize = 401;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

/// `release` says how long it took, in nanoseconds.
fn measured(release: impl FnMut() -> Result<f64, Error>) -> Result<f64, Error> {
    let times: Result<Vec<f64>, Error> = std::iter::repeat_with(release).take(TIMES).collect();
    // No clock is finer.
    Ok(median(times?).max(1.0))
}

fn timed(release: impl FnOnce()) -> f64 {
    let start = Instant::now();
    release();
    start.elapsed().as_secs_f64() * 1e9
}

pub(super) const PERCID: Fresh = Fresh {
    name: "percid",
    measure: || {
        let space = LockSpace::new();
        let locks: Vec<ObjectLock> = (0..LOCKS).map(|_| ObjectLock::new()).collect();
        let free = || {
            let free = locks.iter().filter(|it| it.read_try(&space).is_some());
            free.count() as u64
        };
        measured(|| {
            let section = space.begin_write();
            locks.iter().for_each(|lock| section.lock(lock));
            expect("percid", free(), 0)?;
            let time = timed(|| black_box(section).end_write());
            expect("percid", free(), LOCKS as u64)?;
            Ok(time)
        })
    },
};

/// Locks whose guards are dropped one by one.
macro_rules! one_by_one {
    ($name:literal, $lock:ty, $write:expr, $is_free:expr) => {
        Fresh {
            name: $name,
            measure: || {
                let locks: Vec<$lock> = (0..LOCKS).map(|_| <$lock>::new(())).collect();
                let free = || locks.iter().filter(|it| $is_free(it)).count() as u64;
                let mut guards = Vec::with_capacity(LOCKS);
                measured(|| {
                    guards.extend(locks.iter().map($write));
                    expect($name, free(), 0)?;
                    let time = timed(|| guards.clear());
                    expect($name, free(), LOCKS as u64)?;
                    Ok(time)
                })
            },
        }
    };
}

pub(super) const PARKING_LOT: Fresh = one_by_one!(
    "parking_lot",
    parking_lot::RwLock<()>,
    parking_lot::RwLock::write,
    |it: &parking_lot::RwLock<()>| it.try_read().is_some()
);

pub(super) const STD: Fresh = one_by_one!(
    "std",
    std::sync::RwLock<()>,
    |it| it
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner),
    |it: &std::sync::RwLock<()>| it.try_read().is_ok()
);

/// Objects of one thread: the floor.
pub(super) const OF_THREAD: Fresh = one_by_one!(
    "thread_local",
    std::cell::RefCell<()>,
    std::cell::RefCell::borrow_mut,
    |it: &std::cell::RefCell<()>| it.try_borrow().is_ok()
);
