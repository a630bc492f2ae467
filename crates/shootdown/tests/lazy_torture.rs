//! Readers of lazy references under timers, migrations and stores. Every value is checked
//! when it is read, and overwritten when it is dropped; its domain looks at all slots after
//! every shootdown, fills what is dead with a pattern, and keeps it for a while.
//!
//! That faults of the protocol show is the checker's business, and that of `torture`, which
//! has the negative controls: no fence, the simple slot.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use percid_shootdown::lazy::{LazyCell, LazyDomain, Lease, Policy};

const WORDS: usize = 16;

/// The same number in every word, until it is dropped.
struct Value {
    words: [AtomicU64; WORDS],
    alive: Arc<AtomicUsize>,
}

impl Value {
    fn new(number: u64, alive: &Arc<AtomicUsize>) -> Value {
        alive.fetch_add(1, Ordering::Relaxed);
        Value {
            words: [const { AtomicU64::new(0) }; WORDS].map(|_| AtomicU64::new(number)),
            alive: Arc::clone(alive),
        }
    }

    fn is_whole(&self) -> bool {
        let first = self.words[0].load(Ordering::Relaxed);
        let mut words = self.words.iter();
        first != DEAD && words.all(|word| word.load(Ordering::Relaxed) == first)
    }
}

const DEAD: u64 = u64::MAX;

impl Drop for Value {
    fn drop(&mut self) {
        self.words
            .iter()
            .for_each(|word| word.store(DEAD, Ordering::Relaxed));
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pins the calling thread to one of the CPUs that it may use.
fn migrate(turn: usize, cpus: &[usize]) {
    // SAFETY: a set that is filled before its use, for the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpus[turn % cpus.len()], &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a valid place for the set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &raw mut set);
        let all = 0..libc::CPU_SETSIZE as usize;
        all.filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
    }
}

extern "C" fn ignore(_: i32) {}

/// Signals that land in the process's threads, as often as the kernel's timer lets them.
fn timer(micros: i64) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: micros,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: a handler that does nothing; valid values.
    unsafe {
        libc::signal(libc::SIGALRM, ignore as *const () as usize);
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

/// What one run does: as many stores as it is told, or as fit in its time.
fn torture(policy: Policy, stores: u64) {
    let patience = Duration::from_secs(3);
    let domain = LazyDomain::new(policy.check(true));
    let alive = Arc::new(AtomicUsize::new(0));
    let cells: Vec<LazyCell<Value>> = (0..3)
        .map(|number| domain.cell(Value::new(number, &alive)))
        .collect();
    let (done, bad) = (AtomicBool::new(false), AtomicU64::new(0));
    // Leases that go from thread to thread, and stay for a while.
    let kept = Mutex::new(Vec::<Lease<Value>>::new());
    let cpus = allowed_cpus();
    std::thread::scope(|scope| {
        for reader in 0..3_usize {
            let (cells, done, bad, kept, cpus) = (&cells, &done, &bad, &kept, &cpus);
            scope.spawn(move || {
                let mut turn = reader;
                while !done.load(Ordering::Relaxed) {
                    let lease = cells[turn % cells.len()].load();
                    let nested = cells[turn / 3 % cells.len()].load();
                    let whole = lease.is_whole() && nested.is_whole();
                    if !whole {
                        bad.fetch_add(1, Ordering::Relaxed);
                    }
                    if turn % 64 == 0 {
                        migrate(turn / 64, cpus);
                        let mut kept = kept.lock().unwrap();
                        kept.push(lease);
                        if kept.len() > 4 {
                            let oldest = kept.remove(0);
                            if !oldest.is_whole() {
                                bad.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    turn += 1;
                }
            });
        }
        let start = Instant::now();
        for number in 0..stores {
            let cell = &cells[number as usize % cells.len()];
            cell.store(domain.share(Value::new(number, &alive)));
            if number % 16 == 0 {
                std::thread::yield_now();
            }
            if start.elapsed() > patience {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(bad.into_inner(), 0, "reads of what was freed");
    drop(kept);
    drop(cells);
    domain.flush();
    let stats = domain.stats();
    println!("{stats:?}");
    assert_eq!(alive.load(Ordering::Relaxed), 0, "{stats:?}");
    assert_eq!(stats.made, stats.freed, "{stats:?}");
}

#[test]
fn readers_under_stores_timers_and_migrations() {
    timer(500);
    for policy in [
        Policy::new(),
        Policy::new().batch(8).switch_away(true),
        Policy::new().filter(false).clear_bits(false),
    ] {
        torture(policy, 20_000);
    }
    timer(0);
}
