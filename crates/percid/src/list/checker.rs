//! Every interleaving of lists that are used, taken and opened, and of mutants that must be
//! found.
//!
//! Workers push and pop in sections of separate steps; takers take all lists behind one
//! fence and leave what they took with the loose nodes. A section is aborted by a fence, or
//! whenever its thread likes, and its cid may then be another worker's. Once, the process
//! may fork: the child has one thread, and the words as they are at that moment.
//!
//! Accesses are sequentially consistent here, in program order. The one order that the
//! protocol asks of the machine, the stop word's load before the head's, is a mutant.

use stateright::{Checker, HasDiscoveries, Model, Property};

const CIDS: usize = 2;
const WORKERS: usize = 2;
const TAKERS: usize = 2;
const NODES: usize = 3;

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Lists are taken without a fence.
    NoFence,
    /// The fence comes before the lists are stopped.
    FenceFirst,
    /// The head is read before the fence.
    TakeFirst,
    /// A pop does not look at the stop word.
    PopIgnoresStop,
    /// A push does not look at the stop word.
    PushIgnoresStop,
    /// Sections load the head before the stop word.
    HeadFirst,
    /// The list is opened before the new head is stored.
    OpenFirst,
    /// What was taken is set aside before the new head is stored.
    AsideFirst,
    /// What was taken is stored back as a list's head, which is open.
    StoreBack,
    /// Lists that are stopped are opened by whoever likes to.
    OpenAnyhow,
    /// A section that has lost its cid goes on.
    NoAbort,
    /// The link is read after the commit.
    LinkLater,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct List {
    stop: bool,
    head: u8,
    aside: u8,
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Work {
    Outside,
    /// In a section on a cid: what it has loaded.
    Open {
        cid: u8,
        push: bool,
        stop: Option<bool>,
        head: Option<u8>,
        /// The link that it has read or written.
        link: Option<u8>,
    },
    /// Has popped a node and has yet to read its link: a mutant's.
    Late {
        cid: u8,
        node: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Worker {
    hand: u8,
    work: Work,
}

/// Where a taker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Take {
    Idle,
    /// Has control; has stopped so many lists.
    Stopping(u8),
    /// Has fenced; works on a cid.
    Fenced(u8),
    Read(u8),
    Stored(u8),
    Aside(u8),
    /// All lists are open; takes what was set aside.
    Joining(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    lists: [List; CIDS],
    /// By node, from 1 on.
    links: [u8; NODES + 1],
    loose: u8,
    workers: [Worker; WORKERS],
    takers: [Take; TAKERS],
    /// What each taker has read of the list that it works on.
    read: [u8; TAKERS],
    /// Whether somebody has control.
    control: bool,
    forked: bool,
    /// Whether a section has read the link of a node that was off its list, and gone on.
    stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Begin(usize, u8, bool),
    Step(usize),
    Abort(usize),
    ToLoose(usize),
    FromLoose(usize),
    Open(u8),
    Taker(usize),
    Fork(usize),
}

struct World {
    fault: Fault,
}

/// The nodes of a chain, as far as it leads.
fn chain(links: &[u8], first: u8) -> Vec<u8> {
    let mut nodes = Vec::new();
    let mut next = first;
    while next != 0 && nodes.len() <= NODES {
        nodes.push(next);
        next = links[next as usize];
    }
    nodes
}

impl State {
    /// Nodes that are in shared memory: those a child of fork would find.
    fn shared(&self) -> Vec<u8> {
        let mut all = chain(&self.links, self.loose);
        for it in &self.lists {
            all.extend(chain(&self.links, it.head));
            all.extend(chain(&self.links, it.aside));
        }
        all
    }

    /// Makes a chain loose, and nothing of it another's.
    fn give(&mut self, first: u8) {
        if let Some(&last) = chain(&self.links, first).last() {
            self.links[last as usize] = self.loose;
            self.loose = first;
        }
    }
}

impl World {
    fn step(&self, state: &mut State, number: usize) {
        let State {
            lists,
            links,
            workers,
            stale,
            ..
        } = state;
        let worker = &mut workers[number];
        if let Work::Late { cid, node } = worker.work {
            lists[cid as usize].head = links[node as usize];
            worker.work = Work::Outside;
            return;
        }
        let Work::Open {
            cid,
            push,
            stop,
            head,
            link,
        } = &mut worker.work
        else {
            return;
        };
        let it = &mut lists[*cid as usize];
        let looks = match self.fault {
            Fault::PopIgnoresStop => *push,
            Fault::PushIgnoresStop => !*push,
            _ => true,
        };
        let stop_first = self.fault != Fault::HeadFirst;
        match (*stop, *head, *link) {
            (None, _, _) if looks && (stop_first || head.is_some()) => {
                *stop = Some(it.stop);
                if it.stop {
                    worker.work = Work::Outside;
                }
            }
            (_, None, _) => {
                *head = Some(it.head);
                if it.head == 0 && !*push {
                    worker.work = Work::Outside;
                }
            }
            (_, Some(top), None) if *push => {
                links[worker.hand as usize] = top;
                *link = Some(top);
            }
            (_, Some(top), None) => {
                *stale |= !chain(links, it.head).contains(&top);
                *link = Some(links[top as usize]);
                if self.fault == Fault::LinkLater {
                    worker.hand = top;
                    worker.work = Work::Late {
                        cid: *cid,
                        node: top,
                    };
                }
            }
            (_, Some(top), Some(below)) => {
                (it.head, worker.hand) = if *push {
                    (worker.hand, 0)
                } else {
                    (below, top)
                };
                worker.work = Work::Outside;
            }
        }
    }

    fn fence(&self, state: &mut State) {
        if self.fault != Fault::NoFence {
            for worker in &mut state.workers {
                worker.work = Work::Outside;
            }
        }
    }

    fn take(&self, state: &mut State, number: usize) {
        let lists = &mut state.lists;
        let next = match state.takers[number] {
            Take::Idle if state.control => Take::Idle,
            Take::Idle => {
                state.control = true;
                if self.fault == Fault::FenceFirst {
                    self.fence(state);
                }
                Take::Stopping(0)
            }
            Take::Stopping(cid) if (cid as usize) < CIDS => {
                let it = &mut lists[cid as usize];
                it.stop = true;
                // Left there by a taker whom only the parent has.
                let left = std::mem::take(&mut it.aside);
                if cid == 0 {
                    state.read[number] = it.head;
                }
                state.give(left);
                Take::Stopping(cid + 1)
            }
            Take::Stopping(_) => {
                if self.fault != Fault::FenceFirst {
                    self.fence(state);
                }
                Take::Fenced(0)
            }
            Take::Fenced(cid) => {
                let it = &mut lists[cid as usize];
                if self.fault != Fault::TakeFirst || cid > 0 {
                    state.read[number] = it.head;
                }
                if self.fault == Fault::OpenFirst {
                    it.stop = false;
                }
                if self.fault == Fault::AsideFirst {
                    it.aside = state.read[number];
                }
                Take::Read(cid)
            }
            Take::Read(cid) => {
                lists[cid as usize].head = 0;
                Take::Stored(cid)
            }
            Take::Stored(cid) => {
                lists[cid as usize].aside = state.read[number];
                state.read[number] = 0;
                Take::Aside(cid)
            }
            Take::Aside(cid) => {
                lists[cid as usize].stop = false;
                if (cid as usize) + 1 < CIDS {
                    Take::Fenced(cid + 1)
                } else {
                    Take::Joining(0)
                }
            }
            Take::Joining(cid) if (cid as usize) < CIDS => {
                let it = &mut lists[cid as usize];
                let first = std::mem::take(&mut it.aside);
                if self.fault == Fault::StoreBack && first != 0 {
                    // Its own list was empty when it looked.
                    let last = chain(&state.links, first)[0];
                    if it.head == 0 || state.links[last as usize] != 0 {
                        it.head = first;
                    } else {
                        state.give(first);
                    }
                } else {
                    state.give(first);
                }
                Take::Joining(cid + 1)
            }
            Take::Joining(_) => {
                state.control = false;
                Take::Idle
            }
        };
        state.takers[number] = next;
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        // All are on the first list: 3 on top of 2 on top of 1.
        let mut lists = [List::default(); CIDS];
        lists[0].head = NODES as u8;
        vec![State {
            lists,
            links: std::array::from_fn(|node| node.saturating_sub(1) as u8),
            loose: 0,
            workers: [Worker {
                hand: 0,
                work: Work::Outside,
            }; WORKERS],
            takers: [Take::Idle; TAKERS],
            read: [0; TAKERS],
            control: false,
            forked: false,
            stale: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, worker) in state.workers.iter().enumerate() {
            if worker.work != Work::Outside {
                actions.push(Action::Step(number));
                if self.fault != Fault::NoAbort {
                    actions.push(Action::Abort(number));
                }
                continue;
            }
            for cid in 0..CIDS as u8 {
                // An id is one thread's while it is in a section; one that has lost it is
                // aborted before another has it.
                let free = self.fault == Fault::NoAbort
                    || state.workers.iter().all(|other| match other.work {
                        Work::Open { cid: used, .. } | Work::Late { cid: used, .. } => used != cid,
                        Work::Outside => true,
                    });
                if free {
                    actions.push(Action::Begin(number, cid, worker.hand != 0));
                }
            }
            if worker.hand != 0 {
                actions.push(Action::ToLoose(number));
            } else if state.loose != 0 {
                actions.push(Action::FromLoose(number));
            }
        }
        for cid in 0..CIDS as u8 {
            // It takes control and gives it back around the one store.
            if !state.control || self.fault == Fault::OpenAnyhow {
                actions.push(Action::Open(cid));
            }
        }
        actions.extend((0..TAKERS).map(Action::Taker));
        if !state.forked {
            actions.extend((0..WORKERS).map(Action::Fork));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(number, cid, push) => {
                state.workers[number].work = Work::Open {
                    cid,
                    push,
                    stop: None,
                    head: None,
                    link: None,
                };
            }
            Action::Step(number) => self.step(&mut state, number),
            Action::Abort(number) => state.workers[number].work = Work::Outside,
            Action::ToLoose(number) => {
                let node = std::mem::take(&mut state.workers[number].hand);
                state.links[node as usize] = 0;
                state.give(node);
            }
            Action::FromLoose(number) => {
                // All are taken, and the others go back: nobody sees what is between.
                let first = std::mem::take(&mut state.loose);
                state.workers[number].hand = first;
                state.loose = state.links[first as usize];
            }
            Action::Open(cid) => state.lists[cid as usize].stop = false,
            Action::Taker(number) => self.take(&mut state, number),
            Action::Fork(number) => {
                if state.workers[number].work != Work::Outside {
                    return None;
                }
                let mine = state.workers[number];
                state.workers = [Worker {
                    hand: 0,
                    work: Work::Outside,
                }; WORKERS];
                state.workers[number] = mine;
                state.takers = [Take::Idle; TAKERS];
                state.read = [0; TAKERS];
                state.control = false;
                state.forked = true;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no node is in two places", |_, state: &State| {
                let hands = state.workers.iter().map(|worker| worker.hand);
                let mut all = state.shared();
                all.extend(hands.filter(|&node| node != 0));
                all.sort_unstable();
                all.windows(2).all(|two| two[0] != two[1])
            }),
            Property::always("none is lost", |_, state: &State| {
                let mut all = state.shared();
                all.extend(state.workers.iter().map(|worker| worker.hand));
                let read = state.read.iter();
                all.extend(read.flat_map(|&first| chain(&state.links, first)));
                state.forked || (1..=NODES as u8).all(|node| all.contains(&node))
            }),
            Property::always("links are read on the list", |_, state: &State| {
                !state.stale
            }),
        ]
    }
}

/// Names of the properties that do not hold.
fn explore(fault: Fault) -> Vec<&'static str> {
    let checker = World { fault }
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{fault:?}: {} states, {:?}",
        checker.unique_state_count(),
        checker.discoveries().keys()
    );
    checker.discoveries().into_keys().collect()
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn lists_are_taken_without_loss() {
    assert_eq!(explore(Fault::None), [""; 0]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn mutants_are_found() {
    for fault in [
        Fault::NoFence,
        Fault::FenceFirst,
        Fault::TakeFirst,
        Fault::PopIgnoresStop,
        Fault::PushIgnoresStop,
        Fault::HeadFirst,
        Fault::OpenFirst,
        Fault::AsideFirst,
        Fault::StoreBack,
        Fault::OpenAnyhow,
        Fault::NoAbort,
        Fault::LinkLater,
    ] {
        assert!(
            !explore(fault).is_empty(),
            "{fault:?} passed: this model proves nothing"
        );
    }
}
