//! Threads that end, fork and are interrupted where it hurts: nothing is lost, no id
//! leaks.
#![cfg(all(target_os = "linux", not(loom)))]

mod common;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use percid_cid::domain::Policy;
use percid_cid::{Bound, Domain};

use common::{Counter, allowed_cpus, domain, pin_to};

const PERIOD: Duration = Duration::from_millis(5);

/// A thread ends while its CPU holds the only id that there is; the next thread, on
/// another CPU, must get it.
#[test]
fn a_thread_that_ends_with_the_last_id_leaves_it_to_the_next() {
    for policy in [Policy::V3, Policy::V6, Policy::COMBINED] {
        let Some(domain) = domain(Bound::At(1), PERIOD, policy) else {
            return;
        };
        let (counter, cpus) = (Counter::new(&domain), allowed_cpus());
        for turn in 0..20 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    pin_to(&[cpus[turn % cpus.len()]]);
                    (0..10).for_each(|_| counter.add(1));
                });
            });
        }
        assert_eq!(counter.total(), 200);
        assert_eq!(counter.on_fallback(), 0, "{:?}", domain.stats());
        assert_eq!(domain.ids_in_use(), 1);
    }
}

static COUNTER: OnceLock<Counter> = OnceLock::new();
static IN_CHILD: AtomicBool = AtomicBool::new(false);
static CHILDREN: AtomicU32 = AtomicU32::new(0);
static WRONG: AtomicU32 = AtomicU32::new(0);

/// Forks wherever it lands. The child goes on from there; the parent waits for it.
extern "C" fn fork_here(_: i32) {
    // SAFETY: fork and waitpid may be called in a handler.
    unsafe {
        match libc::fork() {
            0 => IN_CHILD.store(true, Ordering::Relaxed),
            child => {
                let mut status = -1;
                libc::waitpid(child, &raw mut status, 0);
                WRONG.fetch_or(status.cast_unsigned() >> 8, Ordering::Relaxed);
                CHILDREN.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// What a child does when it is back from the handler: it counts on, and no id is lost.
fn as_a_child(counter: &Counter, domain: &Domain) -> ! {
    let before = counter.total();
    (0..100).for_each(|_| counter.add(1));
    let exact = counter.total() == before + 100;
    domain.compact();
    let free = domain.ids_in_use() == 0;
    // SAFETY: ends the child at once.
    unsafe { libc::_exit(i32::from(!exact) | i32::from(!free) << 1) }
}

/// Signals whose handlers fork land in slow paths, for there are hardly any others: two
/// threads rob each other of the only id.
#[test]
fn a_fork_from_inside_a_slow_path_loses_nothing() {
    const FORKS: u32 = 100;
    let Some(domain) = domain(Bound::At(1), PERIOD, Policy::COMBINED) else {
        return;
    };
    // SAFETY: the handler does what may be done in one.
    unsafe { libc::signal(libc::SIGUSR2, fork_here as *const () as usize) };
    let counter = COUNTER.get_or_init(|| Counter::new(&domain));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|number| {
                let (domain, done) = (&domain, &done);
                scope.spawn(move || {
                    // SAFETY: no preconditions.
                    let me = unsafe { libc::pthread_self() } as u64;
                    let cpus = allowed_cpus();
                    THREADS[number].store(me, Ordering::Relaxed);
                    let mut turn = number;
                    while !done.load(Ordering::Relaxed) {
                        pin_to(&[cpus[turn % cpus.len()]]);
                        counter.add(1);
                        turn += 1;
                        if IN_CHILD.load(Ordering::Relaxed) {
                            as_a_child(counter, domain);
                        }
                    }
                    turn - number
                })
            })
            .collect();
        let mut next = 0;
        while CHILDREN.load(Ordering::Relaxed) < FORKS {
            let thread = THREADS[next % 2].load(Ordering::Relaxed);
            if thread != 0 {
                // SAFETY: the threads run until `done`.
                unsafe { libc::pthread_kill(thread as libc::pthread_t, libc::SIGUSR2) };
            }
            next += 1;
            std::thread::sleep(Duration::from_micros(300));
        }
        done.store(true, Ordering::Relaxed);
        let added: usize = workers.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(counter.total(), added as u64);
    });
    let wrong = WRONG.load(Ordering::Relaxed);
    assert_eq!(wrong, 0, "1: a child was not exact, 2: it lost an id");
    let stats = domain.stats();
    println!("{FORKS} forks: {stats:?}");
    assert!(
        stats.steals + stats.handovers > 0,
        "no slow path to land in"
    );
    domain.compact();
    assert_eq!(domain.ids_in_use(), 0, "the parent lost an id");
}

static THREADS: [std::sync::atomic::AtomicU64; 2] =
    [const { std::sync::atomic::AtomicU64::new(0) }; 2];

/// A child is killed wherever it is, again and again; the parent does not notice.
#[test]
fn a_child_that_is_killed_takes_nothing_with_it() {
    let Some(domain) = domain(Bound::Relaxed, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    for turn in 0..50 {
        counter.add(1);
        // SAFETY: the child counts until it is killed.
        match unsafe { libc::fork() } {
            0 => loop {
                counter.add(1);
                domain.compact();
            },
            child => {
                std::thread::sleep(Duration::from_micros(turn * 20));
                // SAFETY: a child of this process.
                unsafe {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, std::ptr::null_mut(), 0);
                }
            }
        }
    }
    assert_eq!(counter.total(), 50);
    domain.compact();
    assert_eq!(domain.ids_in_use(), 0);
}

/// A child counts the thread that it has, whoever uses the domain first there.
#[test]
fn a_child_counts_the_thread_that_had_joined() {
    let Some(domain) = domain(Bound::Strict, PERIOD, Policy::COMBINED) else {
        return;
    };
    let counter = Counter::new(&domain);
    let other = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                // Joined for ever, in the parent only.
                std::mem::forget(domain.join());
            })
            .join()
    });
    assert!(other.is_ok());
    let joined = domain.join();
    counter.add(1);
    assert_eq!(domain.stats().joined, 2);
    // SAFETY: libc's allocator works in a child of fork; the child ends without running
    // the parent's destructors.
    match unsafe { libc::fork() } {
        0 => {
            let by_another = std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    counter.add(1);
                    domain.stats().joined
                });
                other.join().unwrap_or(9)
            });
            let again = domain.join();
            let two = domain.stats().joined;
            drop(again);
            let one = domain.stats().joined;
            (0..1000).for_each(|_| counter.add(1));
            let exact = counter.total() == 1002;
            drop(joined);
            let none = domain.stats().joined;
            let right = [by_another == 0, two == 2, one == 1, exact, none == 0];
            let wrong = right.iter().enumerate();
            let wrong = wrong.map(|(bit, &right)| i32::from(!right) << bit).sum();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(wrong) }
        }
        child => {
            let mut status = -1;
            // SAFETY: a child of this process and a place for its status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(
                status >> 8,
                0,
                "1: another counted, 2: not two, 4: not one, 8: not exact, 16: not none"
            );
        }
    }
    drop(joined);
    assert_eq!(domain.stats().joined, 1);
}
