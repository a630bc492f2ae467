//! Lazy references where something goes wrong, or is unusual: handlers, threads that end,
//! destructors, forks; and policies that wait.
#![cfg(target_os = "linux")]

#[path = "support/child.rs"]
mod child;
#[allow(dead_code, reason = "more than is needed here")]
#[path = "../../rseq/tests/support/seccomp.rs"]
mod seccomp;
#[path = "support/twice.rs"]
mod twice;

use std::cell::RefCell;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};

use child::in_child;
use percid_shootdown::lazy::{LazyCell, LazyDomain, Lease, Policy, Shared, in_handler};
use seccomp::forbid;
use twice::{Twice, domain};

/// What handlers store; each gives one up that was prepared for it, for they must not
/// allocate.
static STOCK: LazyLock<Vec<Mutex<Option<Shared<Twice>>>>> = LazyLock::new(|| {
    let new = |number| Mutex::new(Some(HANDLED.share(Twice::new(number, &HANDLED_DROPS))));
    (0..STORES).map(new).collect()
});
const STORES: usize = 2_000;
static HANDLED: LazyLock<LazyDomain> = LazyLock::new(domain);
static HANDLED_DROPS: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);
static HANDLED_CELL: LazyLock<LazyCell<Twice>> =
    LazyLock::new(|| HANDLED.cell(Twice::new(0, &HANDLED_DROPS)));
static NEXT: AtomicUsize = AtomicUsize::new(0);
static BAD: AtomicBool = AtomicBool::new(false);

/// Loads, twice at a time, and stores.
extern "C" fn handler(_: i32) {
    in_handler(|| {
        let lease = HANDLED_CELL.load();
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let new = STOCK.get(next).and_then(|one| one.try_lock().ok()?.take());
        if let Some(new) = new {
            HANDLED_CELL.store(new);
        }
        let other = HANDLED_CELL.load();
        if !lease.is_whole() || !other.is_whole() {
            BAD.store(true, Ordering::Relaxed);
        }
    });
}

/// Handlers that interrupt loads, drops, stores and shootdowns anywhere.
#[test]
fn handlers_do_all_of_it() {
    LazyLock::force(&STOCK);
    LazyLock::force(&HANDLED_CELL);
    // SAFETY: a handler that does what may be done in one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
    // SAFETY: names the calling thread, which outlives the one that uses it.
    let thread = unsafe { libc::pthread_self() };
    let working = AtomicBool::new(true);
    let mut stored = 0;
    std::thread::scope(|scope| {
        let working = &working;
        scope.spawn(move || {
            while working.load(Ordering::Relaxed) && NEXT.load(Ordering::Relaxed) < STORES {
                // SAFETY: as above.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                std::thread::sleep(std::time::Duration::from_micros(20));
            }
        });
        for turn in 0..20_000 {
            let lease = HANDLED_CELL.load();
            if turn % 8 == 0 {
                stored += 1;
                HANDLED_CELL.store(HANDLED.share(Twice::new(turn, &HANDLED_DROPS)));
            }
            if !lease.is_whole() {
                BAD.store(true, Ordering::Relaxed);
            }
        }
        working.store(false, Ordering::Relaxed);
    });
    assert!(!BAD.load(Ordering::Relaxed), "read after its end");
    let handled = NEXT.load(Ordering::Relaxed).min(STORES);
    println!("{handled} stores in handlers");
    HANDLED.flush();
    assert_eq!(HANDLED_DROPS.load(Ordering::Relaxed), stored + handled);
}

thread_local! {
    static KEPT: RefCell<Option<Lease<Twice>>> = const { RefCell::new(None) };
}

