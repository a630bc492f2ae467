//! What several tests need: hosts made worse than they are, and children.
#![allow(dead_code, reason = "each test uses a part")]

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

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

/// Marks a child of a test: the same test in a process of its own.
const CHILD: &str = "PERCID_TEST_CHILD";

/// Runs the rest of the calling test in a fresh process, which `prepare` may make
/// worse before it starts. True in that child.
///
/// The child gets none of the variables that choose a backend but those that
/// `prepare` sets.
pub(crate) fn in_child(test: &str, prepare: impl FnOnce(&mut Command)) -> bool {
    if std::env::var(CHILD).is_ok_and(|child| child == test) {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().expect("this test's program"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
        .env(CHILD, test)
        .env_remove("PERCID_BACKEND")
        .env_remove("GLIBC_TUNABLES");
    prepare(&mut command);
    let output = command.output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "the child failed: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Limits the address space of a child.
pub(crate) fn limit_address_space(command: &mut Command, bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: setrlimit may be called between fork and exec.
    unsafe {
        command.pre_exec(
            move || match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        );
    }
}

/// Makes system calls fail with `ENOSYS` in a child, as old kernels and sandboxes
/// do.
pub(crate) fn forbid(command: &mut Command, calls: &'static [i64]) {
    // SAFETY: prctl may be called between fork and exec, and nothing allocates.
    unsafe { command.pre_exec(move || install_filter(calls)) };
}

fn install_filter(calls: &[i64]) -> std::io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const MOST: usize = 4;
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let mut program = [step(RETURN, 0, libc::SECCOMP_RET_ALLOW); MOST + 3];
    assert!(calls.len() <= MOST);
    program[0] = step(LOAD, 0, 0); // the system call's number
    for (place, &call) in calls.iter().enumerate() {
        // Jumps over the other comparisons and the permission.
        program[1 + place] = step(JUMP_IF_EQUAL, (calls.len() - place) as u8, call as u32);
    }
    let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    program[calls.len() + 2] = step(RETURN, 0, refused);
    let filter = libc::sock_fprog {
        len: calls.len() as u16 + 3,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: a valid program that outlives the calls.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const filter,
            ),
        ]
    };
    if results == [0, 0] {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
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
