//! Lists, and the pop that everybody writes first.

use core::array::from_fn;
use core::sync::atomic::Ordering;

use loom::sync::atomic::AtomicU64;

use super::{Fault, Guarded, Model, Run, Vec, assert_exact, check, found};
use crate::Refusal;
use crate::portable::claim::replace;
use crate::portable::word::{Cells, Word};
use crate::portable::{LOW, gated_list, list};

/// Nodes are their own addresses: even numbers. Each has a link and a load.
struct List {
    head: Model<LOW>,
    links: Guarded<7>,
    loads: Guarded<7>,
}

type Pop = fn(&List) -> Result<u64, Refusal>;

impl List {
    fn new(fault: Fault) -> List {
        let list = List {
            head: Model::new(0, fault),
            links: Guarded::new(),
            loads: Guarded::new(),
        };
        list.push(4).unwrap();
        list.push(2).unwrap();
        list
    }

    /// Writes to a node that is the caller's, and gives it away.
    fn push(&self, node: u64) -> Result<(), Refusal> {
        // SAFETY: the node is the caller's; loom checks just that.
        unsafe {
            self.loads.write(node, node);
            list::push(&self.head, &self.links, node)
        }
    }

    fn pop(&self) -> Result<u64, Refusal> {
        // SAFETY: only nodes with a link are pushed.
        unsafe { list::pop(&self.head, &self.links) }
    }

    /// What is in nobody's hand.
    fn rest(&self) -> Vec<u64> {
        let mut rest = Vec::new();
        while let Ok(node) = self.pop() {
            rest.push(node);
            assert!(rest.len() <= 3, "a list that bites its tail");
        }
        rest
    }

    /// Pop by a compare-exchange without a claim.
    fn pop_by_exchange(&self) -> Result<u64, Refusal> {
        let top = self.head.load(Ordering::Acquire);
        if top == 0 {
            return Err(Refusal::Empty);
        }
        // SAFETY: none: another thread may write it. Atomics would hide just that, so
        // the link is read as the mutant reads it, and ABA shows in the totals.
        let below = unsafe { self.links.read(top) };
        self.head
            .compare_exchange(top, below, Ordering::AcqRel, Ordering::Relaxed)
            .map_err(|_| Refusal::Aborted)
    }
}

/// One thread pops a node; the other pops two and puts the first one back.
fn aba(run: Run, pop: Pop) {
    let one = move |list: &List| Vec::from_iter(pop(list));
    let two_and_back = move |list: &List| {
        let first = pop(list);
        let mut hand = Vec::from_iter(pop(list));
        if let Ok(node) = first
            && list.push(node).is_err()
        {
            hand.push(node);
        }
        hand
    };
    let (list, other, mine) = run.two(List::new(run.fault), one, two_and_back);
    let found = [list.rest(), other, mine].concat();
    // SAFETY: all are in this thread's hand.
    found.iter().for_each(|&node| unsafe {
        assert_eq!(list.loads.read(node), node);
    });
    assert_exact([2, 4].into(), found);
}

#[test]
fn a_list_has_each_node_once() {
    check(
        |run| aba(run, List::pop),
        &[Fault::Claim, Fault::Acquire, Fault::Release],
    );
}

#[test]
fn a_pop_without_a_claim_is_found() {
    let run = Run {
        fault: Fault::None,
        swapped: false,
    };
    found(
        move || loom::model(move || aba(run, List::pop_by_exchange)),
        "pop by compare-exchange",
    );
}

