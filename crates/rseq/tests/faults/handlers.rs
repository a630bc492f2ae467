//! Handlers that interrupt the first section of a thread, which is not registered yet,
//! and run sections themselves: the interrupted one may not go on unprotected.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use percid_rseq::inject::set_delay;
use percid_rseq::section::{self, MmCid, WordAddress};
use percid_rseq::{
    Refusal, RegistrationError, enter_thread, possible_cpus, registration, thread_ids,
};

use crate::child::{in_child, panics_end_the_process, without_libcs_areas};
use crate::host::{has_mm_cid, percid_registers};

const STRIPES: usize = 4096;

#[repr(align(64))]
struct Line(AtomicU64);

static LINES: [Line; STRIPES] = [const { Line(AtomicU64::new(0)) }; STRIPES];
static LIMIT: AtomicU32 = AtomicU32::new(0);

/// Adds of handlers: all, and those that were not done by a section.
static HANDLED: AtomicU64 = AtomicU64::new(0);
static APART: AtomicU64 = AtomicU64::new(0);

/// Handlers that could not register their thread, for they had interrupted a section.
static INTERRUPTED: AtomicU64 = AtomicU64::new(0);

/// Those of them that could not tell either that percid registers in this process.
static UNKNOWN: AtomicU64 = AtomicU64::new(0);

/// Adds 1 in steps that an interruption may cut apart, in one attempt.
fn try_once() -> Result<(), Refusal> {
    static FLAG: AtomicU32 = AtomicU32::new(0);
    let word = WordAddress::new(LINES[0].0.as_ptr());
    // SAFETY: there are as many lines as ids below the limit.
    unsafe { section::add_if::<_, 6>(MmCid { limit: &LIMIT }, word, &FLAG, 0, 1) }
}

/// What structures do in a handler.
extern "C" fn add(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
    for _ in 0..section::ATTEMPTS {
        match try_once() {
            Ok(()) => return,
            Err(Refusal::NotRegistered) => match enter_thread() {
                Ok(()) => {}
                Err(RegistrationError::Interrupted) => {
                    INTERRUPTED.fetch_add(1, Ordering::Relaxed);
                    let known = registration().is_ok() && thread_ids().is_none();
                    UNKNOWN.fetch_add(u64::from(!known), Ordering::Relaxed);
                    break;
                }
                Err(_) => break,
            },
            Err(_) => {}
        }
    }
    APART.fetch_add(1, Ordering::Relaxed);
}

/// A thread's first section, under signals from its start to its commit.
fn first_section() -> Result<(), Refusal> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = &done;
        let thread = scope.spawn(move || {
            // SAFETY: no preconditions.
            sender.send(unsafe { libc::pthread_self() }).unwrap();
            let outcome = try_once();
            done.store(true, Ordering::Release);
            outcome
        });
        let target = receiver.recv().unwrap();
        let mut sent = HANDLED.load(Ordering::Relaxed);
        while !done.load(Ordering::Acquire) {
            // One after the other, so that the thread comes to its end.
            if HANDLED.load(Ordering::Relaxed) == sent {
                // SAFETY: a thread that has not been joined; the signal is handled.
                unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                sent += 1;
            }
            (0..10_000).for_each(|_| std::hint::spin_loop());
        }
        thread.join().unwrap()
    })
}

#[test]
fn an_interrupted_section_does_not_go_on_unprotected() {
    let name = "handlers::an_interrupted_section_does_not_go_on_unprotected";
    if !in_child(name, without_libcs_areas) || !percid_registers() || !has_mm_cid() {
        return;
    }
    panics_end_the_process();
    let handler: extern "C" fn(i32) = add;
    // SAFETY: the handler only counts.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    LIMIT.store(possible_cpus().min(STRIPES as u32), Ordering::Relaxed);
    set_delay(1, 200_000);
    set_delay(3, 200_000);
    let outcomes: Vec<_> = (0..100).map(|_| first_section()).collect();
    let own = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    let sum: u64 = LINES
        .iter()
        .map(|line| line.0.load(Ordering::Relaxed))
        .sum();
    let [handled, apart, interrupted] =
        [&HANDLED, &APART, &INTERRUPTED].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(sum + apart, own + handled, "{outcomes:?}");
    assert_eq!(UNKNOWN.load(Ordering::Relaxed), 0);
    println!("{handled} handlers, {interrupted} could not register; {own} sections committed");
    if interrupted == 0 {
        println!("skipped: no handler came where it matters; that takes a second CPU");
    }
}
