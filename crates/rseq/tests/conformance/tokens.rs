//! Operations that move things: every token is somewhere, and nowhere twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use percid_rseq::Refusal;

use crate::cell::{Held, THREADS, Workload};
use crate::stripes::{By, Stripes, WORDS};

/// Tokens that each thread starts with; token 0 is "none".
const EACH: u64 = 24;

const TOKENS: u64 = EACH * THREADS as u64;

/// Room of a stripe's stack; less than there are tokens, so that it fills.
const CAPACITY: u32 = 40;

/// Moves tokens between a thread's hand and the stripes.
type Step = fn(&Moving, u64, &mut Vec<u64>) -> Result<(), Refusal>;

/// The tokens in one stripe.
type Contents = fn(&Moving, usize) -> Vec<u64>;

struct Moving {
    stripes: Stripes,
    nodes: Vec<Node>,
    /// Whether somebody takes a stack from outside.
    taking: AtomicBool,
    step: Step,
    contents: Contents,
}

/// A node of a list: its link is not its first word.
#[repr(C)]
struct Node {
    token: u64,
    link: std::sync::atomic::AtomicU64,
}

const LINK: usize = std::mem::offset_of!(Node, link);

impl Workload for Moving {
    fn step(&self, thread: usize, turn: u64, held: &mut Held) -> Result<(), Refusal> {
        if turn == 0 {
            let first = 1 + thread as u64 * EACH;
            held.tokens = (first..first + EACH).collect();
        }
        (self.step)(self, turn, &mut held.tokens)
    }

    fn is_exact(&self, held: &[Held]) -> Result<(), String> {
        let stripes = (0..self.stripes.ids()).flat_map(|id| (self.contents)(self, id));
        let hands = held.iter().flat_map(|held| held.tokens.iter().copied());
        let mut found: Vec<u64> = stripes.chain(hands).filter(|&token| token != 0).collect();
        found.sort_unstable();
        let started = held.iter().filter(|held| held.steps > 0).count() as u64;
        if found.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a token is in two places".to_owned());
        }
        if found.len() as u64 != started * EACH {
            return Err(format!(
                "{} of {} tokens found",
                found.len(),
                started * EACH
            ));
        }
        Ok(())
    }
}

impl Moving {
    fn new(by: By, step: Step, contents: Contents) -> Moving {
        let nodes = (0..=TOKENS)
            .map(|token| Node {
                token,
                link: std::sync::atomic::AtomicU64::new(0),
            })
            .collect();
        Moving {
            stripes: Stripes::new(by),
            nodes,
            taking: AtomicBool::new(false),
            step,
            contents,
        }
    }
}

fn moving(by: By, step: Step, contents: Contents) -> Box<dyn Workload> {
    Box::new(Moving::new(by, step, contents))
}

/// Leaves the first token of the hand where another was.
pub(crate) fn swap(by: By) -> Box<dyn Workload> {
    moving(
        by,
        |all, _, hand| {
            let mine = hand.pop().unwrap_or(0);
            match all.stripes.swap(5, mine) {
                Ok(other) => hand.push(other),
                Err(refusal) => {
                    hand.push(mine);
                    return Err(refusal);
                }
            }
            hand.rotate_left(1);
            Ok(())
        },
        |all, id| vec![all.stripes.word(id, 5).load(Ordering::Relaxed)],
    )
}

/// Whether to push in this turn: what a full or an empty hand cannot choose.
fn pushes(turn: u64, hand: &[u64]) -> bool {
    !hand.is_empty() && (turn % 7 < 4 || hand.len() as u64 == TOKENS)
}

