//! Rooms: several words in every stripe, by sections and on the fallback, in the process and
//! in domains.

#![cfg(not(loom))]

use std::sync::atomic::Ordering;

use percid::{Bound, Domain, Operation, Room, Scope, StripeOwner};
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, portable};

const WORDS: u32 = 24;

/// Adds to one word.
struct Add(usize, u64);

impl Operation for Add {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::add::<I, SHIFT>(index, first.offset(self.0), self.1) }
    }
}

/// Takes from an array stack, which is empty as long as nobody pushes.
struct Pop;

impl Operation for Pop {
    type Output = u64;

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<u64, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::array_pop::<I, SHIFT>(index, first) }
    }
}

fn add<S: Scope>(room: &Room<S>, word: usize, n: u64) {
    assert!(word < room.len() as usize);
    // SAFETY: a word of the room, whose cids' words change by this section only.
    if unsafe { room.run(&Add(word, n)) }.is_err() {
        portable::add(&room.fallback().expect("memory").words()[word], n);
    }
}

fn sum<S: Scope>(room: &Room<S>, word: usize) -> u64 {
    room.stripes()
        .map(|stripe| portable::load(&stripe.words()[word]))
        .sum()
}

/// Threads add to all words of a room; each word's sum is exact.
fn is_exact<S: Scope + 'static>(room: &Room<S>)
where
    Room<S>: Sync,
{
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 2000;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    add(room, (round % u64::from(WORDS)) as usize, round + 1);
                }
            });
        }
    });
    for word in 0..WORDS as usize {
        let rounds = (0..ROUNDS).filter(|round| round % u64::from(WORDS) == word as u64);
        let expected: u64 = rounds.map(|round| (round + 1) * THREADS).sum();
        assert_eq!(sum(room, word), expected, "word {word}");
    }
}

#[test]
fn every_word_is_exact_in_the_process() {
    static ROOM: Room = Room::new(WORDS);
    assert_eq!(ROOM.stripes().count(), 0, "nowhere before its first use");
    is_exact(&ROOM);
}

#[test]
fn every_word_is_exact_in_a_domain() {
    let domain = Domain::builder()
        .bound(Bound::Relaxed)
        .build()
        .expect("a domain");
    is_exact(&Room::in_domain(&domain, WORDS).expect("memory"));
    is_exact(&Room::in_domain(&Domain::process(), WORDS).expect("memory"));
}

#[test]
fn an_answer_of_the_operation_is_no_fallback() {
    let room = Room::try_new(4).expect("memory");
    // SAFETY: an array stack at word 0, changed by sections only.
    let popped = unsafe { room.run(&Pop) };
    let sections = percid::backend().source != percid::Source::Thread;
    let expected = if sections {
        Refusal::Empty
    } else {
        Refusal::Unsupported
    };
    assert_eq!(popped, Err(expected));
}

#[test]
fn rooms_start_on_lines_and_come_back_zeroed() {
    for words in [8, 9, 100, Room::LONGEST] {
        let room = Room::try_new(words).expect("memory");
        let last = words as usize - 1;
        add(&room, last, 5);
        room.fallback().expect("memory").words()[last].fetch_add(1, Ordering::Relaxed);
        room.shared().expect("memory")[last].fetch_add(1, Ordering::Relaxed);
        assert_eq!(sum(&room, last), 6);
        for stripe in room.stripes() {
            assert_eq!(stripe.words().as_ptr().addr() % 64, 0);
            assert_eq!(stripe.words().len(), words as usize);
        }
        drop(room);
        let room = Room::try_new(words).expect("memory");
        assert_eq!(sum(&room, last), 0);
        assert_eq!(
            room.shared().expect("memory")[last].load(Ordering::Relaxed),
            0
        );
    }
}

#[test]
fn stripes_say_whose_they_are() {
    let room = Room::try_new(1).expect("memory");
    add(&room, 0, 1);
    let fallback = room.fallback().expect("memory").owner();
    assert!(matches!(fallback, StripeOwner::Thread(_)));
    let owners: Vec<StripeOwner> = room.stripes().map(|stripe| stripe.owner()).collect();
    assert!(owners.contains(&fallback));
    let mut distinct = owners.clone();
    distinct.dedup();
    assert_eq!(owners, distinct);
}

#[test]
fn lengths_that_are_no_room_are_refused() {
    assert!(
        Room::try_new(0)
            .unwrap_err()
            .to_string()
            .contains("ask for 1")
    );
    let long = Room::try_new(Room::LONGEST + 1).unwrap_err();
    assert!(long.to_string().contains("make several"), "{long}");
    let domain = Domain::builder().build().expect("a domain");
    assert!(Room::in_domain(&domain, 0).is_err());
}

#[test]
fn rooms_of_a_domain_are_used_again() {
    let domain = Domain::builder().build().expect("a domain");
    let before = percid::domain_arena_stats(&domain).words;
    for _ in 0..200 {
        let room = Room::in_domain(&domain, Room::LONGEST).expect("not full");
        add(&room, 4095, 1);
    }
    assert_eq!(percid::domain_arena_stats(&domain).words, before);
}
