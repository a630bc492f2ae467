//! Locks in objects, and the space that releases them.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use percid::{LockSpace, Locked, ObjectLock};
use support::{Random, handle, in_child, panics_end_the_process, under_signals};

#[test]
fn a_lock_is_eight_bytes() {
    assert_eq!(size_of::<ObjectLock>(), 8);
    assert_eq!(size_of::<LockSpace>(), 8);
    assert_eq!(size_of::<Locked<'_, u64>>(), 24);
}

#[test]
fn readers_share_and_fail_while_it_is_written() {
    let (space, lock, other) = (LockSpace::new(), ObjectLock::new(), ObjectLock::new());
    let (one, two) = (lock.read_try(&space), lock.read(&space));
    assert!(one.is_some());
    drop((one, two));
    let section = space.begin_write();
    assert!(space.is_written() && space.try_begin_write().is_none());
    drop(lock.read_try(&space).expect("not locked yet"));
    section.lock(&lock);
    section.lock(&lock);
    assert!(lock.read_try(&space).is_none());
    drop(other.read_try(&space).expect("not this one"));
    section.end_write();
    assert!(!space.is_written());
    drop(lock.read_try(&space).expect("released"));
    // Another section does not lock it by having begun.
    let section = space.begin_write();
    drop(lock.read_try(&space).expect("not in this section"));
    section.lock(&lock);
    assert!(lock.read_try(&space).is_none());
    drop(section);
    assert_eq!(
        format!("{lock:?} {space:?}"),
        "ObjectLock { readers: 0, .. } LockSpace { written: false }"
    );
}

#[test]
fn values_are_lent_one_at_a_time() {
    let (space, elsewhere) = (LockSpace::new(), LockSpace::new());
    let (mut left, right) = (Locked::new(&space, 1), Locked::new(&space, 2));
    *left.get_mut() += 10;
    let section = space.begin_write();
    {
        let (mut one, mut two) = (left.write(&section), right.write(&section));
        mem::swap(&mut *one, &mut *two);
        let again = catch_unwind(AssertUnwindSafe(|| drop(left.write(&section))));
        assert!(again.is_err(), "lent twice");
    }
    *left.write(&section) += 1;
    assert_eq!(format!("{left:?}"), "Locked(<written>)");
    let wrong = elsewhere.begin_write();
    let refused = catch_unwind(AssertUnwindSafe(|| drop(right.write(&wrong))));
    assert!(refused.is_err(), "a section of another space");
    mem::forget(left.write(&section));
    section.end_write();
    assert_eq!(
        (*left.read(), *right.read_try().expect("released")),
        (3, 11)
    );
    // A loan that was forgotten ended with its section.
    *left.write(&space.begin_write()) += 1;
    assert_eq!(format!("{left:?}"), "Locked(4)");
    assert_eq!((left.into_inner(), right.into_inner()), (4, 11));
}

#[test]
fn a_section_that_panics_releases() {
    let space = LockSpace::new();
    let value = Locked::new(&space, 1);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let section = space.begin_write();
        *value.write(&section) = 2;
        panic!("in the section");
    }));
    assert!(panic.is_err());
    assert_eq!(*value.read_try().expect("released"), 2);
}

#[test]
fn a_crowd_is_turned_away() {
    let (space, lock) = (LockSpace::new(), ObjectLock::new());
    let mut readers = 0;
    while let Some(guard) = lock.read_try(&space) {
        mem::forget(guard);
        readers += 1;
    }
    assert_eq!(readers, 8191);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lock.read(&space)))).is_err());
}

/// Two words of each object are equal whenever somebody reads them, and all writes of a
/// section are there afterwards. Readers try, or sleep; writers sleep, too.
#[test]
fn readers_and_writers_churn() {
    if !in_child("readers_and_writers_churn", |_| ()) {
        return;
    }
    panics_end_the_process();
    const OBJECTS: usize = 8;
    const SECTIONS: u64 = 3000;
    const WRITERS: u64 = 2;
    let space = LockSpace::new();
    let objects: Vec<Locked<'_, [u64; 2]>> =
        (0..OBJECTS).map(|_| Locked::new(&space, [0, 0])).collect();
    let (done, refused, writes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (objects, done, refused) = (&objects, &done, &refused);
                scope.spawn(move || {
                    let mut random = Random::new(reader);
                    while !done.load(Ordering::Relaxed) {
                        let object = &objects[random.below(OBJECTS)];
                        let guard = match random.below(4) {
                            0 => Some(object.read()),
                            _ => object.read_try(),
                        };
                        match guard {
                            Some(both) => {
                                if random.below(64) == 0 {
                                    std::thread::yield_now();
                                }
                                assert_eq!(both[0], both[1], "a reader beside the writer");
                            }
                            None => _ = refused.fetch_add(1, Ordering::Relaxed),
                        }
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (space, objects, writes) = (&space, &objects, &writes);
                scope.spawn(move || {
                    let mut random = Random::new(100 + writer);
                    for _ in 0..SECTIONS {
                        let section = space.begin_write();
                        for _ in 0..random.below(4) {
                            let mut both = objects[random.below(OBJECTS)].write(&section);
                            both[0] += 1;
                            if random.below(16) == 0 {
                                std::thread::yield_now();
                            }
                            both[1] += 1;
                            writes.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        readers
            .into_iter()
            .for_each(|reader| reader.join().unwrap());
    });
    let total: u64 = objects.iter().map(|object| object.read()[0]).sum();
    assert_eq!(total, writes.into_inner());
    println!("{total} writes, {} readers refused", refused.into_inner());
}

/// One reader holds the object while the writer comes, again and again: the writer
/// sleeps, and is woken.
#[test]
fn sleepers_are_woken() {
    if !in_child("sleepers_are_woken", |_| ()) {
        return;
    }
    panics_end_the_process();
    let (space, lock) = (LockSpace::new(), ObjectLock::new());
    let turn = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..300 {
                while turn.load(Ordering::Acquire) != 2 * round {
                    std::thread::yield_now();
                }
                let guard = lock.read(&space);
                turn.store(2 * round + 1, Ordering::Release);
                // The writer is on its way, and most of the time asleep by the end.
                std::thread::sleep(std::time::Duration::from_micros(300));
                drop(guard);
            }
        });
        for round in 0..300 {
            while turn.load(Ordering::Acquire) != 2 * round + 1 {
                std::thread::yield_now();
            }
            let section = space.begin_write();
            section.lock(&lock);
            turn.store(2 * round + 2, Ordering::Release);
            // So is the reader, who comes while it is locked.
            std::thread::sleep(std::time::Duration::from_micros(300));
            section.end_write();
        }
    });
}

#[test]
fn handlers_read() {
    static SPACE: LockSpace = LockSpace::new();
    static LOCK: ObjectLock = ObjectLock::new();
    extern "C" fn on_signal(_: i32) {
        drop(LOCK.read_try(&SPACE));
    }
    handle(libc::SIGUSR1, on_signal);
    under_signals(libc::SIGUSR1, || {
        for _ in 0..2000 {
            drop(LOCK.read(&SPACE));
            let section = SPACE.begin_write();
            section.lock(&LOCK);
        }
    });
    drop(LOCK.read_try(&SPACE).expect("nobody is left"));
}
