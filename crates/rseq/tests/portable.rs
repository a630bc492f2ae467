//! Threads that share one stripe on the portable body: every total is exact.
//!
//! What happens where a claim is held open, and the controls, are in the conformance
//! suite and in the models; signals are in `portable_signals.rs`.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use percid_rseq::Refusal;
use percid_rseq::portable::{self, LOW, TOP, claimable};

const THREADS: u64 = 4;

/// Miri sees more in one turn than a processor in a thousand.
const TURNS: u64 = if cfg!(miri) { 100 } else { 20_000 };

/// Turns of who gets in everybody's way.
const FEW_TURNS: u64 = if cfg!(miri) { 5 } else { 200 };

/// Tokens that each thread starts with.
const EACH: u64 = 16;

/// Room of the stacks; less than there are tokens, so that they fill.
const CAPACITY: usize = 40;

/// What threads share: a word and what it guards.
#[repr(C)]
struct Stripe([AtomicU64; 1 + 4 * CAPACITY]);

impl Stripe {
    const fn new() -> Stripe {
        Stripe([const { AtomicU64::new(0) }; 1 + 4 * CAPACITY])
    }

    fn word(&self) -> *mut u64 {
        self.0.as_ptr().cast::<u64>().cast_mut()
    }
}

/// Repeats an operation until nobody is in its way: what only a test may do.
fn patiently<T>(mut operation: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    loop {
        match operation() {
            Err(Refusal::Aborted) => std::thread::yield_now(),
            outcome => return outcome,
        }
    }
}

/// Ends the other threads when it goes, and so when a check fails.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All that can be popped; no more than could be right.
fn drain(mut pop: impl FnMut() -> Result<u64, Refusal>) -> Vec<u64> {
    std::iter::from_fn(|| pop().ok())
        .take(1 + (THREADS * EACH) as usize)
        .collect()
}

/// Each thread takes its turns with a hand of tokens, once; all hands afterwards.
fn hands(turn: impl Fn(u64, &mut Vec<u64>) + Sync) -> Vec<u64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let turn = &turn;
                scope.spawn(move || {
                    let mut hand: Vec<u64> = (1..=EACH).map(|it| thread * EACH + it).collect();
                    (0..TURNS).for_each(|number| turn(number + thread, &mut hand));
                    hand
                })
            })
            .collect();
        let hands = threads.into_iter().map(|thread| thread.join().unwrap());
        hands.flatten().collect()
    })
}

/// Every token is there once.
fn assert_exact(mut found: Vec<u64>) {
    found.sort_unstable();
    assert_eq!(found, (1..=THREADS * EACH).collect::<Vec<_>>());
}

/// Takes the last tokens out of a hand and puts back what was refused.
fn give(hand: &mut Vec<u64>, most: usize, push: impl FnOnce(&[u64]) -> Result<u32, Refusal>) {
    let from = hand.len().saturating_sub(most);
    match push(&hand[from..]) {
        Ok(taken) => drop(hand.drain(from..from + taken as usize)),
        Err(Refusal::Full | Refusal::Aborted) => {}
        Err(why) => panic!("{why}"),
    }
}

fn give_one(hand: &mut Vec<u64>, push: impl FnOnce(u64) -> Result<(), Refusal>) {
    give(hand, 1, |some| match some {
        [token] => push(*token).map(|()| 1),
        _ => Ok(0),
    });
}

#[test]
fn words_on_a_stack() {
    let stripe = Stripe::new();
    let capacity = CAPACITY as u32;
    let push = |token: u64| {
        // SAFETY: the stripe has room.
        unsafe { portable::array_push(stripe.word(), capacity, token) }
    };
    // SAFETY: as above.
    let pop = || unsafe { portable::array_pop(stripe.word()) };
    let push_some = |some: &[u64]| {
        let count = some.len() as u32;
        // SAFETY: as above; a slice.
        unsafe { portable::array_push_batch(stripe.word(), capacity, some.as_ptr(), count) }
    };
    let pop_some = |some: &mut [u64]| {
        let count = some.len() as u32;
        // SAFETY: as above; a slice.
        unsafe { portable::array_pop_batch(stripe.word(), some.as_mut_ptr(), count) }
    };
    let mut found = hands(|turn, hand| match turn % 5 {
        0 => give_one(hand, push),
        1 | 2 => give(hand, 7, push_some),
        3 => hand.extend(pop()),
        _ => {
            let mut room = [0; 11];
            let count = pop_some(&mut room).unwrap_or(0);
            hand.extend(&room[..count as usize]);
        }
    });
    found.extend(drain(pop));
    assert_exact(found);
}