/// The pop by compare-exchange with links that are atomic: no race is left to report,
/// and the node that is on the list and in a hand at once is ABA alone: it is not when
/// nothing is put back.
#[test]
fn aba_itself_is_found() {
    struct Links(AtomicU64, [AtomicU64; 5]);
    let pop = |Links(head, links): &Links| {
        let top = head.load(Ordering::Acquire);
        if top == 0 {
            return None;
        }
        let below = links[top as usize].load(Ordering::Acquire);
        head.compare_exchange(top, below, Ordering::AcqRel, Ordering::Relaxed)
            .ok()
    };
    let run = Run {
        fault: Fault::None,
        swapped: false,
    };
    let model = move |puts_back: bool| {
        // 2 is on top of 4.
        let list = Links(
            AtomicU64::new(2),
            from_fn(|node| AtomicU64::new(if node == 2 { 4 } else { 0 })),
        );
        let two_and_back = move |list: &Links| {
            let (first, second) = (pop(list), pop(list));
            let Some(node) = first.filter(|_| puts_back) else {
                return Vec::from_iter(first.into_iter().chain(second));
            };
            let top = list.0.load(Ordering::Acquire);
            list.1[node as usize].store(top, Ordering::Release);
            let pushed = list
                .0
                .compare_exchange(top, node, Ordering::AcqRel, Ordering::Relaxed);
            let mut hand = Vec::from_iter(second);
            hand.extend(pushed.err().map(|_| node));
            hand
        };
        let one = move |list: &Links| Vec::from_iter(pop(list));
        let (list, other, mine) = run.two(list, one, two_and_back);
        let mut found = [other, mine].concat();
        while let Some(node) = pop(&list) {
            found.push(node);
            assert!(found.len() <= 4, "a list that bites its tail");
        }
        assert_exact([2, 4].into(), found);
    };
    loom::model(move || model(false));
    found(move || loom::model(move || model(true)), "ABA");
}

/// One thread pushes a node; the other takes the whole list and is alone with it.
fn detached(run: Run) {
    let push = |list: &List| Vec::from_iter(list.push(6).is_err().then_some(6));
    let detach = |list: &List| {
        let Ok(mut node) = replace::<_, LOW>(&list.head, 0) else {
            return Vec::new();
        };
        let mut hand = Vec::new();
        while node != 0 {
            hand.push(node);
            // SAFETY: nobody else has the nodes; loom checks just that.
            unsafe {
                list.loads.write(node, node);
                node = list.links.read(node);
            }
        }
        hand
    };
    let (list, other, mine) = run.two(List::new(run.fault), push, detach);
    assert_exact([2, 4, 6].into(), [list.rest(), other, mine].concat());
}

#[test]
fn a_list_is_taken_whole() {
    check(detached, &[Fault::Acquire, Fault::Release]);
}

/// One thread stops the list, takes it and looks whether it stays empty; the other pushes a
/// chain and pops.
fn gated(run: Run) {
    struct Gated(List, Model<LOW>);
    let list = Gated(List::new(run.fault), Model::new(0, run.fault));
    let use_it = |Gated(list, stop): &Gated| {
        let mut hand = Vec::new();
        // SAFETY: the node is this thread's; loom checks just that.
        let pushed = unsafe {
            list.loads.write(6, 6);
            gated_list::push(&list.head, stop, &list.links, 6, 6)
        };
        if pushed.is_err() {
            hand.push(6);
        }
        // SAFETY: only nodes with a link are pushed.
        if let Ok(node) = unsafe { gated_list::pop(&list.head, stop, &list.links) } {
            hand.push(node);
        }
        hand
    };
    let take = |Gated(list, stop): &Gated| {
        stop.store(1, Ordering::Relaxed);
        let mut hand = Vec::new();
        if let Ok(mut node) = replace::<_, LOW>(&list.head, 0) {
            while node != 0 {
                hand.push(node);
                // SAFETY: nobody else has the nodes; loom checks just that.
                unsafe {
                    list.loads.write(node, node);
                    node = list.links.read(node);
                }
            }
            let now = list.head.load(Ordering::Relaxed);
            assert_eq!(now & !LOW, 0, "pushed to a list that was stopped");
        }
        stop.store(0, Ordering::Release);
        hand
    };
    let (list, other, mine) = run.two(list, use_it, take);
    assert_exact([2, 4, 6].into(), [list.0.rest(), other, mine].concat());
}

#[test]
fn a_stopped_list_stays_as_it_was_left() {
    check(gated, &[Fault::Claim, Fault::Acquire, Fault::Release]);
}
