//! Every interleaving of readers and writers, awake and asleep, and of mutants that must
//! fail.

use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::process::Command;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;

use super::lock::{DRAINING, ObjectLock, ReadGuard};
use super::space::{LockSpace, SLEEPERS, WriteSection};

const READERS: u64 = (1 << 14) - 1;

struct Scene {
    space: LockSpace,
    lock: ObjectLock,
    guarded: UnsafeCell<u32>,
}

impl Scene {
    fn new() -> Arc<Scene> {
        Arc::new(Scene {
            space: LockSpace::new(),
            lock: ObjectLock::new(),
            guarded: UnsafeCell::new(0),
        })
    }

    fn look(&self) -> u32 {
        // SAFETY: loom reports a read that is not ordered with a write.
        self.guarded.with(|guarded| unsafe { *guarded })
    }

    fn change(&self) {
        // SAFETY: as above.
        self.guarded.with_mut(|guarded| unsafe { *guarded += 1 });
    }
}

type ReadTry = fn(&Scene) -> Option<ReadGuard<'_>>;
type Lock = fn(&Scene, &WriteSection<'_>, u64);
type Leave = fn(ReadGuard<'_>, &Scene);
type End = fn(WriteSection<'_>, &Scene, u64);

/// How a reader and a writer do what they do.
#[derive(Clone, Copy)]
struct Ways {
    read_try: ReadTry,
    leave: Leave,
    lock: Lock,
    end: End,
}

const RIGHT: Ways = Ways {
    read_try: |scene| scene.lock.read_try(&scene.space),
    leave: |guard, _| drop(guard),
    lock: |scene, section, _| section.lock(&scene.lock),
    end: |section, _, _| section.end_write(),
};

/// The first section's sequence.
const SEQUENCE: u64 = 3;

/// A reader tries once, a writer writes once.
fn exclusion(ways: Ways) {
    let scene = Scene::new();
    let reader = {
        let scene = Arc::clone(&scene);
        thread::spawn(move || {
            if let Some(guard) = (ways.read_try)(&scene) {
                scene.look();
                (ways.leave)(guard, &scene);
            }
        })
    };
    let section = scene.space.begin_write();
    (ways.lock)(&scene, &section, SEQUENCE);
    scene.change();
    (ways.end)(section, &scene, SEQUENCE);
    reader.join().unwrap();
    let word = scene.lock.futex.word.load(Ordering::Relaxed);
    assert_eq!(word & (READERS | DRAINING), 0, "somebody is still there");
}

fn holds(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

fn is_found(mutant: impl Fn() + Sync + Send + 'static, name: &str) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| holds(mutant)));
    assert!(outcome.is_err(), "{name} passed: this test proves nothing");
}

#[test]
fn readers_and_the_writer_exclude_each_other() {
    holds(|| exclusion(RIGHT));
    let compared_first: ReadTry = |scene| {
        let now = scene.space.sequence.word.load(Ordering::Acquire) >> 1;
        if scene.lock.futex.word.load(Ordering::Acquire) >> 16 == now {
            return None;
        }
        scene.lock.futex.word.fetch_add(1, Ordering::Acquire);
        Some(ReadGuard::of(&scene.lock))
    };
    let not_acquired: ReadTry = |scene| {
        let before = scene.lock.futex.word.fetch_add(1, Ordering::Relaxed);
        let now = scene.space.sequence.word.load(Ordering::Acquire) >> 1;
        let guard = ReadGuard::of(&scene.lock);
        (before >> 16 != now).then_some(guard)
    };
    let left_relaxed: Leave = |guard, scene| {
        mem::forget(guard);
        let before = scene.lock.futex.word.fetch_sub(1, Ordering::Relaxed);
        if before & (READERS | DRAINING) == DRAINING | 1 {
            scene.lock.futex.wake_all();
        }
    };
    let drained_first: Lock = |scene, _, sequence| {
        scene.lock.drain();
        let readers = scene.lock.futex.word.load(Ordering::Relaxed) & READERS;
        let marked = sequence << 16 | readers;
        scene.lock.futex.word.store(marked, Ordering::Release);
    };
    let not_drained: Lock = |scene, _, sequence| {
        scene
            .lock
            .futex
            .word
            .fetch_or(sequence << 16, Ordering::AcqRel);
    };
    let marked_relaxed: Lock = |scene, _, sequence| {
        scene
            .lock
            .futex
            .word
            .fetch_or(sequence << 16, Ordering::Acquire);
        scene.lock.drain();
    };
    let ended_relaxed: End = |section, scene, sequence| {
        mem::forget(section);
        let next = (sequence + 1) << 1;
        scene.space.sequence.word.swap(next, Ordering::Relaxed);
    };
    for (name, mutant) in [
        (
            "a reader that compares first",
            Ways {
                read_try: compared_first,
                ..RIGHT
            },
        ),
        (
            "a reader that acquires nothing",
            Ways {
                read_try: not_acquired,
                ..RIGHT
            },
        ),
        (
            "a leave that releases nothing",
            Ways {
                leave: left_relaxed,
                ..RIGHT
            },
        ),
        (
            "a writer that drains first",
            Ways {
                lock: drained_first,
                ..RIGHT
            },
        ),
        (
            "a writer that does not drain",
            Ways {
                lock: not_drained,
                ..RIGHT
            },
        ),
        (
            "a mark that releases nothing",
            Ways {
                lock: marked_relaxed,
                ..RIGHT
            },
        ),
        (
            "an end that releases nothing",
            Ways {
                end: ended_relaxed,
                ..RIGHT
            },
        ),
    ] {
        is_found(move || exclusion(mutant), name);
    }
}

/// Checks that some interleaving of a mutant sleeps for ever. In a process of its own, the
/// rest of this very test: loom cannot go on after that.
fn never_wakes(test: &str, mutant: impl Fn() + Sync + Send + 'static, name: &str) {
    const MUTANT: &str = "PERCID_MUTANT";
    match std::env::var(MUTANT) {
        Ok(wanted) if wanted == name => return holds(mutant),
        Ok(_) => return,
        Err(_) => {}
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("object_lock::loom::{test}"),
            "--nocapture",
        ])
        .env(MUTANT, name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(
        !child.status.success() && said.contains("deadlock"),
        "{name} passed: this test proves nothing\n{said}"
    );
}

/// A reader waits for the end of the section.
fn end_wakes(end: End, read: fn(&Scene)) {
    let scene = Scene::new();
    let section = scene.space.begin_write();
    section.lock(&scene.lock);
    let reader = {
        let scene = Arc::clone(&scene);
        thread::spawn(move || {
            read(&scene);
            assert_eq!(scene.look(), 1);
        })
    };
    scene.change();
    end(section, &scene, SEQUENCE);
    reader.join().unwrap();
}

#[test]
fn no_reader_misses_the_end() {
    let read: fn(&Scene) = |scene| drop(scene.lock.read(&scene.space));
    holds(move || end_wakes(RIGHT.end, read));
    let looks_first: End = |section, scene, sequence| {
        mem::forget(section);
        let word = &scene.space.sequence.word;
        let sleepers = word.load(Ordering::SeqCst) & SLEEPERS;
        word.store((sequence + 1) << 1, Ordering::SeqCst);
        if sleepers != 0 {
            scene.space.sequence.wake_all();
        }
    };
    never_wakes(
        "no_reader_misses_the_end",
        move || end_wakes(looks_first, read),
        "an end that looks before it stores",
    );
    let says_nothing: fn(&Scene) = |scene| {
        while scene.lock.read_try(&scene.space).is_none() {
            let now = scene.space.sequence.word.load(Ordering::Relaxed);
            if now >> 1 == SEQUENCE {
                scene.space.sequence.sleep_saying(now, 0);
            }
        }
    };
    never_wakes(
        "no_reader_misses_the_end",
        move || end_wakes(RIGHT.end, says_nothing),
        "a sleeper that says nothing",
    );
}

/// The writer waits for two readers, one of whom may come late.
fn leave_wakes(leave: Leave) {
    let scene = Scene::new();
    scene.lock.futex.word.fetch_add(1, Ordering::Relaxed);
    let reader = {
        let scene = Arc::clone(&scene);
        thread::spawn(move || {
            if let Some(guard) = scene.lock.read_try(&scene.space) {
                leave(guard, &scene);
            }
            leave(ReadGuard::of(&scene.lock), &scene);
        })
    };
    let section = scene.space.begin_write();
    section.lock(&scene.lock);
    scene.change();
    section.end_write();
    reader.join().unwrap();
}

#[test]
fn no_writer_misses_the_last_reader() {
    holds(|| leave_wakes(RIGHT.leave));
    let looks_first: Leave = |guard, scene| {
        mem::forget(guard);
        let word = &scene.lock.futex.word;
        let before = word.load(Ordering::SeqCst);
        word.fetch_sub(1, Ordering::SeqCst);
        if before & (READERS | DRAINING) == DRAINING | 1 {
            scene.lock.futex.wake_all();
        }
    };
    never_wakes(
        "no_writer_misses_the_last_reader",
        move || leave_wakes(looks_first),
        "a reader that looks before it leaves",
    );
}

/// Writers take turns, and none misses its own.
#[test]
fn one_writer_at_a_time() {
    holds(|| {
        let scene = Scene::new();
        let write = |scene: &Scene| {
            let section = scene.space.begin_write();
            scene.change();
            section.end_write();
        };
        let other = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || write(&scene))
        };
        write(&scene);
        other.join().unwrap();
        assert_eq!(scene.look(), 2);
    });
}