/// A token among bytes: at both ends, with what is its own in between.
const ITEM: usize = 29;

fn item(token: u64) -> [u8; ITEM] {
    let mut item = [token as u8; ITEM];
    item[..8].copy_from_slice(&token.to_le_bytes());
    item[ITEM - 8..].copy_from_slice(&token.to_le_bytes());
    item
}

fn token(bytes: &[u8]) -> u64 {
    let token = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, item(token), "a torn item");
    token
}

#[test]
fn bytes_on_a_stack_and_copies_of_all() {
    let stripe = Stripe::new();
    let room = CAPACITY * ITEM;
    let pop = || {
        let mut bytes = [0; ITEM];
        // SAFETY: the stripe has room; an array.
        unsafe { portable::copy_pop(stripe.word(), bytes.as_mut_ptr(), ITEM) }
            .map(|()| token(&bytes))
    };
    let mut found = hands(|turn, hand| match turn % 5 {
        0 | 1 => give_one(hand, |token| {
            let bytes = item(token);
            // SAFETY: as above.
            unsafe { portable::copy_push(stripe.word(), room, bytes.as_ptr(), ITEM) }
        }),
        2 | 3 => hand.extend(pop()),
        _ => {
            let mut copy = [0; 8 + CAPACITY * ITEM];
            // SAFETY: as above.
            let outcome =
                unsafe { portable::copy_out::<TOP>(stripe.word(), copy.as_mut_ptr(), copy.len()) };
            if outcome.is_ok() {
                let len = u64::from_ne_bytes(copy[..8].try_into().unwrap()) as usize;
                let mut tokens: Vec<_> = copy[8..][..len].chunks(ITEM).map(token).collect();
                tokens.sort_unstable();
                tokens.dedup();
                assert_eq!(tokens.len(), len / ITEM, "not of one moment");
            }
        }
    });
    found.extend(drain(pop));
    assert_exact(found);
}

#[repr(C)]
struct Node {
    token: u64,
    link: AtomicU64,
}

const NEXT: usize = std::mem::offset_of!(Node, link);

#[test]
fn nodes_on_a_list() {
    let stripe = Stripe::new();
    let nodes: Vec<_> = (0..=THREADS * EACH)
        .map(|token| Node {
            token,
            link: AtomicU64::new(0),
        })
        .collect();
    let pop = || {
        // SAFETY: every node on the list is one of these, which live to the end.
        unsafe {
            portable::list_pop::<NEXT>(stripe.word()).map(|node| (*node.cast::<Node>()).token)
        }
    };
    let mut found = hands(|turn, hand| match turn % 4 {
        0 | 1 => give_one(hand, |token| {
            let node = (&raw const nodes[token as usize]).cast_mut().cast();
            // SAFETY: as above, and the node is in this thread's hand.
            unsafe { portable::list_push::<NEXT>(stripe.word(), node) }
        }),
        2 => hand.extend(pop()),
        // All at once: nobody is inside.
        _ if turn % 64 == 3 => {
            let mut next = claimable::swap::<LOW>(&stripe.0[0], 0).unwrap_or(0);
            while next != 0 && hand.len() as u64 <= THREADS * EACH {
                let node = ptr::with_exposed_provenance::<Node>(next as usize);
                // SAFETY: as above.
                let node = unsafe { &*node };
                hand.push(node.token);
                next = node.link.load(Ordering::Relaxed);
            }
        }
        _ => {}
    });
    found.extend(drain(pop));
    assert_exact(found);
}

