//! Every interleaving of the arena's protocols, and of mutants that must fail.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p percid --release --lib`

use core::ops::Range;
use std::array;
use std::panic::{self, AssertUnwindSafe};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::thread;

use super::free_list::FreeList;
use super::frontier::{Frontier, Kind, Open};
use super::ledger;

/// Checks all interleavings of a model.
fn holds(model: impl Fn() + Sync + Send + 'static) {
    loom::model(model);
}

/// Checks that some interleaving of a mutant fails.
fn is_found(mutant: impl Fn() + Sync + Send + 'static) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| loom::model(mutant)));
    assert!(
        outcome.is_err(),
        "the mutant passed: this test proves nothing"
    );
}

mod frontier {
    use super::*;

    const STRIPES: usize = 2;

    /// How far each stripe was opened. The system orders its own page tables, so
    /// Relaxed is enough here; what is checked is who is told what, and when.
    struct Memory([AtomicU32; STRIPES]);

    impl Memory {
        fn new() -> Memory {
            Memory(array::from_fn(|_| AtomicU32::new(0)))
        }
    }

    impl Open for &Memory {
        type Error = ();

        fn open(&self, kind: Kind, stripes: Range<u32>, length: u32) -> Result<(), ()> {
            if kind == Kind::Cid {
                for stripe in stripes {
                    self.0[stripe as usize].fetch_max(length, Ordering::Relaxed);
                }
            }
            Ok(())
        }
    }

    fn check(frontier: &Frontier, memory: &Memory) {
        let length = frontier.length.get();
        for stripe in 0..frontier.stripes(Kind::Cid).get() {
            let open = memory.0[stripe as usize].load(Ordering::Relaxed);
            assert!(
                open >= length,
                "stripe {stripe} is open to {open}, published {length}"
            );
        }
    }

    type Activate = fn(&Frontier, u32, &Memory);

    fn activate(frontier: &Frontier, to: u32, memory: &Memory) {
        frontier.activate(Kind::Cid, to, &memory).unwrap();
    }

    /// One thread activates `to` stripes and looks, the other lengthens and looks.
    fn model(activate: Activate, to: u32) {
        let shared = Arc::new((Frontier::new(), Memory::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                activate(&shared.0, to, &shared.1);
                check(&shared.0, &shared.1);
            })
        };
        shared.0.lengthen(1, &&shared.1).unwrap();
        check(&shared.0, &shared.1);
        other.join().unwrap();
        check(&shared.0, &shared.1);
    }

    #[test]
    fn published_stripes_are_open_to_the_published_length() {
        holds(|| model(activate, 1));
        holds(|| model(activate, 2));
    }

    #[test]
    fn two_that_activate_do_not_hide_each_other() {
        holds(|| {
            let shared = Arc::new((Frontier::new(), Memory::new()));
            shared.0.lengthen(1, &&shared.1).unwrap();
            let other = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || activate(&shared.0, 1, &shared.1))
            };
            activate(&shared.0, 2, &shared.1);
            check(&shared.0, &shared.1);
            other.join().unwrap();
            assert_eq!(shared.0.stripes(Kind::Cid).get(), 2);
            check(&shared.0, &shared.1);
        });
    }

    #[test]
    fn announced_after_the_look_a_stripe_is_too_short() {
        is_found(|| {
            let mutant: Activate = |frontier, to, memory| {
                let length = frontier.length.announced();
                frontier.stripes(Kind::Cid).announce(to);
                memory.open(Kind::Cid, 0..to, length).unwrap();
                frontier.stripes(Kind::Cid).publish(to);
            };
            model(mutant, 1);
        });
    }

    #[test]
    fn without_the_announcement_a_stripe_is_too_short() {
        is_found(|| {
            let mutant: Activate = |frontier, to, memory| {
                let length = frontier.length.announced();
                memory.open(Kind::Cid, 0..to, length).unwrap();
                frontier.stripes(Kind::Cid).publish(to);
            };
            model(mutant, 1);
        });
    }
}

mod free_list {
    use super::*;

