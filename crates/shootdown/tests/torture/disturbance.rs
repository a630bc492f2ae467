//! Timers, signals and migrations, for as long as a run goes on.

use std::time::Duration;

use crate::Run;

/// Disturbs the threads with these ids until the run is done.
pub(crate) fn disturb(run: &Run, threads: &[i32], signal: i32) {
    let cpus = allowed_cpus();
    let mut turn = 0;
    while !run.is_done() {
        let thread = threads[turn % threads.len()];
        if turn % 3 == 0 {
            pin(thread, cpus[turn / threads.len() % cpus.len()]);
        } else {
            // SAFETY: names a thread of this process; one that has ended is an error.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
        }
        turn += 1;
        std::thread::sleep(Duration::from_micros(70));
    }
}

/// The signal runs `handler` in whichever thread gets it.
pub(crate) fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: the handler does what may be done in one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

pub(crate) fn thread_id() -> i32 {
    // SAFETY: no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Has a thread, 0 for the calling one, run on one CPU.
pub(crate) fn pin(thread: i32, cpu: usize) {
    // SAFETY: a set that is filled before its use; a thread that has ended is an error.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(thread, size_of_val(&set), &raw const set);
    }
}

pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a valid place for the set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &raw mut set);
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&cpu| libc::CPU_ISSET(cpu, &set))
            .collect()
    }
}
