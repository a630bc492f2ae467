//! Kills against threads that get and put all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use percid::{Domain, Ref, Scope};
use percid_rseq::testing::unregister_thread;

use crate::a_domain;
use crate::support::{in_child, panics_end_the_process, wait_for};

const KILLS: u64 = 3000;
const GETTERS: u64 = 4;

/// References that the threads hold, by their own account.
static HELD: AtomicU64 = AtomicU64::new(0);
static RELEASES: AtomicU64 = AtomicU64::new(0);
static GOT: AtomicU64 = AtomicU64::new(0);

fn release() {
    // Ordering: Acquire: whoever holds it has said so before the put.
    assert_eq!(HELD.load(Ordering::Acquire), 0, "released while held");
    RELEASES.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn thousands_of_kills_against_churning_getters() {
    if in_child(
        "storms::thousands_of_kills_against_churning_getters",
        |_| (),
    ) {
        static COUNT: Ref = Ref::new(release);
        storm(&COUNT);
    }
}

#[test]
fn thousands_of_kills_in_a_domain() {
    if in_child("storms::thousands_of_kills_in_a_domain", |_| ()) {
        let count: Ref<fn(), Domain> = Ref::in_domain(&a_domain(), release as fn()).unwrap();
        storm(&count);
    }
}

/// Some of the threads cannot run sections. Each life is released once, and by nobody
/// while a reference is held.
fn storm(count: &Ref<fn(), impl Scope>) {
    panics_end_the_process();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for getter in 0..GETTERS {
            let done = &done;
            scope.spawn(move || {
                let mut kept = Vec::new();
                drop(count.try_get());
                if getter == 0 {
                    // SAFETY: nothing follows a pointer here.
                    let _ = unsafe { unregister_thread() };
                }
                let mut turn = getter;
                while !done.load(Ordering::Relaxed) {
                    turn += 1;
                    // Others wait for what this one holds, perhaps on its CPU.
                    if turn % 16 == 0 {
                        std::thread::yield_now();
                    }
                    let got = if turn % 2 == 0 {
                        count.try_get()
                    } else {
                        count.try_get_live()
                    };
                    match got {
                        Some(held) => {
                            HELD.fetch_add(1, Ordering::Relaxed);
                            GOT.fetch_add(1, Ordering::Relaxed);
                            count.get();
                            count.put();
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
                    if count.is_dying() {
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
                    count.switch_to_atomic().unwrap();
                    count.switch_to_percid();
                }
                1 => {
                    count.get();
                    count.kill().unwrap();
                    count.resurrect().unwrap();
                    count.put();
                }
                _ => {}
            }
            count.kill().unwrap();
            wait_for("released", || RELEASES.load(Ordering::Relaxed) >= kill);
            assert_eq!(RELEASES.load(Ordering::Relaxed), kill);
            count.reinit().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    count.kill().unwrap();
    assert_eq!(RELEASES.load(Ordering::Relaxed), KILLS + 1);
    println!("{} references", GOT.load(Ordering::Relaxed));
}
