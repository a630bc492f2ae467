//! Every interleaving of a few threads that add, fetch, return and take away, and of two
//! that collect, each step by itself; and faults that must be found.
//!
//! A section is two steps: it reads REVOKED, and later commits by what it read. A fence,
//! or another section on its stripe, sends it back to its start.

use std::collections::HashSet;

const LIMIT: i8 = 2;
const PART: i8 = 1;
const MOST: i8 = 2 * PART;

/// What a mutant does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// A collector does not fence.
    NoFence,
    /// It fences before it revokes.
    FenceFirst,
    /// It takes all for free that was left before.
    UsedIsForgotten,
    /// It gives nothing back to the stripe, and counts right otherwise.
    NothingGivenBack,
    /// A part is in the stripe before it is promised.
    FetchUnpromised,
    /// A part is free while the stripe still has it.
    ReturnEarly,
    /// A section does not look at what was revoked.
    RevokedUnread,
}

/// What is moved in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Move {
    Add,
    TakeAway,
    Fetch,
    Return,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum User {
    Idle,
    /// About to run a section.
    Before(Move),
    /// In it, having read REVOKED.
    Inside(Move, i8),
    /// About to change `free` by that.
    Release(i8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Collector {
    Idle,
    Left(i8),
    Revoked(i8),
    Fenced(i8),
    /// What was left, and what was used of it.
    Used(i8, i8),
    Free(i8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stripe {
    spent: i8,
    promised: i8,
    revoked: i8,
}

impl Stripe {
    fn left(self) -> i8 {
        self.promised + self.revoked - self.spent
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    free: i8,
    stripes: [Stripe; 2],
    users: [User; 2],
    collectors: [Collector; 2],
    /// What may still be begun.
    collections: [u8; 2],
    extras: [u8; 2],
}

struct Model {
    fault: Fault,
    /// The stripe of each user.
    of: [usize; 2],
}

impl Model {
    fn start() -> State {
        let empty = Stripe {
            spent: 0,
            promised: 0,
            revoked: 0,
        };
        State {
            free: LIMIT,
            stripes: [empty; 2],
            users: [User::Idle; 2],
            collectors: [Collector::Idle; 2],
            collections: [1, 1],
            extras: [1, 1],
        }
    }

    /// What may be next.
    fn next(&self, state: &State) -> Vec<State> {
        let mut all = Vec::new();
        for user in 0..2 {
            self.user(state, user, &mut all);
        }
        for collector in 0..2 {
            self.collector(state, collector, &mut all);
        }
        all
    }

    fn user(&self, state: &State, user: usize, all: &mut Vec<State>) {
        let stripe = self.of[user];
        let mut to = |change: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            change(&mut next);
            all.push(next);
        };
        match state.users[user] {
            User::Idle => {
                to(&|next| next.users[user] = User::Before(Move::Add));
                if self.fault == Fault::FetchUnpromised {
                    to(&|next| next.users[user] = User::Before(Move::Fetch));
                } else if state.free >= PART {
                    to(&|next| {
                        next.free -= PART;
                        next.users[user] = User::Before(Move::Fetch);
                    });
                }
                if state.extras[user] > 0 {
                    to(&|next| {
                        next.extras[user] -= 1;
                        next.users[user] = User::Before(Move::TakeAway);
                    });
                    to(&|next| {
                        next.extras[user] -= 1;
                        if self.fault == Fault::ReturnEarly {
                            next.free += PART;
                        }
                        next.users[user] = User::Before(Move::Return);
                    });
                }
            }
            User::Before(what) => to(&|next| {
                let seen = next.stripes[stripe].revoked;
                next.users[user] = User::Inside(what, seen);
                self.abort(next, user, stripe);
            }),
            User::Inside(what, revoked) => to(&|next| {
                let mut changed = next.stripes[stripe];
                match what {
                    Move::Add => changed.spent += 1,
                    Move::TakeAway => changed.spent -= 1,
                    Move::Fetch => changed.promised += PART,
                    Move::Return => changed.promised -= PART,
                }
                let revoked = if self.fault == Fault::RevokedUnread {
                    0
                } else {
                    revoked
                };
                let left = changed.promised - changed.spent + revoked;
                let fits = (0..=MOST).contains(&left) && changed.spent >= 0;
                if fits {
                    next.stripes[stripe] = changed;
                }
                next.users[user] = match (what, fits) {
                    (Move::Fetch, false) if self.fault != Fault::FetchUnpromised => {
                        User::Release(PART)
                    }
                    (Move::Fetch, true) if self.fault == Fault::FetchUnpromised => {
                        User::Release(-PART)
                    }
                    (Move::Return, true) if self.fault != Fault::ReturnEarly => User::Release(PART),
                    (Move::Return, false) if self.fault == Fault::ReturnEarly => {
                        User::Release(-PART)
                    }
                    _ => User::Idle,
                };
            }),
            User::Release(n) => to(&|next| {
                next.free += n;
                next.users[user] = User::Idle;
            }),
        }
    }

    /// Sends sections on a stripe back to their start: of another user's on the same one.
    fn abort(&self, state: &mut State, by: usize, stripe: usize) {
        for user in 0..2 {
            if user != by
                && self.of[user] == stripe
                && let User::Inside(what, _) = state.users[user]
            {
                state.users[user] = User::Before(what);
            }
        }
    }

    /// All collect on the first stripe, where they meet.
    fn collector(&self, state: &State, collector: usize, all: &mut Vec<State>) {
        let mut next = state.clone();
        let fence = |next: &mut State| {
            for user in &mut next.users {
                if let User::Inside(what, _) = *user {
                    *user = User::Before(what);
                }
            }
        };
        next.collectors[collector] = match state.collectors[collector] {
            Collector::Idle => {
                if state.collections[collector] == 0 {
                    return;
                }
                next.collections[collector] -= 1;
                if self.fault == Fault::FenceFirst {
                    fence(&mut next);
                }
                Collector::Left(state.stripes[0].left().max(0))
            }
            Collector::Left(left) => {
                next.stripes[0].revoked -= left;
                Collector::Revoked(left)
            }
            Collector::Revoked(left) => {
                if !matches!(self.fault, Fault::NoFence | Fault::FenceFirst) {
                    fence(&mut next);
                }
                Collector::Fenced(left)
            }
            Collector::Fenced(left) => {
                let used = (-state.stripes[0].left()).clamp(0, left);
                Collector::Used(left, used)
            }
            Collector::Used(left, used) => {
                if self.fault != Fault::NothingGivenBack {
                    next.stripes[0].revoked += used;
                }
                let forgotten = self.fault == Fault::UsedIsForgotten;
                Collector::Free(if forgotten { left } else { left - used })
            }
            Collector::Free(n) => {
                next.free += n;
                Collector::Idle
            }
        };
        all.push(next);
    }

    /// What is wrong with a state.
    fn fault(&self, state: &State) -> Option<&'static str> {
        let spent: i8 = state.stripes.iter().map(|stripe| stripe.spent).sum();
        if spent > LIMIT {
            return Some("more than the limit");
        }
        let idle = state.users.iter().all(|user| matches!(user, User::Idle))
            && state
                .collectors
                .iter()
                .all(|one| matches!(one, Collector::Idle));
        let promised: i8 = state
            .stripes
            .iter()
            .map(|stripe| stripe.promised + stripe.revoked)
            .sum();
        if idle && promised + state.free != LIMIT {
            return Some("part of the limit is lost, or there twice");
        }
        if idle && state.stripes.iter().any(|stripe| stripe.left() < 0) {
            return Some("a stripe has used what it does not have");
        }
        None
    }

    /// All states; the first fault that is found, or how many there are.
    fn check(&self) -> Result<usize, (&'static str, State)> {
        let start = Model::start();
        let mut known = HashSet::from([start.clone()]);
        let mut open = vec![start];
        while let Some(state) = open.pop() {
            if let Some(what) = self.fault(&state) {
                return Err((what, state));
            }
            for next in self.next(&state) {
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        Ok(known.len())
    }
}

#[test]
fn the_limit_holds() {
    for of in [[0, 1], [0, 0]] {
        let model = Model {
            fault: Fault::None,
            of,
        };
        let states = model
            .check()
            .unwrap_or_else(|(what, state)| panic!("{what}: {state:?}"));
        println!("users on stripes {of:?}: {states} states");
    }
}

#[test]
fn every_fault_is_found() {
    for fault in [
        Fault::NoFence,
        Fault::FenceFirst,
        Fault::UsedIsForgotten,
        Fault::NothingGivenBack,
        Fault::FetchUnpromised,
        Fault::ReturnEarly,
        Fault::RevokedUnread,
    ] {
        let found = [[0, 1], [0, 0]]
            .iter()
            .any(|&of| Model { fault, of }.check().is_err());
        assert!(found, "{fault:?} does no harm");
    }
}
