//! References: modes, misuse, and whatever happens to the threads that hold them.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use percid::{Ref, RefError, Source, arena_stats, backend};
use percid_rseq::membarrier::BarrierError;
use percid_rseq::testing::unregister_thread;
use support::{Fate, catch, forbid, handle, in_child, panics_end_the_process, under_signals};

/// Whether references can be counted by cid here.
fn has_sections() -> bool {
    backend().source != Source::Thread && percid_rseq::membarrier::fence().is_ok()
}

/// A count that says how often it was released.
fn counted(releases: &AtomicU32) -> Ref<impl Fn()> {
    Ref::new(|| {
        releases.fetch_add(1, Ordering::Relaxed);
    })
}

fn times(releases: &AtomicU32) -> u32 {
    releases.load(Ordering::Relaxed)
}

/// The message of a panic that is expected.
fn panics(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("no panic");
    match panic.downcast::<&str>() {
        Ok(text) => text.to_string(),
        Err(panic) => *panic.downcast::<String>().expect("a message"),
    }
}

#[test]
fn a_life() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    assert!(!count.is_percid(), "it was not used yet");
    count.get();
    assert_eq!(count.is_percid(), has_sections());
    count.get();
    count.put();
    let held = count.try_get().expect("alive");
    let live = count.try_get_live().expect("live");
    assert!(!count.is_zero() && !count.is_dying());
    assert_eq!(count.kill(), Ok(()));
    assert!(!count.is_percid() && count.is_dying() && !count.is_zero());
    assert!(count.try_get_live().is_none());
    drop(count.try_get().expect("others hold it"));
    drop((held, live));
    assert_eq!((times(&releases), count.is_zero()), (0, false));
    count.put();
    assert_eq!((times(&releases), count.is_zero()), (1, true));
    assert!(count.try_get().is_none() && count.try_get_live().is_none());
    assert_eq!(
        format!("{count:?}"),
        "Ref { percid: false, dying: true, zero: true }"
    );
}

#[test]
fn a_kill_without_any_use_releases_at_once() {
    static RELEASES: AtomicU32 = AtomicU32::new(0);
    static COUNT: Ref = Ref::new(|| _ = RELEASES.fetch_add(1, Ordering::Relaxed));
    COUNT.kill().unwrap();
    assert_eq!(times(&RELEASES), 1);
}

#[test]
fn the_confirmation_comes_between() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    count.get();
    count.put();
    let mut confirmed = 0;
    let confirm = || {
        confirmed += 1;
        assert!(count.try_get_live().is_none());
        assert_eq!(times(&releases), 0, "the first reference is still there");
    };
    count.kill_and_confirm(confirm).unwrap();
    assert_eq!((confirmed, times(&releases)), (1, 1));
    assert_eq!(
        count.kill_and_confirm(|| unreachable!()),
        Err(RefError::AlreadyKilled)
    );
}

#[test]
fn killing_twice_is_refused() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    count.get();
    assert_eq!(count.kill(), Ok(()));
    assert_eq!(count.kill(), Err(RefError::AlreadyKilled));
    count.put();
    assert_eq!(count.kill(), Err(RefError::AlreadyKilled));
    assert_eq!(times(&releases), 1);
}

#[test]
fn lives_and_revivals() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    assert_eq!(count.resurrect(), Err(RefError::NotKilled));
    assert_eq!(count.reinit(), Err(RefError::NotKilled));
    count.get();
    count.kill().unwrap();
    assert_eq!(count.reinit(), Err(RefError::InUse));
    assert_eq!(count.resurrect(), Ok(()));
    assert_eq!(count.is_percid(), has_sections());
    drop(count.try_get_live().expect("live again"));
    count.kill().unwrap();
    count.put();
    assert_eq!(times(&releases), 1);
    assert_eq!(count.resurrect(), Err(RefError::Released));
    for life in 2..20 {
        assert_eq!(count.reinit(), Ok(()));
        assert_eq!(count.is_percid(), has_sections());
        (0..life).for_each(|_| count.get());
        count.kill().unwrap();
        assert_eq!(times(&releases), life - 1);
        (0..life).for_each(|_| count.put());
        assert_eq!(times(&releases), life);
    }
}

