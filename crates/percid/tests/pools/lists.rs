//! Lists: every node in one place at any time, whoever takes, forks or interrupts.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use percid::{Bound, Domain, Link, Linked, List, RemoteError, Scope, Source};

use crate::support::{forbid, handle, in_child, in_fork, under_signals};

/// A node whose link is not its first word.
#[derive(Debug, Default)]
struct Node {
    /// 1 while somebody has it in hand.
    held: AtomicU64,
    link: Link,
}

// SAFETY: that is where the link is.
unsafe impl Linked for Node {
    const LINK: usize = std::mem::offset_of!(Node, link);
}

/// Nodes that live to the end.
fn nodes(count: usize) -> &'static [Node] {
    (0..count)
        .map(|_| Node::default())
        .collect::<Vec<_>>()
        .leak()
}

/// Takes note that a node is in hand now; whether it was already.
fn take(node: NonNull<Node>) -> bool {
    // SAFETY: all nodes live to the end and have atomics only.
    unsafe { node.as_ref() }.held.swap(1, Ordering::Relaxed) == 1
}

/// Gives a node back; whether it was not in hand.
fn give<S: Scope>(list: &List<Node, S>, node: NonNull<Node>) -> bool {
    // SAFETY: as in `take`.
    let was_free = unsafe { node.as_ref() }.held.swap(0, Ordering::Relaxed) == 0;
    // SAFETY: these tests push what they have in hand, and nodes live to the end.
    unsafe { list.push(node) };
    was_free
}

fn fill<S: Scope>(list: &List<Node, S>, nodes: &'static [Node]) {
    for node in nodes {
        // SAFETY: on no list, and lives to the end.
        unsafe { list.push(NonNull::from(node)) };
    }
}

/// Takes everything and puts it back: how many nodes that were, and whether each was there
/// once.
fn count<S: Scope>(list: &List<Node, S>) -> (usize, bool) {
    let taken: Vec<_> = list.drain().expect("a fence").collect();
    let exact = !taken.iter().fold(false, |wrong, &node| wrong | take(node));
    for &node in &taken {
        give(list, node);
    }
    (taken.len(), exact)
}

/// Threads push and pop, and hold some, while another one takes from all of them.
fn storm<S: Scope>(list: &List<Node, S>, all: &'static [Node], turns: u64)
where
    List<Node, S>: Sync,
{
    const THREADS: usize = 4;
    let (wrong, running) = (AtomicU64::new(0), AtomicU64::new(THREADS as u64));
    fill(list, all);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (wrong, running) = (&wrong, &running);
            scope.spawn(move || {
                let mut hand = Vec::new();
                let mut bad = 0;
                for turn in 0..turns {
                    let popped = match turn % 64 {
                        63 => list.steal().ok().flatten(),
                        _ => list.pop(),
                    };
                    if let Some(node) = popped {
                        bad += u64::from(take(node));
                        hand.push(node);
                    }
                    let keep = 1 + (turn as usize * (thread + 1)) % 13;
                    while hand.len() > keep {
                        bad += u64::from(give(list, hand.swap_remove(turn as usize % hand.len())));
                    }
                    if turn % 200 == 0 {
                        thread::yield_now();
                    }
                }
                for node in hand {
                    bad += u64::from(give(list, node));
                }
                wrong.fetch_add(bad, Ordering::Relaxed);
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let mut turn = 0;
        while running.load(Ordering::Relaxed) > 0 {
            turn += 1;
            let taken = match turn % 3 {
                0 => list.drain(),
                1 => list.drain_cid(turn / 3 % 4),
                _ => Err(RemoteError::Busy),
            };
            // Some are given back one by one, the others as the chain that they are.
            for node in taken.into_iter().flatten().take(turn as usize % 40) {
                wrong.fetch_add(u64::from(take(node)), Ordering::Relaxed);
                wrong.fetch_add(u64::from(give(list, node)), Ordering::Relaxed);
            }
            thread::yield_now();
        }
    });
    assert_eq!(
        wrong.load(Ordering::Relaxed),
        0,
        "nodes that two had at a time"
    );
    // Without a fence those of other cids cannot be had.
    if list.mode().fence.is_ok() {
        assert_eq!(count(list), (all.len(), true), "lost, or there twice");
    }
}

#[test]
fn no_node_twice_and_none_lost() {
    static LIST: List<Node> = List::new();
    storm(&LIST, nodes(100), 30_000);
}

#[test]
fn a_list_that_is_mostly_empty_is_the_same() {
    let list = List::new();
    storm(&list, nodes(5), 30_000);
}

#[test]
fn a_list_in_a_domain_is_the_same() {
    let domain = Domain::builder().bound(Bound::Strict).build().unwrap();
    let list = List::in_domain(&domain).unwrap();
    storm(&list, nodes(100), 10_000);
}

#[test]
fn what_was_taken_comes_back() {
    let list: List<Node> = List::default();
    assert!(list.pop().is_none() && list.is_empty());
    assert!(matches!(
        list.steal(),
        Ok(None) | Err(RemoteError::NoFence(_))
    ));
    let all = nodes(10);
    fill(&list, all);
    assert!(!list.is_empty());
    assert!(format!("{list:?}").contains("false"));
    if list.mode().fence.is_err() {
        return;
    }
    // This thread may have had two cids meanwhile, so what is taken is in some order.
    let mut taken = list.drain().unwrap();
    let first = taken.next().unwrap();
    assert!(!take(first) && list.pop().is_none() && list.is_empty());
    // Dropped on another thread, and still to be had here.
    thread::scope(|scope| scope.spawn(move || drop(taken)).join()).unwrap();
    give(&list, first);
    let stolen = list.steal().unwrap().expect("ten nodes");
    assert!(!take(stolen));
    give(&list, stolen);
    assert_eq!(count(&list), (10, true));
    let by_cid: usize = (0..64)
        .map(|cid| {
            list.drain_cid(cid)
                .unwrap()
                .inspect(|&node| _ = take(node))
                .count()
        })
        .sum();
    if list.mode().backend.source == Source::MmCid {
        assert!(by_cid <= 10);
    }
    for node in all
        .iter()
        .filter(|node| node.held.load(Ordering::Relaxed) == 1)
    {
        give(&list, NonNull::from(node));
    }
    assert_eq!(count(&list), (10, true));
}

#[test]
fn threads_that_are_gone_leave_their_nodes() {
    static LIST: List<Node> = List::new();
    struct AtExit(NonNull<Node>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            give(&LIST, self.0);
        }
    }
    thread_local!(static AT_EXIT: std::cell::Cell<Option<AtExit>> = const {
        std::cell::Cell::new(None)
    });
    let all = nodes(50);
    for node in all {
        thread::spawn(move || AT_EXIT.set(Some(AtExit(NonNull::from(node)))))
            .join()
            .unwrap();
    }
    if LIST.mode().fence.is_ok() {
        assert_eq!(count(&LIST), (50, true));
    }
}

