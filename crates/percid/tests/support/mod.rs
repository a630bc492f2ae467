//! What several tests need: hosts made worse than they are, and children.
#![allow(dead_code, reason = "each test uses a part")]

#[path = "../../../rseq/tests/support/child.rs"]
mod child;
#[path = "../../../rseq/tests/support/seccomp.rs"]
mod seccomp;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

#[allow(unused_imports, reason = "each test uses a part")]
pub(crate) use child::{Side, in_child, panics_end_the_process, split, without_libcs_areas};
#[allow(unused_imports, reason = "each test uses a part")]
pub(crate) use seccomp::{Fate, catch, forbid};

/// Counters on every backend of this process, by name.
pub(crate) fn counters() -> [(&'static str, percid::Counter); 2] {
    [
        ("new", percid::Counter::new()),
        (
            "fallback",
            percid::Counter::try_on_fallback().expect("address space"),
        ),
    ]
}

/// Numbers that differ, without a dependency: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// The CPUs that this thread may use.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("affinity can be read");
    (0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect()
}

/// Pins the calling thread to one CPU.
pub(crate) fn pin_to(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("a CPU number");
    sched_setaffinity(Pid::from_raw(0), &set).expect("an allowed CPU");
}

/// Repeats `work` while another thread sends `signal` to this one again and again,
/// until many have been sent. Returns how often `work` was done.
pub(crate) fn under_signals(signal: i32, mut work: impl FnMut()) -> u64 {
    const MANY: u64 = 100;
    let done = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    // SAFETY: no preconditions.
    let target = unsafe { libc::pthread_self() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the target outlives this scope.
                unsafe { libc::pthread_kill(target, signal) };
                sent.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let mut times = 0;
        while sent.load(Ordering::Relaxed) < MANY {
            work();
            times += 1;
        }
        done.store(true, Ordering::Relaxed);
        times
    })
}

/// Waits for what others are about to do, and panics when it never comes.
pub(crate) fn wait_for(what: &str, mut is_done: impl FnMut() -> bool) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < PATIENCE, "never {what}");
        std::thread::yield_now();
    }
}

/// Installs a signal handler.
pub(crate) fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: zeroed is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handlers of these tests call only what is allowed in handlers.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// Limits the address space of a child.
pub(crate) fn limit_address_space(command: &mut Command, bytes: u64) {
    limit(command, libc::RLIMIT_AS, bytes);
}

/// Limits what a child may map to write to.
pub(crate) fn limit_data(command: &mut Command, bytes: u64) {
    limit(command, libc::RLIMIT_DATA, bytes);
}

fn limit(command: &mut Command, which: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: setrlimit may be called between fork and exec.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(which, &raw const limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .expect("pages")
        .parse()
        .expect("a number");
    pages * 4096
}

/// Runs `check` in a child of `fork`.
pub(crate) fn in_fork(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child uses what is under test, which takes no lock and nothing of the heap, and memory
    // that it has already.
    match unsafe { libc::fork() } {
        0 => {
            // A panic would end the child's last thread, and with that the child well.
            let check = std::panic::AssertUnwindSafe(check);
            let exact = std::panic::catch_unwind(check).unwrap_or(false);
            // SAFETY: ends the child without running this program's exit.
            unsafe { libc::_exit(i32::from(!exact)) }
        }
        child => {
            assert!(child > 0, "fork");
            let mut status = 0;
            // SAFETY: a child of this process and a valid place.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            status == 0
        }
    }
}
