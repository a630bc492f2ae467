//! Stores that hold only if two words are as expected.

use core::sync::atomic::Ordering;

use super::{Fault, Guarded, Model, Run, check};
use crate::Refusal;
use crate::portable::TOP;
use crate::portable::claim::{observe, replace, replace_if};
use crate::portable::pair::store_if_both;
use crate::portable::word::{Cells, Word};

type Pair = [Model<TOP>; 2];

fn pair(fault: Fault) -> Pair {
    [Model::new(0, fault), Model::new(0, fault)]
}

/// One thread stores to the first word if the second is 0; the other changes the second
/// and looks at the first, by a load and by a compare. Who finds the old value has come
/// before the claim, so the store must not have been made.
fn pair_and_look(run: Run) {
    let store =
        |[first, second]: &Pair| store_if_both::<_, TOP>(first, 0, second, 0, 1).map(|()| 0);
    let look = |[first, second]: &Pair| {
        second.store(1, Ordering::Relaxed);
        observe::<_, TOP>(first)
    };
    let (words, stored, seen) = run.two(pair(run.fault), store, look);
    match (stored, seen) {
        (Ok(_), seen) => assert_ne!(seen, Ok(0), "the store came after the look"),
        (Err(why), seen) => {
            assert_eq!(why, Refusal::Mismatch);
            assert_ne!(seen, Ok(1));
        }
    }
    assert_eq!(observe::<_, TOP>(&words[0]), Ok(u64::from(stored.is_ok())));
}

#[test]
fn a_pair_holds_at_one_instant() {
    check(pair_and_look, &[Fault::Claim, Fault::Fence]);
}

/// As above, but the look is a compare that expects `new`: refused as a mismatch, it says
/// that the store was not made.
fn pair_and_compare(run: Run) {
    let store = |[first, second]: &Pair| store_if_both::<_, TOP>(first, 0, second, 0, 1);
    let look = |[first, second]: &Pair| {
        second.store(1, Ordering::Relaxed);
        replace_if::<_, TOP>(first, 1, 2)
    };
    let (_, stored, seen) = run.two(pair(run.fault), store, look);
    if stored.is_ok() {
        assert_ne!(
            seen,
            Err(Refusal::Mismatch),
            "the store came after the look"
        );
    } else {
        assert_ne!(seen, Ok(()));
    }
}

#[test]
fn a_mismatch_is_exact() {
    check(pair_and_compare, &[Fault::Claim, Fault::Fence]);
}

/// Two threads each store to one word if the other is 0: one of them at most. Neither
/// may say "mismatch" of a word that is merely claimed.
fn crossed(run: Run) {
    let (words, other, mine) = run.two(
        pair(run.fault),
        |[first, second]: &Pair| store_if_both::<_, TOP>(first, 0, second, 0, 1),
        |[first, second]: &Pair| store_if_both::<_, TOP>(second, 0, first, 0, 1),
    );
    assert!(other.is_err() || mine.is_err(), "both stored");
    for (one, another) in [(other, mine), (mine, other)] {
        if one == Err(Refusal::Mismatch) {
            assert_eq!(another, Ok(()), "a mismatch with nobody's store");
        }
    }
    let sum: u64 = words.iter().map(|word| word.load(Ordering::Relaxed)).sum();
    assert_eq!(sum, u64::from(other.is_ok()) + u64::from(mine.is_ok()));
}

#[test]
fn one_of_two_crossed_stores() {
    check(crossed, &[Fault::Claim, Fault::Fence]);
}

/// What the second word guards is published by an exchange of the first, and taken by a
/// claim: the exchange of the first orders it without a fence.
fn replaced(run: Run) {
    let store =
        |[first, second]: &Pair| store_if_both::<_, TOP>(first, 4, second, 0, 1).map(|()| 0);
    let swap = |[first, second]: &Pair| {
        second.store(1, Ordering::Relaxed);
        replace::<_, TOP>(first, 4)
    };
    let (_, stored, swapped) = run.two(pair(run.fault), store, swap);
    assert!(
        stored.is_err(),
        "the second word was 1 before the first was 4"
    );
    assert!(matches!(swapped, Ok(0) | Err(Refusal::Aborted)));
}

#[test]
fn an_exchange_orders_what_came_before() {
    // The fence of the claim acquires, too.
    check(replaced, &[Fault::Release]);
}

/// What was written before the store of a pair is there for who finds it stored.
fn published(run: Run) {
    let shared = (pair(run.fault), Guarded::<1>::new());
    let store = |([first, second], cells): &(Pair, Guarded<1>)| {
        // SAFETY: not published yet.
        unsafe { cells.write(0, 5) };
        assert_eq!(store_if_both::<_, TOP>(first, 0, second, 0, 1), Ok(()));
    };
    let look = |([first, _], cells): &(Pair, Guarded<1>)| {
        if observe::<_, TOP>(first) == Ok(1) {
            // SAFETY: published; loom checks just that.
            assert_eq!(unsafe { cells.read(0) }, 5);
        }
    };
    run.two(shared, store, look);
}

#[test]
fn the_store_of_a_pair_publishes() {
    // The fence of the claim releases, too.
    check(published, &[Fault::Acquire]);
}
