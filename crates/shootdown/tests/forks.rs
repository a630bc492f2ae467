//! What a child of `fork` finds.
#![cfg(target_os = "linux")]

#[path = "support/child.rs"]
mod child;
#[allow(dead_code, reason = "more than is needed here")]
#[path = "../../rseq/tests/support/seccomp.rs"]
mod seccomp;
mod support;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use child::in_child;
use nix::sys::resource::{Resource, setrlimit};
use percid::{Domain, Scope};
use percid_rseq::membarrier;
use percid_shootdown::{CopyCell, ReclaimDomain, Reclaimer};
use seccomp::{Fate, catch, forbid};
use support::{Destroyed, retire, storm};

fn in_a_domain() -> ReclaimDomain<Domain> {
    let ids = Domain::builder().build().expect("a domain");
    ReclaimDomain::in_domain(&ids).expect("memory")
}

#[test]
fn a_guard_of_the_surviving_thread_holds_in_the_child() {
    fn holds<S: Scope>(domain: &ReclaimDomain<S>) {
        let destroyed = Destroyed::new();
        let guard = domain.enter();
        retire(domain, &destroyed, 3);
        in_child(|| {
            domain.flush();
            let held = destroyed.count() == 0;
            drop(domain.enter());
            domain.flush();
            held && destroyed.count() == 0
        });
        drop(guard);
    }
    holds(&ReclaimDomain::new());
    holds(&in_a_domain());
}

#[test]
fn a_child_goes_on_by_itself() {
    fn goes_on<S: Scope>(domain: &ReclaimDomain<S>) {
        let destroyed = Destroyed::new();
        retire(domain, &destroyed, 10);
        domain.barrier();
        in_child(|| {
            let guard = domain.enter();
            retire(domain, &destroyed, 10);
            drop(guard);
            domain.barrier();
            destroyed.count() == 20
        });
        domain.barrier();
        assert_eq!(destroyed.count(), 10);
    }
    goes_on(&ReclaimDomain::new());
    goes_on(&in_a_domain());
}

/// A thread that the child does not have is inside: nothing more is freed there, and it is
/// said. Never is something freed too early.
#[test]
fn a_guard_of_another_thread_holds_everything_up_in_the_child() {
    static DOMAIN: ReclaimDomain = ReclaimDomain::new();
    let (inside, is_inside) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let guard = DOMAIN.enter();
            let _ = inside.send(());
            let _ = may_leave.recv();
            drop(guard);
        });
        is_inside.recv().expect("a thread inside");
        in_child(|| {
            let destroyed = Destroyed::new();
            retire(&DOMAIN, &destroyed, 10);
            (0..10).for_each(|_| DOMAIN.flush());
            let stats = DOMAIN.stats();
            destroyed.count() == 0 && (stats.holding, stats.unfreed) == (1, 10)
        });
        drop(leave);
    });
}

/// The thread is the parent's: the child neither waits for it nor ends it.
#[test]
fn a_reclaimer_is_its_parents() {
    let domain = Arc::new(ReclaimDomain::new());
    let destroyed = Destroyed::new();
    let start = || Reclaimer::start(Arc::clone(&domain), Duration::from_millis(1));
    let mut reclaimer = Some(start().expect("a thread to start"));
    in_child(|| {
        drop(reclaimer.take());
        let own = start().expect("a thread to start");
        retire(&domain, &destroyed, 3);
        while destroyed.count() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(own);
        true
    });
    retire(&domain, &destroyed, 3);
    while destroyed.count() < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(reclaimer);
}

/// Forks while other threads are anywhere in the slow paths: the child finds no lock held.
#[test]
fn a_child_finds_no_lock_held() {
    finds_no_lock_held(&ReclaimDomain::new());
    finds_no_lock_held(&in_a_domain());
}

fn finds_no_lock_held<S: Scope>(domain: &ReclaimDomain<S>) {
    let cell = CopyCell::new(0);
    let working = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let destroyed = Destroyed::new();
                while working.load(Ordering::Relaxed) {
                    retire(domain, &destroyed, 10);
                    domain.flush();
                    cell.update(|value| value + 1);
                }
            });
        }
        /// Also if a child fails.
        struct End<'a>(&'a AtomicBool);

        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }

        let _end = End(&working);
        for _ in 0..30 {
            in_child(|| {
                let destroyed = Destroyed::new();
                retire(domain, &destroyed, 100);
                domain.barrier();
                let before = cell.read();
                cell.update(|value| value + 1);
                destroyed.count() == 100 && cell.read() == before + 1
            });
        }
    });
}