/// Threads count in a word while a second one is 0. Who has made it 1, and has then seen
/// the word, never sees it change.
#[test]
fn a_pair_of_words() {
    let pair = [const { AtomicU64::new(0) }; 2];
    let done = AtomicBool::new(false);
    let counted = std::thread::scope(|scope| {
        let count = || {
            let mut counted = 0;
            while !done.load(Ordering::Relaxed) {
                let Ok(seen) = claimable::load::<TOP>(&pair[0]) else {
                    continue;
                };
                let first = pair.as_ptr().cast::<u64>().cast_mut();
                // SAFETY: two words, the array's.
                let outcome =
                    unsafe { portable::compare_compare_store::<TOP>(first, seen, 8, 0, seen + 1) };
                counted += u64::from(outcome.is_ok());
            }
            counted
        };
        let counters: Vec<_> = (1..THREADS).map(|_| scope.spawn(count)).collect();
        let until = Until(&done);
        for _ in 0..FEW_TURNS {
            pair[1].store(1, Ordering::Relaxed);
            let seen = patiently(|| claimable::load::<TOP>(&pair[0]));
            (0..100).for_each(|_| std::hint::spin_loop());
            assert_eq!(patiently(|| claimable::load::<TOP>(&pair[0])), seen);
            pair[1].store(0, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            std::thread::yield_now();
        }
        drop(until);
        counters.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(claimable::load::<TOP>(&pair[0]), Ok(counted));
}

/// Threads add through a pointer that another one takes away: from then on nobody adds
/// to what it led to.
#[test]
fn adds_through_a_pointer_that_moves() {
    let targets = [const { AtomicU64::new(0) }; 2];
    let addresses = [0, 1].map(|it: usize| {
        let target = targets.as_ptr().wrapping_add(it);
        target.expose_provenance() as u64
    });
    let word = AtomicU64::new(addresses[0]);
    let done = AtomicBool::new(false);
    let added: u64 = std::thread::scope(|scope| {
        let add = || {
            let mut added = 0;
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the pointer leads to one of the two targets.
                let outcome = unsafe { portable::add_through(&word, 0, 3) };
                added += 3 * u64::from(outcome.is_ok());
            }
            added
        };
        let adders: Vec<_> = (1..THREADS).map(|_| scope.spawn(add)).collect();
        let until = Until(&done);
        for turn in 1..=FEW_TURNS as usize {
            let old = patiently(|| claimable::swap::<LOW>(&word, addresses[turn % 2]));
            assert_eq!(old, Ok(addresses[(turn - 1) % 2]));
            let left = &targets[(turn - 1) % 2];
            let total = left.load(Ordering::Relaxed);
            (0..100).for_each(|_| std::hint::spin_loop());
            assert_eq!(left.load(Ordering::Relaxed), total, "an add came late");
            std::thread::yield_now();
        }
        drop(until);
        adders.into_iter().map(|it| it.join().unwrap()).sum()
    });
    let total: u64 = targets.iter().map(|it| it.load(Ordering::Relaxed)).sum();
    assert_eq!(total, added);
}

/// A claim that its holder left behind is met a bounded number of times, and lifted.
#[test]
fn a_claim_left_behind_costs_the_slow_path() {
    let stripe = Stripe::new();
    // SAFETY: the stripe has room.
    let push = || unsafe { portable::array_push(stripe.word(), CAPACITY as u32, 7) };
    push().unwrap();
    // As a thread that is gone left it.
    stripe.0[0].fetch_or(TOP, Ordering::Relaxed);
    let mut attempts = 0;
    let outcome = percid_rseq::section::retry(|| {
        attempts += 1;
        push()
    });
    assert_eq!(outcome, Err(Refusal::Aborted));
    assert_eq!(attempts, percid_rseq::section::ATTEMPTS);
    // SAFETY: nobody is inside.
    assert!(unsafe { claimable::lift::<TOP>(&stripe.0[0]) });
    assert_eq!(
        (push(), claimable::load::<TOP>(&stripe.0[0])),
        (Ok(()), Ok(2))
    );
}
