//! A signal at every instruction: a tracer steps a thread through functions with sections,
//! and has a handler run at one step after the other. A thread that is stepped is
//! interrupted in each of its sections, so one that commits was not protected.

use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{self, MmCid, WordAddress};
use percid_rseq::{Refusal, enter_thread, prepare_unload};

use crate::child::{in_child, without_libcs_areas};
use crate::host::{has_mm_cid, percid_registers};

const STRIPES: usize = 4096;

#[repr(align(64))]
struct Line(AtomicU64);

static LINES: [Line; STRIPES] = [const { Line(AtomicU64::new(0)) }; STRIPES];
static LIMIT: AtomicU32 = AtomicU32::new(STRIPES as u32);
static VALUE: AtomicU64 = AtomicU64::new(7);
static POINTER: AtomicPtr<u8> = AtomicPtr::new(VALUE.as_ptr().cast());

/// What the handler does, and how many sections committed: the child's alone.
static ACTION: AtomicU32 = AtomicU32::new(0);
static COMMITTED: AtomicU32 = AtomicU32::new(0);

#[inline(always)]
fn increment() -> Result<(), Refusal> {
    let word = WordAddress::new(LINES[0].0.as_ptr());
    // SAFETY: there are as many lines as ids below the limit.
    unsafe { section::increment::<_, 6>(MmCid { limit: &LIMIT }, word) }
}

#[inline(always)]
fn follow() -> Result<u64, Refusal> {
    // SAFETY: the value is never freed.
    unsafe { section::load_through(&POINTER) }
}

#[inline(always)]
fn both() {
    let committed = u32::from(increment().is_ok()) + u32::from(follow().is_ok());
    COMMITTED.fetch_add(committed, Ordering::Relaxed);
}

/// A function that computes once where the area stands.
struct Stepped {
    name: &'static str,
    function: fn(),
    /// Which actions interrupt it.
    actions: &'static [u32],
    /// At each how manieth step: a step takes the tracer 60 microseconds.
    stride: usize,
}

const FUNCTIONS: [Stepped; 3] = [
    Stepped {
        name: "not registered",
        function: not_registered,
        actions: &[0, 1, 2, 3, 4],
        stride: 1,
    },
    Stepped {
        name: "enters and leaves",
        function: enters_and_leaves,
        actions: &[1, 3],
        stride: 41,
    },
    Stepped {
        name: "leaves",
        function: leaves,
        actions: &[1, 4],
        stride: 43,
    },
];

/// Builds whose sections are longer are looked at here and there.
const SPARSE: usize = if cfg!(any(percid_inject, percid_compare_twice)) {
    7
} else {
    1
};

#[inline(never)]
fn not_registered() {
    section::anchor();
    both();
}

#[inline(never)]
fn enters_and_leaves() {
    section::anchor();
    let _ = enter_thread();
    both();
    prepare_unload();
    both();
}

#[inline(never)]
fn leaves() {
    let _ = enter_thread();
    section_and_leave();
}

#[inline(never)]
fn section_and_leave() {
    section::anchor();
    both();
    prepare_unload();
    both();
}

extern "C" fn act(_: i32) {
    match ACTION.load(Ordering::Relaxed) {
        0 => both(),
        1 => drop(enter_thread()),
        2 => prepare_unload(),
        3 => {
            both();
            let _ = enter_thread();
            both();
        }
        4 => {
            both();
            let _ = enter_thread();
            prepare_unload();
            both();
        }
        action => unreachable!("{action}"),
    }
}

/// Enters and counts, until it has counted; says whether it has.
#[inline(never)]
fn enters_and_counts() -> bool {
    section::anchor();
    (0..1000).any(|_| enter_thread().is_ok() && increment().is_ok())
}

/// How the tracee ends.
const UNPROTECTED: i32 = 1;
const STUCK: i32 = 2;
const NOT_REFUSED: i32 = 3;
const PANICKED: i32 = 4;

/// The tracee: what is stepped through lies between two stops.
fn traced(function: fn()) -> i32 {
    let this = std::process::id().cast_signed();
    prepare_unload();
    stop(this);
    function();
    stop(this);
    if COMMITTED.load(Ordering::Relaxed) > 0 {
        return UNPROTECTED;
    }
    // Nobody steps now. Whatever the handler left behind, the thread enters and leaves.
    if !enters_and_counts() {
        return STUCK;
    }
    prepare_unload();
    match (increment(), follow()) {
        (Err(Refusal::NotRegistered), Err(Refusal::NotRegistered)) => 0,
        _ => NOT_REFUSED,
    }
}

/// In few steps.
#[inline(always)]
fn stop(this: libc::pid_t) {
    // SAFETY: no preconditions.
    unsafe { libc::kill(this, libc::SIGSTOP) };
}

