//! Children that share their parent's memory until they `exec`: they run nothing of
//! percid, and leave the parent's areas alone.

use std::ffi::c_void;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use percid_rseq::{ThreadIds, enter_thread, thread_ids};

use crate::child::{in_child, without_libcs_areas};
use crate::forks::{exit, wait_for};
use crate::host::{ForeignArea, Stripes, allowed_cpus, has_mm_cid, kernel_knows_an_area, pin_to};

/// Runs this program for no test at all, by way of `posix_spawn`.
fn spawn_and_wait() {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "no::such::test"]);
    assert!(command.output().unwrap().status.success());
}

/// Runs `work` in a child that shares everything, while the calling thread waits as
/// `vfork` has it.
fn in_vfork(work: extern "C" fn(*mut c_void) -> i32, argument: *mut c_void) -> Option<i32> {
    const STACK: usize = 64 << 10;
    let mut stack = vec![0_u128; STACK / 16];
    let top = stack.as_mut_ptr_range().end.cast();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: a stack of the child's own, which grows down from its end and is there
    // until the child has ended; the children make system calls only.
    wait_for(unsafe { libc::clone(work, top, flags, argument) })
}

extern "C" fn end(_: *mut c_void) -> i32 {
    exit(0)
}

/// The kernel knows no area of such a child, whatever the one that it shares says: it
/// takes another.
extern "C" fn looks_registered_and_is_not(area: *mut c_void) -> i32 {
    // SAFETY: the caller's, and never freed.
    let area: &'static ForeignArea = unsafe { &*area.cast() };
    let looks = thread_ids().is_some();
    exit(i32::from(!(looks && area.register(32, 1).is_ok())))
}

/// What the thread's area says, where the thread stays on one CPU.
fn stays() -> (u32, u32, bool) {
    let ThreadIds { cpu, node, .. } = thread_ids().expect("registered");
    (cpu, node, kernel_knows_an_area())
}

fn leave_their_parent_alone() {
    const ROUNDS: u64 = 20;
    if !has_mm_cid() {
        return;
    }
    pin_to(*allowed_cpus().last().unwrap());
    let stripes = Stripes::new();
    let counting = AtomicBool::new(true);
    let before = stays();
    let counted: u64 = std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| {
            scope.spawn(|| {
                enter_thread().unwrap();
                let mut times = 0;
                while counting.load(Ordering::Relaxed) {
                    stripes.count();
                    times += 1;
                }
                times
            })
        });
        for round in 0..ROUNDS {
            // The thread's last section is still armed when its child starts.
            stripes.count();
            match round % 3 {
                0 => spawn_and_wait(),
                1 => assert_eq!(in_vfork(end, std::ptr::null_mut()), Some(0)),
                _ => {
                    let area = std::ptr::from_ref(ForeignArea::leak()).cast_mut().cast();
                    let ended = in_vfork(looks_registered_and_is_not, area);
                    assert_eq!(ended, Some(0), "such a child is registered");
                }
            }
            stripes.count();
            assert_eq!(stays(), before, "round {round}");
        }
        counting.store(false, Ordering::Relaxed);
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(stripes.sum(), 2 * ROUNDS + counted);
}

#[test]
fn they_leave_libcs_areas_alone() {
    if in_child("children::they_leave_libcs_areas_alone", |_| ()) {
        leave_their_parent_alone();
    }
}

#[test]
fn they_leave_areas_of_percid_alone() {
    let name = "children::they_leave_areas_of_percid_alone";
    if in_child(name, without_libcs_areas) {
        leave_their_parent_alone();
    }
}
