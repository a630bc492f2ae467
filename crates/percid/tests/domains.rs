//! Counters in domains, and the process on a table of its own.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::ptr::NonNull;
use std::time::Duration;

use percid::{
    Bound, Counter, Domain, Link, Linked, List, PerCid, PerCidError, Reason, RemoteError, Source,
    arena_stats, backend, domain_arena_stats,
};
use percid_rseq::membarrier::BarrierError;
use support::{Random, allowed_cpus, forbid, in_child, pin_to};

/// Counts from threads that join and are moved, and checks the total.
fn counts_exactly(domain: &Domain, threads: u64) {
    const ADDS: u64 = 20_000;
    let counter = Counter::in_domain(domain).expect("memory");
    let cpus = allowed_cpus();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (counter, cpus) = (&counter, &cpus);
            scope.spawn(move || {
                let _joined = domain.join();
                let mut random = Random::new(thread);
                for turn in 0..ADDS / 2 {
                    if turn % 100 == 0 {
                        pin_to(cpus[random.below(cpus.len())]);
                    }
                    counter.inc();
                    counter.add(1);
                }
            });
        }
    });
    assert_eq!(counter.sum(), threads * ADDS, "{:?}", domain.stats());
    assert_eq!(counter.take(), threads * ADDS);
    assert_eq!(counter.sum(), 0);
}

#[test]
fn a_pool_in_a_busy_process_has_small_ids() {
    let domain = Domain::builder()
        .bound(Bound::Strict)
        .period(Duration::from_millis(5))
        .build()
        .expect("a domain");
    for threads in [2, 5] {
        counts_exactly(&domain, threads);
        let stats = domain_arena_stats(&domain);
        assert!(u64::from(stats.cid_stripes) <= threads, "{stats:?}");
    }
    assert_eq!(domain_arena_stats(&domain).words, 0);
}

#[test]
fn domains_are_apart_and_go_with_their_counters() {
    let domains: Vec<Domain> = (0..200)
        .map(|_| Domain::builder().build().expect("a domain"))
        .collect();
    let counters: Vec<Counter<Domain>> = domains
        .iter()
        .map(|domain| Counter::in_domain(domain).expect("memory"))
        .collect();
    drop(domains);
    for (n, counter) in counters.iter().enumerate() {
        counter.add(n as u64);
    }
    for (n, counter) in counters.iter().enumerate() {
        assert_eq!(counter.sum(), n as u64);
    }
}

#[test]
fn the_process_is_a_domain_too() {
    let before = arena_stats().words;
    let counter = Counter::in_domain(&Domain::process()).expect("memory");
    counter.add(3);
    assert_eq!(counter.sum(), 3);
    assert_eq!(arena_stats().words, before + 1);
    assert_eq!(Domain::process().source(), backend().source);
    assert_eq!(Domain::process().limit(), arena_stats().cid_stripes);
}

#[test]
fn words_are_used_again_and_read_zero() {
    let domain = Domain::builder().build().expect("a domain");
    for _ in 0..1000 {
        let counters: Vec<_> = (0..10)
            .map(|_| Counter::in_domain(&domain).expect("memory"))
            .collect();
        for counter in &counters {
            assert_eq!(counter.sum(), 0);
            counter.add(7);
        }
    }
    assert_eq!(domain_arena_stats(&domain).words, 0);
}

static COUNTER: Counter = Counter::new();

/// As on Linux before 6.3: percid keeps the process's ids.
#[test]
fn the_process_on_a_table() {
    let ask = |child: &mut std::process::Command| {
        child.env("PERCID_BACKEND", "table");
    };
    if !in_child("the_process_on_a_table", ask) {
        return;
    }
    const ADDS: u64 = 50_000;
    let cpus = allowed_cpus();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cpus = &cpus;
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for turn in 0..ADDS {
                    if turn % 100 == 0 {
                        pin_to(cpus[random.below(cpus.len())]);
                    }
                    COUNTER.inc();
                }
            });
        }
    });
    assert_eq!(COUNTER.sum(), 4 * ADDS);
    if backend().reason != Reason::TableRequested {
        println!("no tables here: {:?}", backend());
        return;
    }
    let stats = Domain::process().stats();
    assert_eq!(backend().source, Source::Table);
    assert!(stats.acquisitions > 0, "{stats:?}");
    assert!(
        arena_stats().cid_stripes as usize <= cpus.len(),
        "{stats:?}"
    );
    // A child counts on with its parent's ids.
    // SAFETY: the child counts, checks and ends.
    match unsafe { libc::fork() } {
        0 => {
            (0..1000).for_each(|_| COUNTER.inc());
            let exact = COUNTER.sum() == 4 * ADDS + 1000;
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!exact)) }
        }
        child => {
            let mut status = -1;
            // SAFETY: a child of this process and a place for its status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
        }
    }
    assert_eq!(COUNTER.take(), 4 * ADDS);
}

#[test]
fn without_fences_a_domain_counts_by_thread() {
    let calls = &[libc::SYS_membarrier];
    if !in_child("without_fences_a_domain_counts_by_thread", |child| {
        forbid(child, calls)
    }) {
        return;
    }
    let domain = Domain::builder().build().expect("a domain");
    assert_eq!(domain.source(), Source::Thread);
    counts_exactly(&domain, 4);
    assert_eq!(domain.stats().acquisitions, 0);
}

