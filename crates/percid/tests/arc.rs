//! Objects that are counted by cid.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use percid::{Domain, Owner, PercidArc, PercidWeak, domain_arena_stats};
use support::{Fate, catch, in_child, panics_end_the_process};

/// Says when it is dropped.
struct Tracked<'a>(&'a AtomicU32);

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn times(drops: &AtomicU32) -> u32 {
    drops.load(Ordering::Relaxed)
}

#[test]
fn the_last_reference_drops_the_object() {
    let drops = AtomicU32::new(0);
    let owner = Owner::new(Tracked(&drops));
    let (one, weak) = (owner.share(), owner.downgrade());
    let other = one.clone();
    assert!(one.is_live() && one.ptr_eq(&other) && !one.is_immortal());
    drop(one);
    assert_eq!(times(&drops), 0);
    drop(owner);
    assert!(!other.is_live());
    assert!(weak.upgrade_live().is_none());
    let again = weak.upgrade().expect("one is left");
    drop(other);
    assert_eq!(times(&drops), 0);
    drop(again);
    assert_eq!(times(&drops), 1);
    assert!(weak.upgrade().is_none() && weak.clone().upgrade().is_none());
}

#[test]
fn without_references_the_owner_drops_it() {
    let drops = AtomicU32::new(0);
    let owner = Owner::new(Tracked(&drops));
    let weak = owner.downgrade();
    drop(owner.share());
    drop(weak.upgrade());
    drop(weak.upgrade_live());
    assert_eq!(times(&drops), 0);
    drop(owner);
    assert_eq!(times(&drops), 1);
    // Never shared.
    drop(Owner::new(Tracked(&drops)));
    assert_eq!(times(&drops), 2);
}

#[test]
fn objects_of_an_arc_stay_there() {
    let drops = AtomicU32::new(0);
    let object = Arc::new(Tracked(&drops));
    let owner = Owner::from(Arc::clone(&object));
    let shared = owner.share();
    assert!(std::ptr::eq(&*shared, &*object));
    drop(owner);
    assert_eq!(Arc::strong_count(&object), 2);
    drop(shared);
    assert_eq!((Arc::strong_count(&object), times(&drops)), (1, 0));
    let owner: Owner<Tracked<'_>> = object.into();
    drop(owner);
    assert_eq!(times(&drops), 1);
}

#[test]
fn objects_in_a_domain() {
    let drops = AtomicU32::new(0);
    let domain = Domain::builder().build().expect("a domain");
    let owner = Owner::in_domain(&domain, Tracked(&drops)).expect("memory");
    let weak = owner.downgrade();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mine = owner.share();
            scope.spawn(move || {
                for _ in 0..1000 {
                    drop(mine.clone());
                }
                mine
            });
        }
    });
    let last: PercidArc<Tracked<'_>, Domain> = weak.upgrade_live().expect("live");
    drop(owner);
    assert!(weak.upgrade_live().is_none() && !last.is_live());
    assert_eq!((times(&drops), domain_arena_stats(&domain).words), (0, 1));
    drop(last);
    assert_eq!(times(&drops), 1);
    assert!(weak.upgrade().is_none());
    // The count goes with the last weak reference.
    drop(weak);
    assert_eq!(domain_arena_stats(&domain).words, 0);
}

/// A reference that is lost with its thread is counted for ever; one that a panic drops is
/// not.
#[test]
fn threads_that_end_with_references() {
    let drops = AtomicU32::new(0);
    let (panicked, lost) = (Owner::new(Tracked(&drops)), Owner::new(Tracked(&drops)));
    std::thread::scope(|scope| {
        let mine = panicked.share();
        let thread = scope.spawn(move || {
            let _mine = mine;
            // Not `panic!`, which would print a message.
            std::panic::resume_unwind(Box::new(7));
        });
        assert!(thread.join().is_err());
        let mine = lost.share();
        scope.spawn(move || std::mem::forget(mine));
    });
    drop(panicked);
    assert_eq!(times(&drops), 1);
    drop(lost);
    assert_eq!(times(&drops), 1);
}

#[test]
fn objects_without_a_size() {
    let words: Arc<[u16]> = Arc::from([1, 2, 3]);
    let owner = Owner::from(words);
    assert_eq!(*owner.share(), [1, 2, 3]);
    let text: Arc<str> = Arc::from("text");
    assert_eq!(Owner::from(text).share().to_string(), "text");
    let called: Arc<dyn Fn() -> u32 + Send + Sync> = Arc::new(|| 7);
    assert_eq!(Owner::from(called).share()(), 7);
}

#[test]
fn immortal_objects_are_never_counted() {
    static TABLE: [u8; 3] = [1, 2, 3];
    static SHARED: PercidArc<[u8; 3]> = PercidArc::immortal(&TABLE);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    let copy = SHARED.clone();
                    let weak = copy.downgrade();
                    drop(copy);
                    assert_eq!(weak.upgrade().map(|it| it[2]), Some(3));
                    assert!(weak.upgrade_live().is_some_and(|it| it.is_live()));
                }
            });
        }
    });
    assert!(SHARED.is_immortal() && SHARED.is_live());
}

