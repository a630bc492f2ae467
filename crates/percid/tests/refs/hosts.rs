//! Hosts that refuse the fence, and children of fork.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use percid::{Ref, RefError};
use percid_rseq::membarrier::BarrierError;

use crate::support::{Fate, catch, forbid, in_child, panics_end_the_process};
use crate::{Place, counted, counted_in_domain, times};

#[test]
fn no_fence_from_the_start() {
    let calls = &[libc::SYS_membarrier];
    if in_child("hosts::no_fence_from_the_start", |child| {
        forbid(child, calls)
    }) {
        let releases = AtomicU32::new(0);
        never_by_cid(&counted(&releases), &releases);
        let releases = AtomicU32::new(0);
        never_by_cid(&counted_in_domain(&releases), &releases);
    }
}

/// A kernel whose fences do not abort sections is as bad as one without.
#[test]
fn fences_that_abort_nothing() {
    if in_child("hosts::fences_that_abort_nothing", |child| {
        child.env("PERCID_TRIAL", "fail-fence");
    }) {
        let releases = AtomicU32::new(0);
        never_by_cid(&counted(&releases), &releases);
        let releases = AtomicU32::new(0);
        never_by_cid(&counted_in_domain(&releases), &releases);
    }
}

fn never_by_cid(count: &Ref<impl Fn() + Sync, impl Place>, releases: &AtomicU32) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    count.get();
                    count.put();
                }
            });
        }
    });
    assert!(!count.is_percid() && !count.switch_to_percid());
    assert_eq!(count.kill(), Ok(()));
    assert_eq!(times(releases), 1);
}

/// A sandbox that is entered while references live: nothing is released, and all else
/// goes on.
#[test]
fn no_fence_any_more() {
    if in_child("hosts::no_fence_any_more", |_| ()) {
        let releases = AtomicU32::new(0);
        the_fence_goes(&counted(&releases), &counted(&releases), &releases);
    }
}

#[test]
fn no_fence_any_more_in_a_domain() {
    if in_child("hosts::no_fence_any_more_in_a_domain", |_| ()) {
        let releases = AtomicU32::new(0);
        the_fence_goes(
            &counted_in_domain(&releases),
            &counted_in_domain(&releases),
            &releases,
        );
    }
}

fn the_fence_goes(
    count: &Ref<impl Fn(), impl Place>,
    atomic: &Ref<impl Fn(), impl Place>,
    releases: &AtomicU32,
) {
    count.get();
    if !count.is_percid() {
        println!("not by cid here");
        return;
    }
    atomic.get();
    atomic.switch_to_atomic().unwrap();
    if catch(&[libc::SYS_membarrier], Fate::Errno(libc::ENOSYS)).is_err() {
        println!("no sandbox here");
        return;
    }
    let refused = Err(RefError::Fence(BarrierError::Unsupported));
    assert_eq!(count.switch_to_atomic(), refused);
    assert!(!count.is_percid());
    assert!(count.switch_to_percid(), "back to what it was");
    assert!(count.is_percid());
    for _ in 0..2 {
        assert_eq!(count.kill(), refused);
        assert!(count.is_dying() && !count.is_percid() && !count.is_zero());
        assert!(count.try_get_live().is_none());
        drop(count.try_get().expect("the kill has not ended"));
    }
    assert_eq!(count.reinit(), Err(RefError::InUse));
    assert_eq!(count.resurrect(), Ok(()));
    drop(count.try_get_live().expect("live again"));
    assert_eq!(count.kill(), refused);
    count.put();
    assert_eq!(times(releases), 0);
    // Who needs no fence is not held up.
    assert_eq!(atomic.kill(), Ok(()));
    atomic.put();
    assert_eq!(times(releases), 1);
}

/// Children of fork, made while another thread is in the middle of switches.
#[test]
fn children_take_switches_over() {
    if in_child("hosts::children_take_switches_over", |_| ()) {
        let releases = AtomicU32::new(0);
        children(&counted(&releases), &releases);
    }
}

#[test]
fn children_take_switches_in_a_domain_over() {
    if in_child("hosts::children_take_switches_in_a_domain_over", |_| ()) {
        let releases = AtomicU32::new(0);
        children(&counted_in_domain(&releases), &releases);
    }
}

fn children(count: &Ref<impl Fn() + Sync, impl Place>, releases: &AtomicU32) {
    panics_end_the_process();
    let done = AtomicBool::new(false);
    count.get();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                count.switch_to_atomic().unwrap();
                count.switch_to_percid();
            }
        });
        for _ in 0..100 {
            // SAFETY: the child takes no lock that a thread may have held, and allocates
            // nothing; it ends without running this program's exit.
            match unsafe { libc::fork() } {
                0 => {
                    // SAFETY: no preconditions. A child that hangs is ended, and fails.
                    unsafe { libc::alarm(60) };
                    count.get();
                    count.put();
                    let killed = count.kill() == Ok(()) && times(releases) == 0;
                    count.put();
                    let exact = killed && times(releases) == 1 && count.is_zero();
                    // SAFETY: as above.
                    unsafe { libc::_exit(i32::from(!exact)) };
                }
                child => {
                    assert!(child > 0, "fork");
                    let mut status = 0;
                    // SAFETY: a child of this process and a valid place.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    assert_eq!(status, 0, "the child counted wrong");
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    count.kill().unwrap();
    assert_eq!(times(releases), 0);
    count.put();
    assert_eq!(times(releases), 1);
}