/// A host that wipes no memory in children: tables could not tell whose ids they hold.
#[test]
fn without_wiped_memory_a_domain_counts_by_thread() {
    let name = "without_wiped_memory_a_domain_counts_by_thread";
    let calls = &[libc::SYS_madvise];
    if !in_child(name, |child| {
        forbid(child, calls);
        child.env("PERCID_BACKEND", "table");
    }) {
        return;
    }
    let domain = Domain::builder().build().expect("a domain");
    assert_eq!(domain.source(), Source::Thread);
    counts_exactly(&domain, 4);
    assert_eq!(domain.stats().acquisitions, 0);
    assert_ne!(backend().source, Source::Table);
}

struct Node {
    link: Link,
}

// SAFETY: that is where the link is.
unsafe impl Linked for Node {
    const LINK: usize = std::mem::offset_of!(Node, link);
}

/// The same where the kernel makes them and they do not abort sections.
#[test]
fn with_fences_that_abort_nothing_a_domain_counts_by_thread() {
    let ask = |child: &mut std::process::Command| {
        child.env("PERCID_TRIAL", "fail-fence");
    };
    let name = "with_fences_that_abort_nothing_a_domain_counts_by_thread";
    if !in_child(name, ask) {
        return;
    }
    let domain = Domain::builder().build().expect("a domain");
    assert_eq!(domain.source(), Source::Thread);
    counts_exactly(&domain, 4);
    assert_eq!(domain.stats().acquisitions, 0);
    assert_ne!(backend().source, Source::Table);
    // Nor is a walk over values of cids, or over magazines, safe behind them.
    if backend().source == Source::MmCid {
        assert_eq!(percid_cid::fence(), Err(BarrierError::Unsupported));
        let values = PerCid::new(|| 1);
        assert_eq!(values.with(|value| *value), Ok(1));
        let refused = Err(PerCidError::NoFence(BarrierError::Unsupported));
        assert_eq!(values.for_each(|_| ()), refused);
        let list: List<Node> = List::new();
        let node = NonNull::from(Box::leak(Box::new(Node { link: Link::new() })));
        // SAFETY: its own memory, which stays.
        unsafe { list.push(node) };
        let refused = RemoteError::NoFence(BarrierError::Unsupported);
        assert_eq!(list.drain().err(), Some(refused));
        assert_eq!(list.pop(), Some(node));
    }
}

/// What a domain costs on a machine with 512 possible CPUs, arenas excluded.
#[test]
fn a_domain_of_four_threads_on_512_cpus_is_small() {
    const MOST: usize = 128 << 10;
    let imagine = |child: &mut std::process::Command| {
        child.env("PERCID_POSSIBLE_CPUS", "512");
    };
    if !in_child("a_domain_of_four_threads_on_512_cpus_is_small", imagine) {
        return;
    }
    fn use_once(domain: &Domain) -> percid::Joined {
        let joined = domain.join();
        let _ = domain.admit(&mut percid_cid::domain::Attempts::default());
        joined
    }
    let start = std::sync::Barrier::new(5);
    let domain = std::sync::OnceLock::<Domain>::new();
    std::thread::scope(|scope| {
        let (domain, start) = (&domain, &start);
        for _ in 0..4 {
            scope.spawn(move || {
                // What the first domain of a process touches is not the second's.
                drop(use_once(&Domain::builder().build().expect("a domain")));
                start.wait();
                start.wait();
                let _joined = use_once(domain.get().expect("built in between"));
                start.wait();
                start.wait();
            });
        }
        // The threads are there, with all that they cost.
        start.wait();
        let before = support::resident();
        let built = Domain::builder().bound(Bound::Strict).build();
        domain.set(built.expect("a domain")).expect("once");
        start.wait();
        start.wait();
        let grown = support::resident().saturating_sub(before);
        // The others are let go before anything may panic.
        start.wait();
        println!("a domain on 512 CPUs: {grown} bytes, {:?}", domain.get());
        assert!(grown < MOST, "{grown} bytes");
    });
}

/// An arena that has no room for ids that are in use already is refused, every time.
#[test]
fn an_arena_that_is_too_small_is_refused_again_and_again() {
    if !in_child(
        "an_arena_that_is_too_small_is_refused_again_and_again",
        |_| (),
    ) {
        return;
    }
    use percid_cid::domain::{Attempts, Policy};
    let cpus = allowed_cpus();
    let domain = Domain::builder().policy(Policy::V6).build().expect("one");
    if cpus.len() < 2 || domain.source() != Source::Table {
        println!("not two ids here");
        return;
    }
    for &cpu in &cpus[..2] {
        pin_to(cpu);
        let _ = domain.admit(&mut Attempts::default());
    }
    assert_eq!(domain.limit(), 2);
    // Room for one stripe of ids, one of threads and the ledger.
    let limit = libc::rlimit {
        rlim_cur: 15 << 20,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: a valid limit.
    let limited = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(limited, 0);
    let (first, second) = (Counter::in_domain(&domain), Counter::in_domain(&domain));
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        ..limit
    };
    // SAFETY: as above.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
}

/// Threads that make counters while others fork: a child can make one, too.
#[test]
fn a_child_can_make_counters() {
    let domain = Domain::builder().build().expect("a domain");
    let done = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    let mut refused = 0;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(order) {
                    drop(Counter::in_domain(&domain));
                }
            });
        }
        for _ in 0..20 {
            // SAFETY: the child makes a counter in a domain that has its arena, and ends.
            match unsafe { libc::fork() } {
                0 => {
                    let refused = Counter::in_domain(&domain).is_err();
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(i32::from(refused)) }
                }
                child => {
                    let mut status = -1;
                    // SAFETY: a child of this process and a place for its status.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    refused += status;
                }
            }
        }
        done.store(true, order);
    });
    assert_eq!(refused, 0);
}
