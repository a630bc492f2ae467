//! The shared words, the threads that change them, and their steps.

pub(super) const CIDS: usize = 2;
pub(super) const WORKERS: usize = 2;
pub(super) const TAKERS: usize = 2;
pub(super) const NODES: usize = 3;

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
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
pub(super) struct List {
    pub(super) stop: bool,
    pub(super) head: u8,
    pub(super) aside: u8,
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
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
pub(super) struct Worker {
    pub(super) hand: u8,
    pub(super) work: Work,
}

/// Where a taker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Take {
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
pub(super) struct State {
    pub(super) lists: [List; CIDS],
    /// By node, from 1 on.
    pub(super) links: [u8; NODES + 1],
    pub(super) loose: u8,
    pub(super) workers: [Worker; WORKERS],
    pub(super) takers: [Take; TAKERS],
    /// What each taker has read of the list that it works on.
    pub(super) read: [u8; TAKERS],
    /// Whether somebody has control.
    pub(super) control: bool,
    pub(super) forked: bool,
    /// Whether a section has read the link of a node that was off its list, and gone on.
    pub(super) stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Begin(usize, u8, bool),
    Step(usize),
    Abort(usize),
    ToLoose(usize),
    FromLoose(usize),
    Open(u8),
    Taker(usize),
    Fork(usize),
}

pub(super) struct World {
    pub(super) fault: Fault,
}

/// The nodes of a chain, as far as it leads.
pub(super) fn chain(links: &[u8], first: u8) -> Vec<u8> {
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
    pub(super) fn shared(&self) -> Vec<u8> {
        let mut all = chain(&self.links, self.loose);
        for it in &self.lists {
            all.extend(chain(&self.links, it.head));
            all.extend(chain(&self.links, it.aside));
        }
        all
    }

    /// Makes a chain loose, and nothing of it another's.
    pub(super) fn give(&mut self, first: u8) {
        if let Some(&last) = chain(&self.links, first).last() {
            self.links[last as usize] = self.loose;
            self.loose = first;
        }
    }
}

impl World {
    pub(super) fn step(&self, state: &mut State, number: usize) {
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

    pub(super) fn fence(&self, state: &mut State) {
        if self.fault != Fault::NoFence {
            for worker in &mut state.workers {
                worker.work = Work::Outside;
            }
        }
    }

    pub(super) fn take(&self, state: &mut State, number: usize) {
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
