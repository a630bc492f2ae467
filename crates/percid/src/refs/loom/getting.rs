//! Who gets and puts while the owner kills.

use super::*;

/// A holder gets and puts under one cid, and puts what it had, while the owner kills.
fn holder(fault: Fault) {
    let object = Object::new(fault);
    object.core.get();
    let other = beside(&object, 1, |object| {
        object.core.get();
        object.put();
        object.read();
        object.put();
    });
    object.kill();
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
    assert!(object.core.is_zero());
}

#[test]
fn a_holder_puts_while_the_owner_kills() {
    check(holder, &[Fault::Fence]);
}

/// A reference that is got under one cid is put under another, or on the word.
fn across(fault: Fault, cid: usize) {
    let object = Object::new(fault);
    object.core.get();
    let putter = beside(&object, cid, |object| {
        object.read();
        object.put();
    });
    let getter = beside(&object, 1, |object| {
        if object.core.try_get() {
            object.read();
            object.put();
        }
    });
    object.kill();
    putter.join().unwrap();
    getter.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn references_move_between_cids_and_the_word() {
    check(|fault| across(fault, 0), &[Fault::Fence]);
    check(|fault| across(fault, NONE), &[Fault::Fence]);
}

/// Nobody gets a live reference once the kill is confirmed.
fn live(kill: fn(&Object), try_get: fn(&Object) -> bool, fault: Fault, cid: usize) {
    let object = Object::new(fault);
    let other = beside(&object, cid, move |object| {
        // Ordering: Acquire pairs with the kill's Release.
        let confirmed = object.confirmed.load(Ordering::Acquire);
        let got = try_get(object);
        assert!(!(confirmed && got), "live after it was confirmed dead");
        if got {
            object.read();
            object.put();
        }
    });
    kill(&object);
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn no_live_reference_after_the_kill() {
    for cid in [0, 1, NONE] {
        holds(move || live(Object::kill, |it| it.core.try_get_live(), Fault::None, cid));
    }
    is_found(
        || live(Object::kill, |it| it.core.try_get_live(), Fault::Fence, 1),
        Fault::Fence,
    );
}

/// A second reader on the word keeps it above zero, so that only the mark can refuse.
fn live_on_the_word(try_get_live: fn(&Object, &AtomicBool) -> bool, mark: fn(&AtomicBool)) {
    let object = Object::new(Fault::None);
    object.core.get();
    let dead = Arc::new(AtomicBool::new(false));
    let other = {
        let dead = Arc::clone(&dead);
        beside(&object, NONE, move |object| {
            if try_get_live(object, &dead) {
                // The confirmation may have come since the mark was read; the reference
                // must have been got before it.
                object.put();
            }
        })
    };
    mark(&dead);
    object.core.kill().unwrap();
    let confirmed = object.core.count.load(Ordering::Relaxed) & COUNT;
    // Once it is confirmed, references only become fewer.
    thread::yield_now();
    let later = object.core.count.load(Ordering::Relaxed) & COUNT;
    assert!(later <= confirmed, "{later} references after {confirmed}");
    object.put();
    object.put();
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn the_mark_is_in_the_counted_word() {
    holds(|| live_on_the_word(|object, _| object.core.try_get_live(), |_| ()));
    // The mark in a word of its own: read first, and then an exchange that does not fail.
    let read_first =
        |object: &Object, dead: &AtomicBool| !dead.load(Ordering::Acquire) && object.core.try_get();
    is_found(
        move || live_on_the_word(read_first, |dead| dead.store(true, Ordering::Release)),
        "DEAD outside the word",
    );
}

/// The owner kills; the fold is made as the mutant says.
fn folded(kill: fn(&Object)) {
    let object = Object::new(Fault::None);
    object.core.get();
    // Held on the word: the stripes have one less.
    let other = beside(&object, NONE, |object| {
        object.read();
        object.put();
    });
    kill(&object);
    other.join().unwrap();
    assert_eq!(object.releases(), 1);
}

#[test]
fn the_bias_stays_until_the_fold() {
    holds(|| folded(Object::kill));
    let without_bias = |object: &Object| {
        let core = &object.core;
        core.count.fetch_or(DEAD, Ordering::AcqRel);
        core.gate.close();
        core.count.fetch_sub(BIAS, Ordering::Relaxed);
        core.gate.fence().unwrap();
        core.count.fetch_add(core.gate.sum(), Ordering::AcqRel);
        object.put();
    };
    is_found(move || folded(without_bias), "no bias while folding");
}

/// The put of the last holder releases, so it must come after what the others did.
#[test]
fn the_fold_hands_on_what_came_before_puts() {
    let relaxed = |object: &Object| {
        let core = &object.core;
        core.count.fetch_or(DEAD, Ordering::Relaxed);
        core.gate.close();
        core.gate.fence().unwrap();
        let change = core.gate.sum().wrapping_sub(BIAS);
        core.count.fetch_add(change, Ordering::Relaxed);
        // The first reference, without the Release of a put.
        core.count.fetch_sub(1, Ordering::Relaxed);
    };
    let model = |kill: fn(&Object)| {
        let object = Object::new(Fault::None);
        object.core.get();
        object.core.get();
        let reader = beside(&object, 1, |object| {
            object.read();
            object.put();
        });
        let last = beside(&object, NONE, Object::put);
        kill(&object);
        reader.join().unwrap();
        last.join().unwrap();
        assert_eq!(object.releases(), 1);
    };
    holds(move || model(Object::kill));
    is_found(move || model(relaxed), "a fold that releases nothing");
}
