//! What lazy references keep: it does not grow with tasks, nor with domains that come and
//! go. One test, for the arena is the process's.

#[path = "support/twice.rs"]
mod twice;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use twice::{Twice, domain};

#[test]
fn memory_is_of_cids() {
    tasks_hold_leases_while_they_wait();
    domains_come_and_go();
}

/// Returns to whoever polls, once.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Polls tasks in turns, each by whichever thread comes.
fn execute(tasks: VecDeque<Task<'_>>) {
    let tasks = Mutex::new(tasks);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut context = Context::from_waker(Waker::noop());
                loop {
                    let next = tasks.lock().unwrap().pop_front();
                    let Some(mut task) = next else { break };
                    if task.as_mut().poll(&mut context).is_pending() {
                        tasks.lock().unwrap().push_back(task);
                    }
                }
            });
        }
    });
}

/// Ten thousand tasks hold leases while they wait, and end them on other threads.
fn tasks_hold_leases_while_they_wait() {
    const TASKS: usize = 10_000;
    let drops = Arc::new(AtomicUsize::new(0));
    let domain = domain();
    let cells: Vec<_> = (0..3)
        .map(|number| domain.cell(Twice::new(number, &drops)))
        .collect();
    for cell in &cells {
        drop(cell.load());
    }
    let arena = percid::arena_stats();
    let (done, waiting, most) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let task = |number: usize| -> Task<'_> {
        let (cells, done, waiting, most) = (&cells, &done, &waiting, &most);
        let (domain, drops) = (&domain, &drops);
        Box::pin(async move {
            let cell = &cells[number % cells.len()];
            let lease = cell.load();
            let now = waiting.fetch_add(1, Ordering::Relaxed) + 1;
            most.fetch_max(now, Ordering::Relaxed);
            Yield(false).await;
            if number.is_multiple_of(100) {
                cell.store(domain.share(Twice::new(number, drops)));
            }
            Yield(false).await;
            waiting.fetch_sub(1, Ordering::Relaxed);
            let whole = lease.is_whole();
            done.fetch_add(usize::from(whole), Ordering::Relaxed);
        })
    };
    execute((0..TASKS).map(task).collect());
    assert_eq!(done.into_inner(), TASKS, "read after its end");
    // All at the same time, but for those that the two other threads have in hand.
    let most = most.into_inner();
    assert!(most >= TASKS - 2, "{most} at the same time");
    // Stripes are of cids: what a task holds is in its own memory.
    let after = percid::arena_stats();
    // A counter has its word from the first time on that it counts.
    let grown = after.words - arena.words;
    assert!(grown <= 20, "{grown} words for {TASKS} tasks");
    drop(cells);
    domain.flush();
    assert_eq!(drops.load(Ordering::Relaxed), 3 + TASKS / 100);
}

/// A home of a domain that is gone is used again, with numbers from zero, and only when
/// nothing of the former one is left.
fn domains_come_and_go() {
    let drops = Arc::new(AtomicUsize::new(0));
    let mut left = Vec::new();
    let made = percid::arena_stats().words;
    for turn in 0..300 {
        let domain = domain();
        let stats = domain.stats();
        assert_eq!((stats.made, stats.freed, stats.misses), (0, 0, 0));
        let cell = domain.cell(Twice::new(turn, &drops));
        let lease = cell.load();
        drop(domain);
        drop(cell);
        if turn.is_multiple_of(100) {
            left.push(lease);
        }
    }
    assert_eq!(drops.load(Ordering::Relaxed), 297);
    assert!(left.iter().all(|lease| lease.is_whole()));
    left.clear();
    assert_eq!(drops.load(Ordering::Relaxed), 300);
    // One home at a time, and one for each lease that outlived its domain: their slots and
    // their counters.
    let grown = percid::arena_stats().words - made;
    assert!(grown <= 4 * 64, "{grown} words for homes");
}