/// In a child of `fork`: whether no node is there twice, none that another thread had is
/// there, and the list goes on.
fn is_whole(list: &List<Node>, most: usize) -> bool {
    // Those in the hands of threads that are gone are marked, and nobody's.
    let Ok(taken) = list.drain() else {
        return list.mode().fence.is_err();
    };
    let (mut found, mut exact) = (0, true);
    for node in taken {
        exact &= !take(node);
        found += 1;
        if found > most {
            return false;
        }
    }
    exact && list.pop().is_none() && list.steal() == Ok(None)
}

#[test]
fn forks_in_the_middle_of_everything() {
    const FORKS: usize = 20;
    let list = List::new();
    let all = nodes(200);
    fill(&list, all);
    let done = AtomicBool::new(false);
    let whole = thread::scope(|scope| {
        for thread in 0..2 {
            let (list, done) = (&list, &done);
            scope.spawn(move || {
                let mut hand = Vec::with_capacity(200);
                while !done.load(Ordering::Relaxed) {
                    while hand.len() < 150
                        && let Some(node) = list.pop()
                    {
                        take(node);
                        hand.push(node);
                    }
                    for node in hand.drain(..) {
                        give(list, node);
                    }
                    if thread == 0 {
                        drop(list.drain());
                    }
                }
            });
        }
        let whole = (0..FORKS)
            .filter(|_| in_fork(|| is_whole(&list, all.len())))
            .count();
        done.store(true, Ordering::Relaxed);
        whole
    });
    assert_eq!(
        whole, FORKS,
        "children found nodes that were held, or twice"
    );
}

static IN_HANDLERS: List<Node> = List::new();
static WRONG: AtomicU64 = AtomicU64::new(0);

extern "C" fn pops(_: i32) {
    if let Some(node) = IN_HANDLERS.pop() {
        WRONG.fetch_add(u64::from(take(node)), Ordering::Relaxed);
        WRONG.fetch_add(u64::from(give(&IN_HANDLERS, node)), Ordering::Relaxed);
    }
    // Busy, if it interrupted another; it waits for nobody.
    drop(IN_HANDLERS.drain());
}

#[test]
fn handlers_pop_whatever_they_interrupt() {
    fill(&IN_HANDLERS, nodes(20));
    handle(libc::SIGUSR2, pops);
    let mut hand = Vec::new();
    under_signals(libc::SIGUSR2, || {
        for _ in 0..15 {
            if let Some(node) = IN_HANDLERS.pop() {
                WRONG.fetch_add(u64::from(take(node)), Ordering::Relaxed);
                hand.push(node);
            }
        }
        for node in hand.drain(..) {
            WRONG.fetch_add(u64::from(give(&IN_HANDLERS, node)), Ordering::Relaxed);
        }
        let _ = IN_HANDLERS
            .steal()
            .map(|stolen| stolen.map(|node| give(&IN_HANDLERS, node)));
    });
    assert_eq!(WRONG.load(Ordering::Relaxed), 0);
    if IN_HANDLERS.mode().fence.is_ok() {
        assert_eq!(count(&IN_HANDLERS), (20, true));
    }
}

#[test]
fn without_membarrier_nodes_stay_with_their_cids() {
    let test = "lists::without_membarrier_nodes_stay_with_their_cids";
    if !in_child(test, |child| forbid(child, &[libc::SYS_membarrier])) {
        return;
    }
    let list = List::new();
    let all = nodes(30);
    fill(&list, all);
    assert!(list.mode().fence.is_err());
    if list.mode().backend.source == Source::MmCid {
        assert!(matches!(list.drain(), Err(RemoteError::NoFence(_))));
        assert!(matches!(list.steal(), Err(RemoteError::NoFence(_))));
    }
    // Nothing was lost by trying: threads on all cids find them.
    let mut found = 0;
    for _ in 0..1_000 {
        while let Some(node) = list.pop() {
            assert!(!take(node));
            found += 1;
        }
        if found == all.len() {
            return;
        }
        thread::yield_now();
    }
}
