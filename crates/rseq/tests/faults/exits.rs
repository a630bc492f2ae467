//! Threads end: the area goes before its memory does, and what runs after that falls
//! back.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::{Refusal, RegistrationError, enter_thread, portable};

use crate::child::{in_child, without_libcs_areas};
use crate::host::{Stripes, has_mm_cid, kernel_knows_an_area, percid_registers};

/// Where the threads of these tests count.
struct Total {
    stripes: Stripes,
    fallback: AtomicU64,
}

impl Total {
    fn leak() -> &'static Total {
        Box::leak(Box::new(Total {
            stripes: Stripes::new(),
            fallback: AtomicU64::new(0),
        }))
    }

    /// Counts in a section, or as the fallback does. True for a section.
    fn count(&self) -> bool {
        loop {
            match self.stripes.increment() {
                Ok(()) => return true,
                Err(Refusal::Aborted) => {}
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::NotRegistered);
                    portable::add(&self.fallback, 1);
                    return false;
                }
            }
        }
    }

    fn sum(&self) -> u64 {
        self.stripes.sum() + portable::load(&self.fallback)
    }
}

/// What a thread was at each of its destructors.
struct Log {
    total: &'static Total,
    /// One bit for each call, the last one lowest: 1 if it was registered.
    registered: AtomicU32,
    calls: AtomicU32,
}

/// The keys before and after that of percid, which libc calls in this order, again
/// and again as long as they set their values.
static KEYS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

unsafe extern "C" fn at_exit<const KEY: usize>(value: *mut c_void) {
    // SAFETY: the log of this thread's test, which is never freed.
    let log: &'static Log = unsafe { &*value.cast() };
    let registered = log.total.count();
    assert_eq!(kernel_knows_an_area(), registered);
    let ending = Err(RegistrationError::NoThreadExit);
    assert_eq!(enter_thread(), if registered { Ok(()) } else { ending });
    log.calls.fetch_add(1, Ordering::Relaxed);
    let bits = log.registered.load(Ordering::Relaxed) << 1;
    log.registered
        .store(bits | u32::from(registered), Ordering::Relaxed);
    let key = KEYS[KEY].load(Ordering::Relaxed);
    // SAFETY: a key of this test.
    unsafe { libc::pthread_setspecific(key, value) };
}

fn make_key(number: usize, destructor: unsafe extern "C" fn(*mut c_void)) {
    let mut key = 0;
    // SAFETY: a valid place and a destructor of the right type.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) };
    assert_eq!(made, 0);
    KEYS[number].store(key, Ordering::Relaxed);
}

#[test]
fn destructors_find_the_area_or_fall_back() {
    let name = "exits::destructors_find_the_area_or_fall_back";
    if !in_child(name, without_libcs_areas) {
        return;
    }
    make_key(0, at_exit::<0>);
    if !percid_registers() || !has_mm_cid() {
        return;
    }
    make_key(1, at_exit::<1>);
    let total = Total::leak();
    for _ in 0..50 {
        let log: &'static Log = Box::leak(Box::new(Log {
            total,
            registered: AtomicU32::new(0),
            calls: AtomicU32::new(0),
        }));
        let before = total.sum();
        std::thread::spawn(move || {
            assert!(total.count());
            for key in &KEYS {
                let value = std::ptr::from_ref(log).cast();
                // SAFETY: a key of this test.
                unsafe { libc::pthread_setspecific(key.load(Ordering::Relaxed), value) };
            }
        })
        .join()
        .unwrap();
        let calls = log.calls.load(Ordering::Relaxed);
        let registered = log.registered.load(Ordering::Relaxed);
        assert_eq!(total.sum(), before + 1 + u64::from(calls));
        assert!(calls >= 3, "{calls} destructors");
        // Registered until percid's own destructor has run, and never again.
        assert!(registered.trailing_zeros() >= 1, "registered to the end");
        assert_eq!(registered.leading_zeros(), 32 - calls, "not from the start");
        assert_eq!(
            registered.count_zeros(),
            registered.trailing_zeros() + 32 - calls
        );
    }
}

/// Counts when it is dropped, on whatever there is then.
struct Counts(&'static Total);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.count();
    }
}

thread_local!(static AT_EXIT: std::cell::RefCell<Option<Counts>> = const { std::cell::RefCell::new(None) });

/// What each thread does: it counts twice, the second time in a destructor.
fn visit(total: &'static Total) {
    AT_EXIT.with(|at_exit| *at_exit.borrow_mut() = Some(Counts(total)));
    total.count();
}

fn many_come_and_go() {
    const JOINED: u64 = 1000;
    const DETACHED: u64 = 300;
    if !has_mm_cid() {
        return;
    }
    let total = Total::leak();
    for _ in 0..JOINED {
        std::thread::spawn(|| visit(total)).join().unwrap();
    }
    assert_eq!(total.sum(), 2 * JOINED);
    for _ in 0..DETACHED {
        drop(std::thread::spawn(|| visit(total)));
    }
    while total.sum() < 2 * (JOINED + DETACHED) {
        std::thread::yield_now();
    }
    assert_eq!(total.sum(), 2 * (JOINED + DETACHED));
    assert!(
        total.stripes.sum() >= JOINED + DETACHED,
        "threads that fell back"
    );
}

#[test]
fn many_come_and_go_in_libcs_areas() {
    if in_child("exits::many_come_and_go_in_libcs_areas", |_| ()) {
        many_come_and_go();
    }
}

#[test]
fn many_come_and_go_in_areas_of_percid() {
    let name = "exits::many_come_and_go_in_areas_of_percid";
    if in_child(name, without_libcs_areas) {
        many_come_and_go();
    }
}
