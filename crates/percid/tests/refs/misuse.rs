//! What nobody should do, and what comes of it.

use std::sync::atomic::{AtomicU32, Ordering};

use percid::{Ref, RefError};

use crate::{Place, in_both, panics, times};

in_both! {
    killing_twice_is_refused,
    the_living_are_not_revived,
    no_life_begins_while_references_are_left,
    what_was_released_is_not_resurrected,
    a_put_that_nobody_got_is_caught,
    a_put_that_nobody_got_is_caught_at_the_kill,
    a_get_of_what_was_released_is_caught,
    a_confirmation_that_panics_is_passed_on_after_the_put,
}

fn killing_twice_is_refused(count: &Ref<impl Fn(), impl Place>, releases: &AtomicU32) {
    count.get();
    assert_eq!(count.kill(), Ok(()));
    assert_eq!(count.kill(), Err(RefError::AlreadyKilled));
    count.put();
    assert_eq!(count.kill(), Err(RefError::AlreadyKilled));
    assert_eq!(times(releases), 1);
}

fn the_living_are_not_revived(count: &Ref<impl Fn(), impl Place>, releases: &AtomicU32) {
    for _ in 0..2 {
        assert_eq!(count.resurrect(), Err(RefError::NotKilled));
        assert_eq!(count.reinit(), Err(RefError::NotKilled));
        count.get();
    }
    count.kill().unwrap();
    count.put();
    assert_eq!(times(releases), 0);
    count.put();
    assert_eq!(times(releases), 1);
}

fn no_life_begins_while_references_are_left(
    count: &Ref<impl Fn(), impl Place>,
    releases: &AtomicU32,
) {
    count.get();
    count.get();
    count.kill().unwrap();
    for _ in 0..2 {
        assert_eq!(count.reinit(), Err(RefError::InUse));
        assert!(count.is_dying() && !count.is_zero());
        assert!(count.try_get_live().is_none());
        count.put();
    }
    assert_eq!(times(releases), 1);
    assert_eq!(count.reinit(), Ok(()));
    drop(count.try_get_live().expect("another life"));
}

fn what_was_released_is_not_resurrected(count: &Ref<impl Fn(), impl Place>, releases: &AtomicU32) {
    count.get();
    count.kill().unwrap();
    count.put();
    assert_eq!(count.resurrect(), Err(RefError::Released));
    assert!(count.is_zero() && count.try_get().is_none());
    assert_eq!(times(releases), 1);
}

fn a_put_that_nobody_got_is_caught(count: &Ref<impl Fn(), impl Place>, releases: &AtomicU32) {
    count.switch_to_atomic().unwrap();
    let caught = "a reference was put that nobody got";
    assert_eq!(panics(|| count.put()), caught);
    // It has not been put.
    count.kill().unwrap();
    assert_eq!(times(releases), 1);
    assert_eq!(panics(|| count.put()), caught);
    assert!(count.is_zero());
    assert_eq!(times(releases), 1);
}

/// By cid it is found when the counts come together, and nothing is released.
fn a_put_that_nobody_got_is_caught_at_the_kill(
    count: &Ref<impl Fn(), impl Place>,
    releases: &AtomicU32,
) {
    count.get();
    count.put();
    if !count.is_percid() {
        println!("not by cid here");
        return;
    }
    count.put();
    let caught = "a reference was put that nobody got";
    for _ in 0..2 {
        assert_eq!(panics(|| _ = count.kill()), caught);
        assert!(count.is_dying() && !count.is_zero());
    }
    // Got after all: the kill goes on.
    count.get();
    assert_eq!(count.kill(), Ok(()));
    assert_eq!(times(releases), 1);
}

fn a_get_of_what_was_released_is_caught(count: &Ref<impl Fn(), impl Place>, releases: &AtomicU32) {
    count.kill().unwrap();
    let message = panics(|| count.get());
    assert!(message.contains("released"), "{message}");
    assert!(count.is_zero());
    assert_eq!(times(releases), 1);
}

#[test]
fn a_release_that_panics_is_not_repeated() {
    let calls = AtomicU32::new(0);
    let count = Ref::new(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        panic!("in the release");
    });
    count.get();
    count.kill().unwrap();
    assert_eq!(panics(|| count.put()), "in the release");
    assert!(count.is_zero());
    assert_eq!(times(&calls), 1);
    count.reinit().unwrap();
    assert_eq!(panics(|| _ = count.kill()), "in the release");
    assert_eq!(times(&calls), 2);
}

fn a_confirmation_that_panics_is_passed_on_after_the_put(
    count: &Ref<impl Fn(), impl Place>,
    releases: &AtomicU32,
) {
    let message = panics(|| _ = count.kill_and_confirm(|| panic!("in the confirmation")));
    assert_eq!(message, "in the confirmation");
    assert_eq!(times(releases), 1);
}