/// It ends with the thread's other values, as late as it can.
#[test]
fn a_thread_ends_with_a_lease() {
    let drops = Arc::new(AtomicUsize::new(0));
    let domain = domain();
    let cell = Arc::new(domain.cell(Twice::new(1, &drops)));
    for turn in 1..50 {
        let its = Arc::clone(&cell);
        let ended = std::thread::spawn(move || KEPT.set(Some(its.load()))).join();
        assert!(ended.is_ok());
        cell.store(domain.share(Twice::new(2, &drops)));
        assert_eq!(drops.load(Ordering::Relaxed), turn);
    }
}

#[test]
fn a_thread_that_panics_gives_its_leases_back() {
    let drops = Arc::new(AtomicUsize::new(0));
    let domain = domain();
    let cell = Arc::new(domain.cell(Twice::new(1, &drops)));
    let its = Arc::clone(&cell);
    let ended = std::thread::spawn(move || {
        let lease = its.load();
        assert!(!lease.is_whole(), "so that it panics");
    });
    assert!(ended.join().is_err());
    cell.store(domain.share(Twice::new(2, &drops)));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

/// Stores when it is dropped, and loads.
struct Storing {
    number: usize,
    cell: Arc<LazyCell<usize>>,
}

impl Drop for Storing {
    fn drop(&mut self) {
        let next = Shared::new(self.number + *self.cell.load());
        self.cell.store(next);
    }
}

#[test]
fn a_destructor_stores_and_loads() {
    let sum = Arc::new(LazyCell::new(0));
    let domain = domain();
    let value = |number| {
        let cell = Arc::clone(&sum);
        Storing { number, cell }
    };
    let cell = domain.cell(value(0));
    for number in 1..=100 {
        drop(cell.load());
        cell.store(domain.share(value(number)));
    }
    drop(cell);
    domain.flush();
    assert_eq!(*sum.load(), 5_050);
}

/// A destructor that panics keeps nothing of what a handler gave up.
#[test]
fn a_panic_loses_nothing_that_a_handler_gave_up() {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("so that others are left");
        }
    }

    let drops = Arc::new(AtomicUsize::new(0));
    let domain = domain();
    let cell = domain.cell(None);
    cell.store(domain.share(Some(Panics)));
    drop(cell.load());
    let given_up = domain.share(Twice::new(1, &drops));
    in_handler(|| drop(given_up));
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    let new = domain.share(None);
    let store = std::panic::AssertUnwindSafe(|| cell.store(new));
    assert!(std::panic::catch_unwind(store).is_err());
    domain.flush();
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

/// Nothing is cached, for it could not be taken away again; so all of it is dropped.
#[test]
fn without_a_fence_replaced_values_are_dropped() {
    const INSIDE: &str = "PERCID_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_none() {
        let this = std::env::current_exe().expect("the path of this test");
        let mut command = Command::new(this);
        command
            .env(INSIDE, "1")
            .args(["--exact", "without_a_fence_replaced_values_are_dropped"]);
        forbid(&mut command, &[libc::SYS_membarrier]);
        let output = command.output().expect("this test, once more");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        return assert!(said.contains("1 passed"), "{said}");
    }
    for policy in [Policy::new(), Policy::new().switch_away(true)] {
        let drops = Arc::new(AtomicUsize::new(0));
        let domain = LazyDomain::new(policy.check(true));
        assert!(!domain.caches());
        let cell = domain.cell(Twice::new(0, &drops));
        for turn in 1..100 {
            let leases = [cell.load(), cell.load()];
            assert!(leases.iter().all(Lease::is_counted));
            drop(leases);
            cell.store(domain.share(Twice::new(turn, &drops)));
            assert_eq!(drops.load(Ordering::Relaxed), turn);
        }
        let stats = domain.stats();
        assert_eq!((stats.refused, stats.counted), (0, 198), "{stats:?}");
    }
}