/// A sandbox that refuses the fence when it has worked before: nothing is freed, and
/// nothing is freed too early.
#[test]
fn a_fence_that_is_refused_later_frees_nothing() {
    if membarrier::fence().is_err() {
        return println!("no fence here");
    }
    let cell = CopyCell::new(1);
    let domain = ReclaimDomain::new();
    drop(domain.enter());
    let sections = percid::backend().source != percid::Source::Thread;
    in_child(|| {
        if catch(&[libc::SYS_membarrier], Fate::Errno(libc::EPERM)).is_err() {
            return true;
        }
        let destroyed = Destroyed::new();
        retire(&domain, &destroyed, 10);
        (0..5).for_each(|_| domain.flush());
        let freed = destroyed.count();
        // What the parent's threads were at counts, too.
        let before = CopyCell::<i32>::unfreed();
        let old = cell.replace(2);
        let leaked = CopyCell::<i32>::unfreed() - before;
        let found = (old, cell.read());
        // Without sections there is nothing to fence.
        found == (1, 2) && (freed, leaked) == if sections { (0, 1) } else { (10, 0) }
    });
}

/// A sandbox that refuses the fence from the start: everybody counts.
#[test]
fn without_a_fence_everything_works() {
    if std::env::var_os("PERCID_TEST_INSIDE").is_some() {
        return;
    }
    let this = std::env::current_exe().expect("the path of this test");
    let mut command = Command::new(this);
    command
        .env("PERCID_TEST_INSIDE", "1")
        .args(["--exact", "a_child_goes_on_by_itself"])
        .arg("a_guard_of_the_surviving_thread_holds_in_the_child")
        .arg("a_child_finds_no_lock_held");
    forbid(&mut command, &[libc::SYS_membarrier]);
    let output = command.output().expect("this test, once more");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("3 passed"), "{said}");
}

/// Where there is no memory for seats, all readers count themselves in the same words.
#[test]
fn without_memory_everybody_counts() {
    const ADDRESS_SPACE: u64 = 192 << 20;
    if std::env::var_os("PERCID_TEST_INSIDE").is_none() {
        let this = std::env::current_exe().expect("the path of this test");
        let mut command = Command::new(this);
        command
            .env("PERCID_TEST_INSIDE", "1")
            .env("MALLOC_ARENA_MAX", "1")
            .args(["--exact", "without_memory_everybody_counts", "--nocapture"]);
        let limit = || setrlimit(Resource::RLIMIT_AS, ADDRESS_SPACE, ADDRESS_SPACE);
        // SAFETY: one system call, in a child that is about to exec.
        unsafe { command.pre_exec(move || Ok(limit()?)) };
        let output = command.output().expect("this test, once more");
        let said = String::from_utf8_lossy(&output.stderr);
        return assert!(output.status.success(), "{said}");
    }
    assert!(ReclaimDomain::try_new().is_err(), "there is memory");
    let (domain, other) = (ReclaimDomain::new(), ReclaimDomain::new());
    let destroyed = Destroyed::new();
    let guards: Vec<_> = (0..20).map(|_| domain.enter()).collect();
    retire(&domain, &destroyed, 10);
    (0..10).for_each(|_| domain.flush());
    let stats = domain.stats();
    assert_eq!((stats.holding, stats.unfreed), (20, 10));
    assert!(domain.is_entered_by(&guards[0]) && !other.is_entered_by(&guards[0]));
    other.synchronize();
    drop(guards);
    domain.barrier();
    assert_eq!(destroyed.count(), 10);
    storm(&domain, || ());
    let cell = CopyCell::new(1);
    assert_eq!((cell.read(), cell.read_counted()), (1, 1));
    assert_eq!(
        (cell.replace(2), cell.read(), cell.read_counted()),
        (1, 2, 2)
    );
}