    /// What the arena does with a list, over four words of which two are free.
    trait List: Send + Sync + 'static {
        fn new() -> Self;
        fn pop(&self, links: &[AtomicU64; 3]) -> Option<u32>;
        fn push(&self, index: u32, links: &[AtomicU64; 3]);
    }

    impl List for FreeList {
        fn new() -> FreeList {
            FreeList::new(1)
        }

        fn pop(&self, links: &[AtomicU64; 3]) -> Option<u32> {
            self.pop(|index| &links[index as usize])
        }

        fn push(&self, index: u32, links: &[AtomicU64; 3]) {
            self.push(index, &links[index as usize]);
        }
    }

    /// The same stack without the tag.
    struct Untagged(AtomicU64);

    impl List for Untagged {
        fn new() -> Untagged {
            Untagged(AtomicU64::new(0))
        }

        fn pop(&self, links: &[AtomicU64; 3]) -> Option<u32> {
            let mut head = self.0.load(Ordering::Acquire);
            while head != 0 {
                let next = links[head as usize].load(Ordering::Relaxed);
                match self
                    .0
                    .compare_exchange(head, next, Ordering::Acquire, Ordering::Acquire)
                {
                    Ok(_) => return Some(head as u32),
                    Err(now) => head = now,
                }
            }
            None
        }

        fn push(&self, index: u32, links: &[AtomicU64; 3]) {
            let mut head = self.0.load(Ordering::Relaxed);
            loop {
                links[index as usize].store(head, Ordering::Relaxed);
                let new = u64::from(index);
                match self
                    .0
                    .compare_exchange(head, new, Ordering::Release, Ordering::Relaxed)
                {
                    Ok(_) => return,
                    Err(now) => head = now,
                }
            }
        }
    }

    /// One thread pops; another pops two and pushes the first back: the change
    /// and change back that a plain exchange does not notice.
    fn model<L: List>() {
        let links = Arc::new(array::from_fn(|_| AtomicU64::new(0)));
        let list = Arc::new(L::new());
        let owners = Arc::new(array::from_fn(|_| AtomicU32::new(0)));
        list.push(2, &links);
        list.push(1, &links);
        let take = |list: &L, links: &[AtomicU64; 3], owners: &[AtomicU32; 3]| {
            let index = list.pop(links)?;
            let owned = owners[index as usize].fetch_add(1, Ordering::Relaxed);
            assert_eq!(owned, 0, "word {index} was handed out twice");
            Some(index)
        };
        let other = {
            let (links, list, owners) =
                (Arc::clone(&links), Arc::clone(&list), Arc::clone(&owners));
            thread::spawn(move || {
                let first = take(&list, &links, &owners);
                let _second = take(&list, &links, &owners);
                if let Some(first) = first {
                    owners[first as usize].fetch_sub(1, Ordering::Relaxed);
                    list.push(first, &links);
                }
            })
        };
        let _one = take(&list, &links, &owners);
        let _two = take(&list, &links, &owners);
        other.join().unwrap();
    }

    #[test]
    fn no_word_is_handed_out_twice() {
        holds(model::<FreeList>);
    }

    #[test]
    fn without_the_tag_one_is() {
        is_found(model::<Untagged>);
    }

    #[test]
    fn fresh_words_differ() {
        holds(|| {
            let list = Arc::new(FreeList::new(1));
            let other = {
                let list = Arc::clone(&list);
                thread::spawn(move || list.fresh(3, |_| Ok::<(), ()>(())))
            };
            let mine = list.fresh(3, |_| Ok::<(), ()>(())).unwrap();
            let theirs = other.join().unwrap().unwrap();
            assert!(mine.is_some() && theirs.is_some() && mine != theirs);
            assert_eq!(list.used(), 2);
        });
    }

    /// One thread takes a word and gives it back; two words are never one.
    #[test]
    fn fresh_words_that_are_given_back_differ() {
        holds(|| {
            let list = Arc::new(FreeList::new(1));
            let fresh = |list: &FreeList| list.fresh(4, |_| Ok::<(), ()>(())).unwrap();
            let other = {
                let list = Arc::clone(&list);
                thread::spawn(move || {
                    let first = fresh(&list).unwrap();
                    let returned = list.unfresh(first);
                    (!returned)
                        .then_some(first)
                        .into_iter()
                        .chain(fresh(&list))
                        .collect()
                })
            };
            let mut words: Vec<u32> = [fresh(&list), fresh(&list)].into_iter().flatten().collect();
            words.extend::<Vec<u32>>(other.join().unwrap());
            let held = words.len() as u32;
            words.sort_unstable();
            words.dedup();
            assert_eq!((words.len() as u32, list.used()), (held, held));
        });
    }
}

mod ledger_model {
    use super::*;

    type Take = fn(&AtomicU64, &dyn Fn() -> u64) -> u64;

    struct Words {
        taken: AtomicU64,
        stripes: [AtomicU64; 2],
    }

    impl Words {
        fn sum(&self) -> u64 {
            self.stripes
                .iter()
                .map(|stripe| stripe.load(Ordering::Relaxed))
                .sum()
        }
    }

    /// A section's commit: plain to other CPUs, its stripe is its own.
    fn add(stripe: &AtomicU64) {
        stripe.store(stripe.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Two threads, each with a stripe of its own, add and take.
    fn model(take: Take) {
        let words = Arc::new(Words {
            taken: AtomicU64::new(0),
            stripes: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let other = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                add(&words.stripes[1]);
                let share = take(&words.taken, &|| words.sum());
                add(&words.stripes[1]);
                share
            })
        };
        add(&words.stripes[0]);
        let mine = take(&words.taken, &|| words.sum());
        let rest = ledger::untaken(&words.taken, || words.sum());
        assert!(
            mine <= 3 && rest <= 3,
            "a share of {mine}, a rest of {rest}"
        );
        let theirs = other.join().unwrap();
        assert!(theirs <= 3, "a share of {theirs}");
        let left = take(&words.taken, &|| words.sum());
        assert_eq!(
            mine + theirs + left,
            3,
            "units were lost or handed out twice"
        );
    }

    #[test]
    fn each_unit_is_taken_once() {
        holds(|| model(|taken, sum| ledger::take(taken, sum)));
    }

    #[test]
    fn a_take_that_swaps_loses_or_doubles() {
        is_found(|| {
            model(|taken, sum| {
                let now = sum();
                now.wrapping_sub(taken.swap(now, Ordering::AcqRel))
            });
        });
    }

    #[test]
    fn a_take_that_reads_the_words_first_wraps() {
        is_found(|| {
            model(|taken, sum| {
                let now = sum();
                let before = taken.load(Ordering::Acquire);
                match taken.compare_exchange(before, now, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => now.wrapping_sub(before),
                    Err(_) => 0,
                }
            });
        });
    }

    #[test]
    fn a_take_without_acquire_wraps() {
        is_found(|| {
            model(|taken, sum| {
                let mut before = taken.load(Ordering::Relaxed);
                loop {
                    let now = sum();
                    let (done, failed) = (Ordering::Release, Ordering::Relaxed);
                    match taken.compare_exchange(before, now, done, failed) {
                        Ok(_) => return now.wrapping_sub(before),
                        Err(other) => before = other,
                    }
                }
            });
        });
    }
}