/// Marks wait for a fence of somebody else; a flush makes its own.
#[test]
fn quiescing_waits_for_the_fence_of_another() {
    let drops = Arc::new(AtomicUsize::new(0));
    let quiet = LazyDomain::new(Policy::new().quiesce(100).check(true));
    let cell = quiet.cell(Twice::new(0, &drops));
    let lease = cell.load();
    let cached = !Lease::is_counted(&lease);
    drop(lease);
    cell.store(quiet.share(Twice::new(1, &drops)));
    if !cached {
        return assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
    // Other tests make fences, too, but nobody has looked since.
    assert_eq!(drops.load(Ordering::Relaxed), 0, "it waits");
    let stats = quiet.stats();
    assert_eq!(
        (stats.marks, stats.barriers, stats.saved_by_quiesce.barriers),
        (1, 0, 0)
    );

    let other = percid_shootdown::CopyCell::new(1);
    other.replace(2);
    // Whoever gives something up looks; a value that was never cached needs no fence itself.
    drop(cell.load());
    cell.store(quiet.share(Twice::new(2, &drops)));
    let stats = quiet.stats();
    assert_eq!(
        (stats.barriers, stats.saved_by_quiesce.barriers),
        (0, 1),
        "{stats:?}"
    );
    assert_eq!(drops.load(Ordering::Relaxed), 1);

    quiet.flush();
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    // Unless another test's fence has served.
    let stats = quiet.stats();
    let served = stats.barriers + stats.saved_by_quiesce.barriers;
    assert_eq!((served, stats.asked), (2, 2), "{stats:?}");
}

/// With more than may wait a fence is made.
#[test]
fn quiescing_ends_somewhere() {
    for policy in [
        Policy::new().quiesce(4),
        Policy::new().quiesce(4).batch(3).filter(false),
        Policy::new().quiesce(4).switch_away(true).clear_bits(false),
    ] {
        let drops = Arc::new(AtomicUsize::new(0));
        let domain = LazyDomain::new(policy.check(true));
        let cell = domain.cell(Twice::new(0, &drops));
        for turn in 0..100 {
            assert!(cell.load().is_whole());
            cell.store(domain.share(Twice::new(turn, &drops)));
            let waiting = turn + 1 - drops.load(Ordering::Relaxed);
            assert!(waiting <= 4 + 3, "{waiting} wait");
        }
        drop((cell, domain));
        assert_eq!(drops.load(Ordering::Relaxed), 101);
    }
}

/// A lease of the thread that forks holds in both, and ends in both.
#[test]
fn a_child_keeps_the_leases_of_its_thread() {
    let drops = Arc::new(AtomicUsize::new(0));
    let domain = domain();
    let cell = domain.cell(Twice::new(1, &drops));
    let lease = cell.load();
    let (in_the_child, child_drops) = (&lease, Arc::clone(&drops));
    in_child(|| {
        cell.store(domain.share(Twice::new(2, &child_drops)));
        let held = child_drops.load(Ordering::Relaxed) == 0 && in_the_child.is_whole();
        // SAFETY: the parent's is in the parent's memory; this is used once.
        drop(unsafe { std::ptr::read(in_the_child) });
        held && child_drops.load(Ordering::Relaxed) == 1 && cell.load().is_whole()
    });
    cell.store(domain.share(Twice::new(3, &drops)));
    assert!(lease.is_whole());
    drop(lease);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

/// A lease of a thread that the child does not have pins its value there, and nothing else.
#[test]
fn a_child_leaks_what_others_held() {
    let drops = Arc::new(AtomicUsize::new(0));
    let domain = domain();
    let cell = domain.cell(Twice::new(1, &drops));
    let (hold, is_held) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let its = &cell;
        scope.spawn(move || {
            let lease = its.load();
            let _ = hold.send(());
            let _ = may_leave.recv();
            assert!(lease.is_whole());
        });
        is_held.recv().expect("a thread with a lease");
        in_child(|| {
            for number in 2..50 {
                assert!(cell.load().is_whole());
                cell.store(domain.share(Twice::new(number, &drops)));
            }
            domain.flush();
            drops.load(Ordering::Relaxed) == 47
        });
        drop(leave);
    });
    cell.store(domain.share(Twice::new(2, &drops)));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

/// Forks while others shoot down: the child finds no lock held, and goes on.
#[test]
fn a_child_of_a_shootdown_goes_on() {
    children_go_on(&domain());
}

#[test]
fn a_child_of_a_batch_goes_on() {
    children_go_on(&LazyDomain::new(Policy::new().batch(8)));
}

fn children_go_on(domain: &LazyDomain) {
    let drops = Arc::new(AtomicUsize::new(0));
    let cell = domain.cell(Twice::new(0, &drops));
    let working = AtomicBool::new(true);
    std::thread::scope(|scope| {
        /// Also if a child fails.
        struct End<'a>(&'a AtomicBool);

        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while working.load(Ordering::Relaxed) {
                    assert!(cell.load().is_whole());
                    cell.store(domain.share(Twice::new(1, &drops)));
                }
            });
        }
        let _end = End(&working);
        for _ in 0..40 {
            in_child(|| {
                let other = domain.cell(Twice::new(2, &drops));
                let before = drops.load(Ordering::Relaxed);
                for number in 0..20 {
                    assert!(other.load().is_whole() && cell.load().is_whole());
                    other.store(domain.share(Twice::new(number, &drops)));
                }
                domain.flush();
                // What the parent's shootdown was at is leaked.
                drops.load(Ordering::Relaxed) >= before + 20
            });
        }
    });
    drop(cell);
    domain.flush();
    let stats = domain.stats();
    assert_eq!(stats.made, stats.freed, "{stats:?}");
}

