//! Threads that leave, again and again, under handlers that have them enter.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use percid_rseq::{enter_thread, prepare_unload, thread_ids};

use crate::child::{in_child, without_libcs_areas};
use crate::host::{has_mm_cid, percid_registers};

/// Handlers that ran.
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn enter(_: i32) {
    // Refused where it has interrupted a section.
    let _ = enter_thread();
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Says so when it is dropped, in a panic too.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// An area that is registered has an id: what says that there is none is not written over
/// what the kernel said to a handler that came meanwhile.
#[test]
fn who_leaves_says_so_before_a_handler_enters_again() {
    let name = "leaving::who_leaves_says_so_before_a_handler_enters_again";
    if !in_child(name, without_libcs_areas) || !percid_registers() || !has_mm_cid() {
        return;
    }
    let handler: extern "C" fn(i32) = enter;
    // SAFETY: what it calls may be called from handlers.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = &done;
        let thread = scope.spawn(move || {
            let _done = Done(done);
            // SAFETY: no preconditions.
            sender.send(unsafe { libc::pthread_self() }).unwrap();
            let start = Instant::now();
            let mut entered = 0;
            while start.elapsed() < Duration::from_millis(300) {
                let _ = enter_thread();
                prepare_unload();
                if let Some(ids) = thread_ids() {
                    assert_ne!(ids.mm_cid, u32::MAX, "registered, and without an id");
                    entered += 1;
                }
            }
            println!("{entered} times a handler had entered again");
        });
        let target = receiver.recv().unwrap();
        let mut sent = u64::MAX;
        while !done.load(Ordering::Acquire) {
            let handled = HANDLED.load(Ordering::Relaxed);
            if handled != sent {
                sent = handled;
                // SAFETY: not joined yet.
                unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
            }
            std::thread::yield_now();
        }
        thread.join().unwrap();
    });
    println!("{} handlers", HANDLED.load(Ordering::Relaxed));
}
