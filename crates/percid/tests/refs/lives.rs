//! Lives, and the two ways to count in them.

use std::sync::atomic::{AtomicU32, Ordering};

use percid::{Domain, Process, Ref, RefError, arena_stats, domain_arena_stats};
use percid_rseq::membarrier::BarrierError;

use crate::support::in_child;
use crate::{Place, a_domain, in_both, times};

in_both! {
    a_life,
    a_life_of_which_nothing_was_used,
    lives_and_revivals,
    the_atomic_mode_stays_until_it_is_taken_back,
    the_confirmation_comes_between,
}

fn a_life<S: Place>(count: &Ref<impl Fn(), S>, releases: &AtomicU32) {
    assert!(!count.is_percid(), "it was not used yet");
    count.get();
    assert_eq!(count.is_percid(), S::has_sections());
    count.get();
    count.put();
    let held = count.try_get().expect("alive");
    let live = count.try_get_live().expect("live");
    assert!(!count.is_zero() && !count.is_dying());
    assert_eq!(count.kill(), Ok(()));
    assert!(!count.is_percid() && count.is_dying() && !count.is_zero());
    assert!(count.try_get_live().is_none());
    drop(count.try_get().expect("others hold it"));
    drop((held, live));
    assert_eq!((times(releases), count.is_zero()), (0, false));
    count.put();
    assert_eq!((times(releases), count.is_zero()), (1, true));
    assert!(count.try_get().is_none() && count.try_get_live().is_none());
    assert_eq!(
        format!("{count:?}"),
        "Ref { percid: false, dying: true, zero: true }"
    );
}

fn a_life_of_which_nothing_was_used(count: &Ref<impl Fn(), impl Place>, releases: &AtomicU32) {
    count.kill().unwrap();
    assert_eq!(times(releases), 1);
}

#[test]
fn a_kill_without_any_use_releases_at_once() {
    static RELEASES: AtomicU32 = AtomicU32::new(0);
    static COUNT: Ref = Ref::new(|| _ = RELEASES.fetch_add(1, Ordering::Relaxed));
    COUNT.kill().unwrap();
    assert_eq!(times(&RELEASES), 1);
}

fn the_confirmation_comes_between(count: &Ref<impl Fn(), impl Place>, releases: &AtomicU32) {
    count.get();
    count.put();
    let mut confirmed = 0;
    let confirm = || {
        confirmed += 1;
        assert!(count.try_get_live().is_none());
        assert_eq!(times(releases), 0, "the first reference is still there");
    };
    count.kill_and_confirm(confirm).unwrap();
    assert_eq!((confirmed, times(releases)), (1, 1));
    assert_eq!(
        count.kill_and_confirm(|| unreachable!()),
        Err(RefError::AlreadyKilled)
    );
}

fn lives_and_revivals<S: Place>(count: &Ref<impl Fn(), S>, releases: &AtomicU32) {
    count.get();
    count.kill().unwrap();
    assert_eq!(count.resurrect(), Ok(()));
    assert_eq!(count.is_percid(), S::has_sections());
    drop(count.try_get_live().expect("live again"));
    count.kill().unwrap();
    count.put();
    assert_eq!(times(releases), 1);
    for life in 2..20 {
        assert_eq!(count.reinit(), Ok(()));
        assert_eq!(count.is_percid(), S::has_sections());
        (0..life).for_each(|_| count.get());
        count.kill().unwrap();
        assert_eq!(times(releases), life - 1);
        (0..life).for_each(|_| count.put());
        assert_eq!(times(releases), life);
    }
}

fn the_atomic_mode_stays_until_it_is_taken_back<S: Place>(
    count: &Ref<impl Fn(), S>,
    releases: &AtomicU32,
) {
    count.switch_to_atomic().unwrap();
    count.get();
    assert!(!count.is_percid());
    assert_eq!(count.switch_to_percid(), S::has_sections());
    assert_eq!(count.switch_to_percid(), S::has_sections());
    count.get();
    count.switch_to_atomic().unwrap();
    count.switch_to_atomic().unwrap();
    count.put();
    count.kill().unwrap();
    count.put();
    assert_eq!(times(releases), 1);
    count.reinit().unwrap();
    assert!(!count.is_percid(), "a later life keeps the mode");
    count.kill().unwrap();
    assert!(!count.switch_to_percid(), "the dead count on the word");
    assert_eq!(times(releases), 2);
    count.reinit().unwrap();
    assert_eq!(count.is_percid(), S::has_sections());
}

