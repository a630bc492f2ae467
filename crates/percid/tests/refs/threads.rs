//! References of threads that end, that hand them on, and of signal handlers.

use std::sync::atomic::{AtomicU32, Ordering};

use percid::Ref;
use percid_rseq::testing::unregister_thread;

use crate::support::{handle, under_signals};
use crate::{Place, in_both, times};

in_both! {
    a_thread_that_ends_leaves_its_reference,
    a_thread_that_panics_gives_its_reference_back,
    references_move_between_threads,
}

fn a_thread_that_ends_leaves_its_reference(
    count: &Ref<impl Fn() + Sync, impl Place>,
    releases: &AtomicU32,
) {
    std::thread::scope(|scope| {
        scope.spawn(|| count.get());
        scope.spawn(|| count.try_get_live().expect("live").keep());
    });
    count.kill().unwrap();
    assert_eq!(times(releases), 0);
    count.put();
    assert_eq!(times(releases), 0);
    std::thread::scope(|scope| scope.spawn(|| count.put()).join().unwrap());
    assert_eq!(times(releases), 1);
}

fn a_thread_that_panics_gives_its_reference_back(
    count: &Ref<impl Fn() + Sync, impl Place>,
    releases: &AtomicU32,
) {
    let ended = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _held = count.try_get_live().expect("live");
            // Not `panic!`, which would print a message.
            std::panic::resume_unwind(Box::new(7));
        });
        thread.join()
    });
    assert!(ended.is_err_and(|panic| panic.is::<i32>()));
    count.kill().unwrap();
    assert_eq!(times(releases), 1);
}

/// References that are got under one cid and put under another, or by a thread without
/// sections, and never by who got them.
fn references_move_between_threads(
    count: &Ref<impl Fn() + Sync, impl Place>,
    releases: &AtomicU32,
) {
    const MOVES: u32 = 50_000;
    let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(64);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..MOVES {
                count.get();
                sender.send(()).unwrap();
            }
        });
        scope.spawn(move || {
            drop(count.try_get());
            // SAFETY: nothing follows a pointer here.
            let _ = unsafe { unregister_thread() };
            while receiver.recv().is_ok() {
                count.put();
                assert_eq!(times(releases), 0);
            }
        });
    });
    count.kill().unwrap();
    assert_eq!(times(releases), 1);
}

#[test]
fn handlers_get_and_put() {
    static RELEASES: AtomicU32 = AtomicU32::new(0);
    static COUNT: Ref = Ref::new(|| _ = RELEASES.fetch_add(1, Ordering::Relaxed));
    extern "C" fn on_signal(_: i32) {
        // The first use, too, may be in a handler.
        if let Some(held) = COUNT.try_get_live() {
            COUNT.get();
            COUNT.put();
            drop(held);
        }
    }
    handle(libc::SIGUSR1, on_signal);
    under_signals(libc::SIGUSR1, || {
        for _ in 0..5000 {
            COUNT.get();
            COUNT.put();
        }
    });
    COUNT.kill().unwrap();
    assert_eq!(times(&RELEASES), 1);
}
