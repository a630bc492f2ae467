//! What disturbs the threads of a cell while it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What lands inside sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// More threads than CPUs: the scheduler alone.
    Plain,
    /// An interval timer of the process.
    Timer,
    /// Signals to each thread in turn.
    Storm,
    /// Each thread is moved to another CPU in turn.
    Migration,
    /// Other threads take the CPU and give it back at once.
    Yield,
}

impl Disturbance {
    pub(crate) const ALL: [Disturbance; 5] = [
        Disturbance::Plain,
        Disturbance::Timer,
        Disturbance::Storm,
        Disturbance::Migration,
        Disturbance::Yield,
    ];

    /// Has a thread share two CPUs with all others, where only the scheduler disturbs
    /// and there might be a CPU for each.
    pub(crate) fn place(self, number: usize) {
        if matches!(self, Disturbance::Plain | Disturbance::Yield) {
            let cpus = allowed_cpus();
            pin(0, cpus[number % cpus.len().min(2)]);
        }
    }

    /// Threads that run beside the workers.
    pub(crate) fn rivals(self) -> usize {
        if self == Disturbance::Yield { 2 } else { 0 }
    }

    /// Disturbs the threads with these ids until `done`; runs in a thread of its
    /// own.
    pub(crate) fn disturb(self, threads: &[i32], done: &AtomicBool) {
        block_signals();
        let cpus = allowed_cpus();
        let timer = (self == Disturbance::Timer).then(Timer::start);
        let mut turn = 0;
        while !done.load(Ordering::Relaxed) {
            let thread = threads[turn % threads.len()];
            match self {
                Disturbance::Storm => signal(thread),
                Disturbance::Migration => pin(thread, cpus[turn / threads.len() % cpus.len()]),
                Disturbance::Plain | Disturbance::Timer | Disturbance::Yield => {}
            }
            turn += 1;
            std::thread::sleep(Duration::from_micros(50));
        }
        drop(timer);
    }
}

/// What a rival does.
pub(crate) fn rival(done: &AtomicBool) {
    block_signals();
    while !done.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
}

extern "C" fn ignore(_: i32) {}

/// Both signals do nothing but arrive.
pub(crate) fn handle_signals() {
    for signal in [libc::SIGALRM, libc::SIGUSR1] {
        // SAFETY: a handler that does nothing.
        unsafe { libc::signal(signal, ignore as *const () as usize) };
    }
}

/// Leaves the process's signals to the workers.
pub(crate) fn block_signals() {
    // SAFETY: zeroed is a valid place for a set, which is filled before its use.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGALRM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// The calling thread's id, as the kernel has it.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

fn signal(thread: i32) {
    // SAFETY: names a thread of this process; one that has ended is an error.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR1) };
}

fn pin(thread: i32, cpu: usize) {
    // SAFETY: a set that is filled before its use; a thread that has ended is an
    // error.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(thread, size_of_val(&set), &raw const set);
    }
}

/// Pins the calling thread, and those that it starts, to the CPU it runs on.
pub(crate) fn stay_on_this_cpu() {
    // SAFETY: no preconditions.
    let cpu = unsafe { libc::sched_getcpu() };
    pin(0, cpu as usize);
}

fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a valid place for the set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &raw mut set);
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&cpu| libc::CPU_ISSET(cpu, &set))
            .collect()
    }
}

/// The process's interval timer.
struct Timer;

impl Timer {
    fn start() -> Timer {
        Timer::set(100);
        Timer
    }

    fn set(micros: i64) {
        let time = libc::timeval {
            tv_sec: 0,
            tv_usec: micros,
        };
        let timer = libc::itimerval {
            it_interval: time,
            it_value: time,
        };
        // SAFETY: valid values.
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        Timer::set(0);
    }
}