pub(crate) fn list(by: By) -> Box<dyn Workload> {
    moving(
        by,
        |all, turn, hand| {
            if pushes(turn, hand) {
                let token = hand[hand.len() - 1];
                let node = (&raw const all.nodes[token as usize]).cast_mut().cast();
                all.stripes.list_push::<LINK>(node)?;
                hand.pop();
            } else {
                match all.stripes.list_pop::<LINK>() {
                    // SAFETY: every node that was pushed is one of these.
                    Ok(node) => hand.push(unsafe { (*node.cast::<Node>()).token }),
                    Err(Refusal::Empty) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(())
        },
        |all, id| chain(all, all.stripes.word(id, 0).load(Ordering::Relaxed)),
    )
}

/// The tokens of a chain of nodes.
fn chain(all: &Moving, first: u64) -> Vec<u64> {
    let mut tokens = Vec::new();
    let mut next = first as usize;
    while next != 0 && tokens.len() <= all.nodes.len() {
        let node: *const Node = std::ptr::with_exposed_provenance(next);
        // SAFETY: every node that was pushed is one of these.
        let node = unsafe { &*node };
        tokens.push(node.token);
        next = node.link.load(Ordering::Relaxed) as usize;
    }
    tokens
}

/// Nodes and chains of two on lists that are taken from outside now and then.
pub(crate) fn gated_list(by: By) -> Box<dyn Workload> {
    moving(
        by,
        |all, turn, hand| {
            let node = |token: u64| (&raw const all.nodes[token as usize]).cast_mut();
            if turn % 32 == 31 {
                if all.taking.swap(true, Ordering::Acquire) {
                    return Ok(());
                }
                let taken = all
                    .stripes
                    .take_list(turn as usize / 32 % all.stripes.ids());
                all.taking.store(false, Ordering::Release);
                hand.extend(chain(all, taken?));
                return Ok(());
            }
            if pushes(turn, hand) {
                let count = hand.len().min(1 + (turn % 2) as usize);
                let [first, last] = [hand.len() - count, hand.len() - 1].map(|at| node(hand[at]));
                if count == 2 {
                    // SAFETY: two nodes of this hand.
                    let link = unsafe { &(*first).link };
                    link.store(last.expose_provenance() as u64, Ordering::Relaxed);
                }
                match all
                    .stripes
                    .gated_list_push::<LINK>(first.cast(), last.cast())
                {
                    Ok(()) => hand.truncate(hand.len() - count),
                    Err(Refusal::Full) => {}
                    Err(refusal) => return Err(refusal),
                }
            } else {
                match all.stripes.gated_list_pop::<LINK>() {
                    // SAFETY: every node that was pushed is one of these.
                    Ok(node) => hand.push(unsafe { (*node.cast::<Node>()).token }),
                    Err(Refusal::Empty) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(())
        },
        |all, id| chain(all, all.stripes.word(id, 0).load(Ordering::Relaxed)),
    )
}

/// The words of a stripe's stack.
fn stack(all: &Moving, id: usize) -> Vec<u64> {
    stack_at(all, id, 0)
}

/// The words of the stack at a place.
fn stack_at(all: &Moving, id: usize, first: usize) -> Vec<u64> {
    let len = all.stripes.word(id, first).load(Ordering::Relaxed) as u32;
    assert!(len <= CAPACITY, "a stack of {len}");
    (1..=len as usize)
        .map(|place| all.stripes.word(id, first + place).load(Ordering::Relaxed))
        .collect()
}

pub(crate) fn array(by: By) -> Box<dyn Workload> {
    moving(
        by,
        |all, turn, hand| {
            if pushes(turn, hand) {
                match all.stripes.array_push(CAPACITY, hand[hand.len() - 1]) {
                    Ok(()) => drop(hand.pop()),
                    Err(Refusal::Full) => {}
                    Err(refusal) => return Err(refusal),
                }
            } else {
                match all.stripes.array_pop() {
                    Ok(token) => hand.push(token),
                    Err(Refusal::Empty) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(())
        },
        stack,
    )
}

pub(crate) fn batches(by: By) -> Box<dyn Workload> {
    moving(
        by,
        |all, turn, hand| {
            let some = 1 + (turn % 13) as usize;
            if pushes(turn, hand) {
                let from = hand.len().saturating_sub(some);
                match all.stripes.array_push_batch(CAPACITY, &hand[from..]) {
                    Ok(taken) => drop(hand.drain(from..from + taken as usize)),
                    Err(Refusal::Full) => {}
                    Err(refusal) => return Err(refusal),
                }
            } else {
                let mut room = [0; 13];
                match all.stripes.array_pop_batch(&mut room[..some]) {
                    Ok(taken) => hand.extend(&room[..taken as usize]),
                    Err(Refusal::Empty) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(())
        },
        stack,
    )
}

/// Words of the two stacks that pairs are pushed on.
const PAIRS: [usize; 2] = [64, 256];

/// Pushes pairs on whichever stack is chosen at that moment.
pub(crate) fn pairs(by: By) -> Box<dyn Workload> {
    static CHOSEN: AtomicU64 = AtomicU64::new(8 * PAIRS[0] as u64);
    moving(
        by,
        |all, turn, hand| {
            let place = PAIRS[turn as usize / 16 % PAIRS.len()];
            if turn % 16 == 0 {
                CHOSEN.store(8 * place as u64, Ordering::Release);
            }
            if pushes(turn, hand) && hand.len() >= 2 {
                let top = hand.len() - 2;
                match all
                    .stripes
                    .array_push_pair(&CHOSEN, CAPACITY, [hand[top], hand[top + 1]])
                {
                    Ok(()) => hand.truncate(top),
                    Err(Refusal::Full) => {}
                    Err(refusal) => return Err(refusal),
                }
            } else {
                let mut room = [0; 2];
                match all.stripes.array_pop_pair(place, &mut room) {
                    Ok(taken) => hand.extend(&room[..taken as usize]),
                    Err(Refusal::Empty) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(())
        },
        |all, id| PAIRS.map(|place| stack_at(all, id, place)).concat(),
    )
}

/// Gated stacks whose gates stand open.
fn gated(by: By, step: Step) -> Box<dyn Workload> {
    let all = Moving::new(by, step, stack);
    for id in 0..all.stripes.ids() {
        let open = u64::from(CAPACITY) << 32;
        all.stripes.word(id, 0).store(open, Ordering::Relaxed);
    }
    Box::new(all)
}

/// Now and then takes what a stripe holds from outside, if nobody else does.
fn take(all: &Moving, turn: u64, hand: &mut Vec<u64>) -> Result<(), Refusal> {
    if all.taking.swap(true, Ordering::Acquire) {
        return Ok(());
    }
    // Not all gates are as wide.
    let gate = CAPACITY - (turn % 3) as u32;
    let taken = all
        .stripes
        .take_gated(turn as usize / 32 % all.stripes.ids(), gate);
    all.taking.store(false, Ordering::Release);
    hand.extend(taken?);
    Ok(())
}

pub(crate) fn gated_array(by: By) -> Box<dyn Workload> {
    gated(by, |all, turn, hand| {
        if turn % 32 == 31 {
            return take(all, turn, hand);
        }
        if pushes(turn, hand) {
            match all.stripes.gated_push(hand[hand.len() - 1]) {
                Ok(()) => drop(hand.pop()),
                Err(Refusal::Full) => {}
                Err(refusal) => return Err(refusal),
            }
        } else {
            match all.stripes.gated_pop() {
                Ok(token) => hand.push(token),
                Err(Refusal::Empty) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    })
}

pub(crate) fn gated_batches(by: By) -> Box<dyn Workload> {
    gated(by, |all, turn, hand| {
        let some = 1 + (turn % 13) as usize;
        if turn % 32 == 31 {
            return take(all, turn, hand);
        }
        if pushes(turn, hand) {
            let from = hand.len().saturating_sub(some);
            match all.stripes.gated_push_batch(&hand[from..]) {
                Ok(taken) => drop(hand.drain(from..from + taken as usize)),
                Err(Refusal::Full) => {}
                Err(refusal) => return Err(refusal),
            }
        } else {
            let mut room = [0; 13];
            match all.stripes.gated_pop_batch(&mut room[..some]) {
                Ok(taken) => hand.extend(&room[..taken as usize]),
                Err(Refusal::Empty) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    })
}

/// A token as it lies in a byte stack: with a size that is none of the copy's
/// steps, and its complement to show a torn one.
const ITEM: usize = 29;

fn item(token: u64) -> [u8; ITEM] {
    let mut item = [0x5a; ITEM];
    item[..8].copy_from_slice(&token.to_le_bytes());
    item[ITEM - 8..].copy_from_slice(&(!token).to_le_bytes());
    item
}

fn token(item: &[u8]) -> u64 {
    let word = |at: usize| u64::from_le_bytes(item[at..at + 8].try_into().unwrap());
    // A torn item is no token: it is missed where tokens are counted.
    if word(0) == !word(ITEM - 8) {
        word(0)
    } else {
        0
    }
}

pub(crate) fn copies(by: By) -> Box<dyn Workload> {
    const BYTES: usize = CAPACITY as usize * ITEM;
    moving(
        by,
        |all, turn, hand| {
            if pushes(turn, hand) {
                match all.stripes.copy_push(BYTES, &item(hand[hand.len() - 1])) {
                    Ok(()) => drop(hand.pop()),
                    Err(Refusal::Full) => {}
                    Err(refusal) => return Err(refusal),
                }
            } else {
                let mut popped = [0; ITEM];
                match all.stripes.copy_pop(&mut popped) {
                    Ok(()) => hand.push(token(&popped)),
                    Err(Refusal::Empty) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(())
        },
        |all, id| {
            let len = all.stripes.word(id, 0).load(Ordering::Relaxed) as usize;
            let bytes: Vec<u8> = (1..WORDS)
                .flat_map(|place| {
                    all.stripes
                        .word(id, place)
                        .load(Ordering::Relaxed)
                        .to_le_bytes()
                })
                .collect();
            bytes[..len].chunks(ITEM).map(token).collect()
        },
    )
}

/// Threads push and pop, and copy the whole stack out now and then: the copy must
/// be of one moment, in which every token that it holds is there once.
pub(crate) fn copy_out(by: By) -> Box<dyn Workload> {
    moving(
        by,
        |all, turn, hand| {
            if turn % 3 != 0 {
                let push = pushes(turn, hand);
                let outcome = if push {
                    all.stripes
                        .array_push(CAPACITY, hand[hand.len() - 1])
                        .map(|()| 0)
                } else {
                    all.stripes.array_pop()
                };
                match outcome {
                    Ok(_) if push => drop(hand.pop()),
                    Ok(token) => hand.push(token),
                    Err(Refusal::Full | Refusal::Empty) => {}
                    Err(refusal) => return Err(refusal),
                }
                return Ok(());
            }
            let mut copy = [0; 1 + CAPACITY as usize];
            all.stripes.copy_out(0, &mut copy)?;
            let len = copy[0] as usize;
            let mut tokens = copy[1..=len.min(CAPACITY as usize)].to_vec();
            tokens.sort_unstable();
            let whole = tokens.windows(2).all(|pair| pair[0] != pair[1])
                && tokens.iter().all(|&token| (1..=TOKENS).contains(&token));
            // A copy that is not of one moment shows as a token too many.
            if !whole {
                hand.push(u64::MAX);
            }
            Ok(())
        },
        stack,
    )
}
