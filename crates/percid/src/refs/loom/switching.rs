//! How often, and in which order, it is switched.

use super::*;

/// There and back while a holder gets and puts.
fn switched(fault: Fault) {
    let object = Object::new(fault);
    let other = beside(&object, 1, |object| {
        object.core.get();
        object.put();
    });
    object.core.switch_to_atomic().unwrap();
    assert!(object.core.switch_to_percid());
    other.join().unwrap();
    object.kill();
    assert_eq!(object.releases(), 1);
}

#[test]
fn switches_lose_and_double_nothing() {
    check(
        switched,
        &[Fault::Fence, Fault::ZeroedEarly, Fault::NotZeroed],
    );
}

/// A kill is taken back while a holder puts; the next one releases.
fn resurrected(fault: Fault) {
    let object = Object::new(fault);
    object.core.get();
    let other = beside(&object, 1, |object| {
        object.read();
        object.put();
    });
    object.core.kill().unwrap();
    let back = object.core.resurrect();
    assert_eq!(back, Ok(()), "the killer has not put its reference");
    object.put();
    object.kill();
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn a_kill_that_is_taken_back_releases_nothing() {
    check(resurrected, &[Fault::NotZeroed]);
}

/// Two kill, and one of them does.
#[test]
fn one_of_two_kills() {
    holds(|| {
        let object = Object::new(Fault::None);
        let kill = |object: &Object| match object.core.kill() {
            Ok(()) => object.put(),
            Err(why) => assert_eq!(why, RefError::AlreadyKilled),
        };
        let other = beside(&object, 1, kill);
        kill(&object);
        other.join().unwrap();
        assert_eq!(object.releases(), 1);
    });
}

/// A kill whose fence is refused ends nothing; the next goes on.
#[test]
fn a_refused_fence_releases_nothing() {
    holds(|| {
        let object = Object::new(Fault::Refused);
        let other = beside(&object, 1, |object| {
            if object.core.try_get() {
                object.read();
                object.put();
            }
        });
        assert!(matches!(object.core.kill(), Err(RefError::Fence(_))));
        assert!(!object.core.is_zero());
        object.kill();
        other.join().unwrap();
        assert_eq!(object.releases(), 1);
    });
}

/// The first use opens the gate, whoever comes at the same time.
#[test]
fn two_first_uses() {
    holds(|| {
        let object = Arc::new(Object {
            core: Core::new(Model::new(Fault::None)),
            body: UnsafeCell::new(0),
            confirmed: AtomicBool::new(false),
        });
        let other = beside(&object, 1, |object| {
            if object.core.try_get() {
                object.read();
                object.put();
            }
        });
        object.core.get();
        object.put();
        object.kill();
        other.join().unwrap();
        assert_eq!(object.releases(), 1);
    });
}

/// Another life begins when the first has ended; each is released once, perhaps both at
/// the same time.
#[test]
fn lives_follow_one_another() {
    holds(|| {
        let object = Object::new(Fault::None);
        let releases = Arc::new(AtomicU32::new(0));
        let put = |object: &Object, releases: &AtomicU32| {
            if object.core.put() {
                releases.fetch_add(1, Ordering::Relaxed);
            }
        };
        let other = {
            let releases = Arc::clone(&releases);
            beside(&object, 1, move |object| {
                if object.core.try_get() {
                    put(object, &releases);
                }
            })
        };
        let mut lives = 1;
        object.core.kill().unwrap();
        put(&object, &releases);
        match object.core.reinit() {
            Ok(()) => {
                lives += 1;
                object.core.kill().unwrap();
                put(&object, &releases);
            }
            Err(why) => assert_eq!(why, RefError::InUse),
        }
        other.join().unwrap();
        assert_eq!(releases.load(Ordering::Relaxed), lives);
    });
}