#[test]
fn words_are_given_back() {
    let words = || arena_stats().words;
    let in_child = in_child("lives::words_are_given_back", |_| ());
    if !in_child {
        return;
    }
    let before = words();
    let counts: Vec<Ref> = (0..1000).map(|_| -> Ref { Ref::new(|| ()) }).collect();
    counts.iter().for_each(Ref::get);
    let used = if Process::has_sections() { 1000 } else { 0 };
    assert_eq!(words() - before, used);
    // Some while they live, some killed, some released.
    for (number, count) in counts.iter().enumerate() {
        if number % 2 == 0 {
            count.kill().unwrap();
        }
        if number % 4 == 0 {
            count.put();
        }
    }
    drop(counts);
    assert_eq!(words(), before);
    // Words that are used again read zero.
    for _ in 0..3000 {
        let count: Ref = Ref::new(|| ());
        count.get();
        count.kill().unwrap();
        count.put();
        assert!(count.is_zero());
    }
}

/// A domain's words go with its counts, and its memory with the last of them.
#[test]
fn words_of_domains_are_given_back() {
    let domain = a_domain();
    let words = || domain_arena_stats(&domain).words;
    let counts: Vec<Ref<fn(), Domain>> = (0..100)
        .map(|_| Ref::in_domain(&domain, (|| ()) as fn()).expect("memory"))
        .collect();
    counts.iter().for_each(Ref::get);
    assert_eq!(words(), 100);
    for (number, count) in counts.iter().enumerate() {
        if number % 2 == 0 {
            count.kill().unwrap();
        }
    }
    drop(counts);
    assert_eq!(words(), 0);
    // Words that are used again read zero.
    for _ in 0..300 {
        let count = Ref::in_domain(&domain, || ()).expect("memory");
        count.get();
        count.kill().unwrap();
        count.put();
        assert!(count.is_zero());
    }
}

/// Ids that come into use after the gate was opened are let in, too.
#[test]
fn threads_that_come_later_count_by_cid() {
    let releases = AtomicU32::new(0);
    let count = crate::counted(&releases);
    for threads in 1..6 {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        count.get();
                        count.put();
                    }
                    count.get();
                });
            }
        });
        (0..threads).for_each(|_| count.put());
        assert_eq!(count.is_percid(), Process::has_sections());
    }
    count.kill().unwrap();
    assert_eq!(times(&releases), 1);
}

#[test]
fn the_small_things() {
    assert_eq!(size_of::<Ref>(), 32);
    let zero_sized = Ref::new(|| ());
    assert_eq!(size_of_val(&zero_sized), 24);
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&zero_sized);
    let held = zero_sized.try_get().expect("alive");
    assert_eq!(
        format!("{held:?}"),
        format!("Held({zero_sized:?})"),
        "by cid or not"
    );
    for (error, text) in [
        (RefError::AlreadyKilled, "killed before"),
        (RefError::NotKilled, "not killed"),
        (RefError::Released, "reinit"),
        (RefError::InUse, "references left"),
        (RefError::Fence(BarrierError::Unsupported), "membarrier"),
    ] {
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// The process's own domain counts in the process's arena.
#[test]
fn the_domain_of_the_process() {
    let releases = AtomicU32::new(0);
    let release = || _ = releases.fetch_add(1, Ordering::Relaxed);
    let count = Ref::in_domain(&Domain::process(), release).expect("memory");
    count.get();
    assert_eq!(count.is_percid(), Process::has_sections());
    drop(count.try_get_live().expect("live"));
    count.kill().unwrap();
    count.put();
    assert_eq!(times(&releases), 1);
}