#[test]
fn the_atomic_mode_stays_until_it_is_taken_back() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    count.switch_to_atomic().unwrap();
    count.get();
    assert!(!count.is_percid());
    assert_eq!(count.switch_to_percid(), has_sections());
    assert_eq!(count.switch_to_percid(), has_sections());
    count.get();
    count.switch_to_atomic().unwrap();
    count.switch_to_atomic().unwrap();
    count.put();
    count.kill().unwrap();
    count.put();
    assert_eq!(times(&releases), 1);
    count.reinit().unwrap();
    assert!(!count.is_percid(), "a later life keeps the mode");
    count.kill().unwrap();
    assert!(!count.switch_to_percid(), "the dead count on the word");
    assert_eq!(times(&releases), 2);
    count.reinit().unwrap();
    assert_eq!(count.is_percid(), has_sections());
}

#[test]
fn a_put_that_nobody_got_is_caught() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    count.switch_to_atomic().unwrap();
    let caught = "a reference was put that nobody got";
    assert_eq!(panics(|| count.put()), caught);
    // It has not been put.
    count.kill().unwrap();
    assert_eq!(times(&releases), 1);
    assert_eq!(panics(|| count.put()), caught);
    assert!(count.is_zero());
    assert_eq!(times(&releases), 1);
}

/// By cid it is found when the counts come together, and nothing is released.
#[test]
fn a_put_that_nobody_got_is_caught_at_the_kill() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    count.get();
    count.put();
    if !count.is_percid() {
        println!("not by cid here");
        return;
    }
    count.put();
    let caught = "a reference was put that nobody got";
    for _ in 0..2 {
        assert_eq!(panics(|| _ = count.kill()), caught);
        assert!(count.is_dying() && !count.is_zero());
    }
    // Got after all: the kill goes on.
    count.get();
    assert_eq!(count.kill(), Ok(()));
    assert_eq!(times(&releases), 1);
}

#[test]
fn a_get_of_what_was_released_is_caught() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    count.kill().unwrap();
    let message = panics(|| count.get());
    assert!(message.contains("released"), "{message}");
    assert!(count.is_zero());
    assert_eq!(times(&releases), 1);
}

#[test]
fn a_release_that_panics_is_not_repeated() {
    let calls = AtomicU32::new(0);
    let count = Ref::new(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        panic!("in the release");
    });
    count.get();
    count.kill().unwrap();
    assert_eq!(panics(|| count.put()), "in the release");
    assert!(count.is_zero());
    assert_eq!(times(&calls), 1);
    count.reinit().unwrap();
    assert_eq!(panics(|| _ = count.kill()), "in the release");
    assert_eq!(times(&calls), 2);
}

#[test]
fn a_confirmation_that_panics_is_passed_on_after_the_put() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    let message = panics(|| _ = count.kill_and_confirm(|| panic!("in the confirmation")));
    assert_eq!(message, "in the confirmation");
    assert_eq!(times(&releases), 1);
}

#[test]
fn a_thread_that_ends_leaves_its_reference() {
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    std::thread::scope(|scope| {
        scope.spawn(|| count.get());
        scope.spawn(|| count.try_get_live().expect("live").keep());
    });
    count.kill().unwrap();
    assert_eq!(times(&releases), 0);
    count.put();
    assert_eq!(times(&releases), 0);
    std::thread::scope(|scope| scope.spawn(|| count.put()).join().unwrap());
    assert_eq!(times(&releases), 1);
}

#[test]
fn words_are_given_back() {
    let words = || arena_stats().words;
    let in_child = in_child("words_are_given_back", |_| ());
    if !in_child {
        return;
    }
    let before = words();
    let counts: Vec<Ref> = (0..1000).map(|_| -> Ref { Ref::new(|| ()) }).collect();
    counts.iter().for_each(Ref::get);
    let used = if has_sections() { 1000 } else { 0 };
    assert_eq!(words() - before, used);
    // Some while they live, some killed, some released.
    for (number, count) in counts.iter().enumerate() {
        if number % 2 == 0 {
            count.kill().unwrap();
        }
        if number % 4 == 0 {
            count.put();
        }
    }
    drop(counts);
    assert_eq!(words(), before);
    // Words that are used again read zero.
    for _ in 0..3000 {
        let count: Ref = Ref::new(|| ());
        count.get();
        count.kill().unwrap();
        count.put();
        assert!(count.is_zero());
    }
}