/// The check finds who has written to a value after its end, and ends the process.
#[test]
fn a_write_to_a_dead_value_is_found() {
    const ALIVE: usize = 7;
    if std::env::var_os("PERCID_TEST_INSIDE").is_none() {
        let this = std::env::current_exe().expect("the path of this test");
        let mut command = Command::new(this);
        command.env("PERCID_TEST_INSIDE", "1");
        command.args(["--exact", "a_write_to_a_dead_value_is_found", "--nocapture"]);
        let output = command.output().expect("this test, once more");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
        return assert!(said.contains("a dead object was written to"), "{said}");
    }
    let domain = domain();
    let cell = domain.cell(AtomicUsize::new(ALIVE));
    let replace = || cell.store(domain.share(AtomicUsize::new(ALIVE)));
    // More than are kept at a time: all of them are looked at.
    (0..100).for_each(|_| replace());
    let lease = cell.load();
    let late = std::ptr::from_ref::<AtomicUsize>(&lease);
    drop(lease);
    replace();
    // SAFETY: its memory is kept for a while after its end.
    let late = unsafe { &*late };
    assert_ne!(late.load(Ordering::Relaxed), ALIVE, "not poisoned");
    late.store(ALIVE, Ordering::Relaxed);
    (0..100).for_each(|_| replace());
}

/// Forks while another thread uses the process's domain for the first time.
#[test]
fn a_child_of_a_first_use_goes_on() {
    const THIS: &str = "a_child_of_a_first_use_goes_on";
    let uses = || *LazyCell::new(7).load() == 7 && LazyDomain::process().stats().made > 0;
    if let Some(turn) = std::env::var_os("PERCID_TEST_INSIDE") {
        let turns: u64 = turn.to_string_lossy().parse().expect("a number");
        let begun = AtomicBool::new(false);
        return std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                begun.store(true, Ordering::Release);
                uses()
            });
            while !begun.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            (0..turns).for_each(|_| std::hint::spin_loop());
            in_child(uses);
            assert!(first.join().is_ok_and(|used| used));
        });
    }
    for turn in 0..6 {
        let this = std::env::current_exe().expect("the path of this test");
        let mut command = Command::new(this);
        command.env("PERCID_TEST_INSIDE", (turn * 500).to_string());
        let output = command.args(["--exact", THIS, "--nocapture"]).output();
        let output = output.expect("this test, once more");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}