/// A child that is traced and stands at its first stop; `None` where nobody may trace.
fn start(work: impl FnOnce() -> i32) -> Option<libc::pid_t> {
    // SAFETY: the child runs sections and the calls above, which may all be made in a
    // handler, and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no child");
    if child == 0 {
        // SAFETY: as above; what is traced stops, or ends if there is no tracer.
        unsafe {
            match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                // A panic would end the child's last thread, and with that the child well.
                0 => {
                    let work = std::panic::AssertUnwindSafe(work);
                    libc::_exit(std::panic::catch_unwind(work).unwrap_or(PANICKED))
                }
                _ => libc::_exit(0),
            }
        }
    }
    libc::WIFSTOPPED(wait(child)).then_some(child)
}

fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: a child of this process, and a place for its status.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    status
}

/// Lets it make one step, or run, with a signal or without.
fn resume(child: libc::pid_t, how: libc::c_uint, signal: i32) {
    // SAFETY: a child that has stopped.
    let resumed = unsafe { libc::ptrace(how, child, 0, signal as usize) };
    assert_eq!(resumed, 0, "a tracee that is gone");
}

/// Steps a child until it has stopped by itself, with a signal at one step. Says whether
/// that step was one before its last, after which a handler is not stepped; gives up where
/// no steps can be made.
fn step_through(child: libc::pid_t, at: usize) -> Option<bool> {
    let (mut steps, mut pending, mut sent) = (0, 0, false);
    loop {
        if steps == at && !sent {
            (pending, sent) = (libc::SIGUSR1, true);
        }
        resume(child, libc::PTRACE_SINGLESTEP, pending);
        pending = 0;
        let status = wait(child);
        assert!(libc::WIFSTOPPED(status), "ended within: {status:#x}");
        match libc::WSTOPSIG(status) {
            libc::SIGTRAP => steps += 1,
            libc::SIGSTOP => return Some(steps > at + 1),
            // Put off for as long as signals are blocked.
            libc::SIGUSR1 => pending = libc::SIGUSR1,
            other => panic!("stopped by signal {other} at step {steps}"),
        }
        // Loops of exclusive loads and stores do not end on aarch64 when they are stepped.
        if steps > 100_000 {
            return None;
        }
    }
}

/// What the tracee found at the end.
fn end(child: libc::pid_t) -> i32 {
    resume(child, libc::PTRACE_DETACH, 0);
    let status = wait(child);
    assert!(libc::WIFEXITED(status), "ended by {status:#x}");
    libc::WEXITSTATUS(status)
}

fn kill(child: libc::pid_t) {
    // SAFETY: a child of this process.
    unsafe { libc::kill(child, libc::SIGKILL) };
    wait(child);
}

fn handle_signals() {
    let handler: extern "C" fn(i32) = act;
    // SAFETY: what it calls may be called from handlers.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: so many steps")]
fn a_signal_at_every_step_leaves_no_section_unprotected() {
    let name = "stepped::a_signal_at_every_step_leaves_no_section_unprotected";
    if !in_child(name, without_libcs_areas) || !percid_registers() || !has_mm_cid() {
        return;
    }
    handle_signals();
    for stepped in FUNCTIONS {
        let (name, function) = (stepped.name, stepped.function);
        for &action in stepped.actions {
            ACTION.store(action, Ordering::Relaxed);
            let mut runs = 0;
            for at in (0..).step_by(stepped.stride * SPARSE) {
                let Some(child) = start(|| traced(function)) else {
                    println!("skipped: nobody may trace here");
                    return;
                };
                match step_through(child, at) {
                    Some(true) => assert_eq!(end(child), 0, "{name}, action {action}, step {at}"),
                    Some(false) => {
                        kill(child);
                        break;
                    }
                    None => {
                        kill(child);
                        println!("skipped: it cannot be stepped through");
                        return;
                    }
                }
                runs += 1;
            }
            println!("{name}, action {action}: {runs} runs");
        }
    }
}

/// A handler that enters while its thread looks its area up.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: so many steps")]
fn a_signal_at_every_step_leaves_nobody_stuck() {
    let name = "stepped::a_signal_at_every_step_leaves_nobody_stuck";
    if !in_child(name, without_libcs_areas) || !percid_registers() || !has_mm_cid() {
        return;
    }
    handle_signals();
    for action in [1, 3] {
        ACTION.store(action, Ordering::Relaxed);
        for at in (0..60).step_by(SPARSE.min(2)) {
            let counts = || {
                prepare_unload();
                stop(std::process::id().cast_signed());
                if enters_and_counts() { 0 } else { STUCK }
            };
            let Some(child) = start(counts) else {
                println!("skipped: nobody may trace here");
                return;
            };
            for _ in 0..at {
                resume(child, libc::PTRACE_SINGLESTEP, 0);
                assert!(libc::WIFSTOPPED(wait(child)));
            }
            resume(child, libc::PTRACE_DETACH, libc::SIGUSR1);
            let status = wait(child);
            assert!(libc::WIFEXITED(status), "ended by {status:#x}");
            assert_eq!(libc::WEXITSTATUS(status), 0, "action {action}, step {at}");
        }
    }
}