/// Kills against threads that get and put all the time, some of which cannot run
/// sections: each life is released once, and by nobody while a reference is held.
#[test]
fn thousands_of_kills_against_churning_getters() {
    if !in_child("thousands_of_kills_against_churning_getters", |_| ()) {
        return;
    }
    panics_end_the_process();
    const KILLS: u64 = 3000;
    const GETTERS: u64 = 4;
    static HELD: AtomicU64 = AtomicU64::new(0);
    static RELEASES: AtomicU64 = AtomicU64::new(0);
    static COUNT: Ref = Ref::new(|| {
        // Ordering: Acquire: whoever holds it has said so before the put.
        assert_eq!(HELD.load(Ordering::Acquire), 0, "released while held");
        RELEASES.fetch_add(1, Ordering::Relaxed);
    });
    static GOT: AtomicU64 = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for getter in 0..GETTERS {
            let done = &done;
            scope.spawn(move || {
                let mut kept = Vec::new();
                drop(COUNT.try_get());
                if getter == 0 {
                    let _ = unregister_thread();
                }
                let mut turn = getter;
                while !done.load(Ordering::Relaxed) {
                    turn += 1;
                    // Others wait for what this one holds, perhaps on its CPU.
                    if turn % 16 == 0 {
                        std::thread::yield_now();
                    }
                    let got = if turn % 2 == 0 {
                        COUNT.try_get()
                    } else {
                        COUNT.try_get_live()
                    };
                    match got {
                        Some(held) => {
                            HELD.fetch_add(1, Ordering::Relaxed);
                            GOT.fetch_add(1, Ordering::Relaxed);
                            COUNT.get();
                            COUNT.put();
                            kept.push(held);
                        }
                        None => std::thread::yield_now(),
                    }
                    if kept.len() > turn as usize % 5 {
                        for held in kept.drain(..) {
                            // Ordering: Release, as above.
                            HELD.fetch_sub(1, Ordering::Release);
                            drop(held);
                        }
                    }
                    // Who keeps some and gets none would keep them for ever.
                    if COUNT.is_dying() {
                        for held in kept.drain(..) {
                            HELD.fetch_sub(1, Ordering::Release);
                            drop(held);
                        }
                    }
                }
                for held in kept {
                    HELD.fetch_sub(1, Ordering::Release);
                    drop(held);
                }
            });
        }
        for kill in 1..=KILLS {
            // Somebody has got some in this life, or not for long.
            let before = GOT.load(Ordering::Relaxed);
            for _ in 0..100 {
                if GOT.load(Ordering::Relaxed) > before + 3 {
                    break;
                }
                std::thread::yield_now();
            }
            match kill % 5 {
                0 => {
                    COUNT.switch_to_atomic().unwrap();
                    COUNT.switch_to_percid();
                }
                1 => {
                    COUNT.get();
                    COUNT.kill().unwrap();
                    COUNT.resurrect().unwrap();
                    COUNT.put();
                }
                _ => {}
            }
            COUNT.kill().unwrap();
            while RELEASES.load(Ordering::Relaxed) < kill {
                std::thread::yield_now();
            }
            assert_eq!(RELEASES.load(Ordering::Relaxed), kill);
            COUNT.reinit().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    COUNT.kill().unwrap();
    assert_eq!(RELEASES.load(Ordering::Relaxed), KILLS + 1);
    println!("{} references", GOT.load(Ordering::Relaxed));
}

/// References that are got under one cid and put under another, or by a thread without
/// sections, and never by who got them.
#[test]
fn references_move_between_threads() {
    const MOVES: u32 = 50_000;
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(64);
    std::thread::scope(|scope| {
        let (count, releases) = (&count, &releases);
        scope.spawn(move || {
            for _ in 0..MOVES {
                count.get();
                sender.send(()).unwrap();
            }
        });
        scope.spawn(move || {
            drop(count.try_get());
            let _ = unregister_thread();
            while receiver.recv().is_ok() {
                count.put();
                assert_eq!(times(releases), 0);
            }
        });
    });
    count.kill().unwrap();
    assert_eq!(times(&releases), 1);
}

#[test]
fn handlers_get_and_put() {
    static RELEASES: AtomicU32 = AtomicU32::new(0);
    static COUNT: Ref = Ref::new(|| _ = RELEASES.fetch_add(1, Ordering::Relaxed));
    extern "C" fn on_signal(_: i32) {
        // The first use, too, may be in a handler.
        if let Some(held) = COUNT.try_get_live() {
            COUNT.get();
            COUNT.put();
            drop(held);
        }
    }
    handle(libc::SIGUSR1, on_signal);
    under_signals(libc::SIGUSR1, || {
        for _ in 0..5000 {
            COUNT.get();
            COUNT.put();
        }
    });
    COUNT.kill().unwrap();
    assert_eq!(times(&RELEASES), 1);
}

#[test]
fn no_fence_from_the_start() {
    let calls = &[libc::SYS_membarrier];
    if !in_child("no_fence_from_the_start", |child| forbid(child, calls)) {
        return;
    }
    let releases = AtomicU32::new(0);
    let count = counted(&releases);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    count.get();
                    count.put();
                }
            });
        }
    });
    assert!(!count.is_percid() && !count.switch_to_percid());
    assert_eq!(count.kill(), Ok(()));
    assert_eq!(times(&releases), 1);
}