#[test]
fn an_object_whose_drop_panics_is_freed_once() {
    struct Panics<'a>(&'a AtomicU32);
    impl Drop for Panics<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("in the object's drop");
        }
    }
    let drops = AtomicU32::new(0);
    let owner = Owner::new(Panics(&drops));
    let (shared, weak) = (owner.share(), owner.downgrade());
    drop(owner);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(shared))).is_err());
    assert!(weak.upgrade().is_none());
    assert_eq!(times(&drops), 1);
}

/// Many objects come and go, one after the other, while threads upgrade, clone and keep
/// them.
#[test]
fn thousands_of_objects_against_churning_readers() {
    if !in_child("thousands_of_objects_against_churning_readers", |_| ()) {
        return;
    }
    panics_end_the_process();
    const OBJECTS: usize = 3000;
    static ALIVE: [AtomicBool; OBJECTS] = [const { AtomicBool::new(true) }; OBJECTS];
    struct Numbered(usize);
    impl Drop for Numbered {
        fn drop(&mut self) {
            // Ordering: AcqRel, so that a reader who finds it dead finds it so in time.
            assert!(ALIVE[self.0].swap(false, Ordering::AcqRel), "dropped twice");
        }
    }
    let current: Mutex<Option<PercidWeak<Numbered>>> = Mutex::new(None);
    let done = AtomicBool::new(false);
    let upgraded = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let (current, done, upgraded) = (&current, &done, &upgraded);
            scope.spawn(move || {
                let mut kept: Vec<PercidArc<Numbered>> = Vec::new();
                let mut turn = reader;
                while !done.load(Ordering::Relaxed) {
                    let weak = current
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    for _ in 0..20 {
                        turn += 1;
                        let weak = weak.as_ref();
                        let got = if turn % 2 == 0 {
                            weak.and_then(PercidWeak::upgrade)
                        } else {
                            weak.and_then(PercidWeak::upgrade_live)
                        };
                        let Some(object) = got else { break };
                        upgraded.fetch_add(1, Ordering::Relaxed);
                        kept.push(object.clone());
                        assert!(
                            ALIVE[object.0].load(Ordering::Acquire),
                            "dropped while held"
                        );
                    }
                    for object in kept.drain(kept.len() / 2..) {
                        assert!(
                            ALIVE[object.0].load(Ordering::Acquire),
                            "dropped while held"
                        );
                    }
                    std::thread::yield_now();
                }
            });
        }
        for number in 0..OBJECTS {
            let owner = Owner::new(Numbered(number));
            *current.lock().unwrap() = Some(owner.downgrade());
            let before = upgraded.load(Ordering::Relaxed);
            for _ in 0..50 {
                if upgraded.load(Ordering::Relaxed) > before + 4 {
                    break;
                }
                std::thread::yield_now();
            }
            drop(owner);
        }
        done.store(true, Ordering::Relaxed);
    });
    drop(current);
    let left = ALIVE.iter().filter(|alive| alive.load(Ordering::Relaxed));
    assert_eq!(left.count(), 0);
    println!("{} upgrades", times(&upgraded));
}

/// Where the fence is refused once an object is counted by cid, it is kept for good.
#[test]
fn an_object_is_kept_where_the_fence_is_refused() {
    if !in_child("an_object_is_kept_where_the_fence_is_refused", |_| ()) {
        return;
    }
    let drops = AtomicU32::new(0);
    let (shared, own) = (Owner::new(Tracked(&drops)), Owner::new(Tracked(&drops)));
    let reference = shared.share();
    let counted_by_cid = percid::arena_stats().words > 0;
    if catch(&[libc::SYS_membarrier], Fate::Errno(libc::ENOSYS)).is_err() {
        println!("no sandbox here");
        return;
    }
    drop(shared);
    drop(reference);
    assert_eq!(times(&drops), u32::from(!counted_by_cid));
    // What was never shared needs no fence.
    drop(own);
    assert_eq!(times(&drops), 1 + u32::from(!counted_by_cid));
}

#[test]
fn the_small_things() {
    assert_eq!(size_of::<PercidArc<u8>>(), 16);
    assert_eq!(size_of::<Option<Owner<u8>>>(), 16);
    fn shared<T: Send + Sync>(_: &T) {}
    let owner = Owner::new(7);
    let (one, weak) = (owner.share(), owner.downgrade());
    shared(&owner);
    shared(&one);
    shared(&weak);
    let texts = [format!("{owner:?}"), format!("{one}"), format!("{weak:?}")];
    assert_eq!(texts, ["7", "7", "(PercidWeak)"]);
    let as_key: &i32 = one.as_ref();
    assert_eq!(as_key, std::borrow::Borrow::<i32>::borrow(&owner));
}