/// A sandbox that is entered while references live: nothing is released, and all else
/// goes on.
#[test]
fn no_fence_any_more() {
    if !in_child("no_fence_any_more", |_| ()) {
        return;
    }
    let releases = AtomicU32::new(0);
    let (count, atomic) = (counted(&releases), counted(&releases));
    count.get();
    if !count.is_percid() {
        println!("not by cid here");
        return;
    }
    atomic.get();
    atomic.switch_to_atomic().unwrap();
    if catch(&[libc::SYS_membarrier], Fate::Errno(libc::ENOSYS)).is_err() {
        println!("no sandbox here");
        return;
    }
    let refused = Err(RefError::Fence(BarrierError::Unsupported));
    assert_eq!(count.switch_to_atomic(), refused);
    assert!(!count.is_percid());
    assert!(count.switch_to_percid(), "back to what it was");
    assert!(count.is_percid());
    for _ in 0..2 {
        assert_eq!(count.kill(), refused);
        assert!(count.is_dying() && !count.is_percid() && !count.is_zero());
        assert!(count.try_get_live().is_none());
        drop(count.try_get().expect("the kill has not ended"));
    }
    assert_eq!(count.reinit(), Err(RefError::InUse));
    assert_eq!(count.resurrect(), Ok(()));
    drop(count.try_get_live().expect("live again"));
    assert_eq!(count.kill(), refused);
    count.put();
    assert_eq!(times(&releases), 0);
    // Who needs no fence is not held up.
    assert_eq!(atomic.kill(), Ok(()));
    atomic.put();
    assert_eq!(times(&releases), 1);
}

/// Children of fork, made while another thread is in the middle of switches.
#[test]
fn children_take_switches_over() {
    if !in_child("children_take_switches_over", |_| ()) {
        return;
    }
    panics_end_the_process();
    static RELEASES: AtomicU32 = AtomicU32::new(0);
    static COUNT: Ref = Ref::new(|| _ = RELEASES.fetch_add(1, Ordering::Relaxed));
    let done = AtomicBool::new(false);
    COUNT.get();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                COUNT.switch_to_atomic().unwrap();
                COUNT.switch_to_percid();
            }
        });
        for _ in 0..100 {
            // SAFETY: the child takes no lock that a thread may have held, and allocates
            // nothing; it ends without running this program's exit.
            match unsafe { libc::fork() } {
                0 => {
                    // SAFETY: no preconditions. A child that hangs is ended, and fails.
                    unsafe { libc::alarm(60) };
                    COUNT.get();
                    COUNT.put();
                    let killed = COUNT.kill() == Ok(()) && times(&RELEASES) == 0;
                    COUNT.put();
                    let exact = killed && times(&RELEASES) == 1 && COUNT.is_zero();
                    // SAFETY: as above.
                    unsafe { libc::_exit(i32::from(!exact)) };
                }
                child => {
                    assert!(child > 0, "fork");
                    let mut status = 0;
                    // SAFETY: a child of this process and a valid place.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    assert_eq!(status, 0, "the child counted wrong");
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    COUNT.kill().unwrap();
    assert_eq!(times(&RELEASES), 0);
    COUNT.put();
    assert_eq!(times(&RELEASES), 1);
}

#[test]
fn the_small_things() {
    assert_eq!(size_of::<Ref>(), 32);
    let zero_sized = Ref::new(|| ());
    assert_eq!(size_of_val(&zero_sized), 24);
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&zero_sized);
    let held = zero_sized.try_get().expect("alive");
    assert_eq!(
        format!("{held:?}"),
        format!("Held({zero_sized:?})"),
        "by cid or not"
    );
    for (error, text) in [
        (RefError::AlreadyKilled, "killed before"),
        (RefError::NotKilled, "not killed"),
        (RefError::Released, "reinit"),
        (RefError::InUse, "references left"),
        (RefError::Fence(BarrierError::Unsupported), "membarrier"),
    ] {
        assert!(error.to_string().contains(text), "{error}");
    }
}
