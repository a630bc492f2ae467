//! Who takes part in a trial: the victim, its rival, and the calling thread.
//!
//! The first two have the calling thread's thread-locals, libc's own among them. So they
//! call nothing that uses any but the error number, which the calling thread restores.

use core::ffi::c_void;
use core::sync::atomic::Ordering;

use super::signal::Borrowed;
use super::stage::{ENDED, FAILED, KINDS, LOOSE, Memory, NOT_YET, READY, Stage};
use super::{Disturbance, Tally, Trial};
use crate::arch::{self, Wait, Waited};
use crate::blocked::Blocked;
use crate::errno::Preserved;
use crate::{membarrier, own};

/// Turns that a section waits: some ten milliseconds.
const TURNS: u32 = 1 << 25;

/// Nanoseconds of a nap. Some kernels take much shorter ones for a timer that hangs.
const NAP: i64 = 20_000;

/// The same for the rival, whose timer is exact.
const RIVALS_NAP: i64 = 50_000;

/// Naps for which the threads wait for each other.
const NAPS: u32 = 400;

/// Naps after which a thread that does not end is left alone: more than a second.
const MOST_NAPS: u32 = 20_000;

/// Tries that wait in vain, after which the victim gives up.
const IN_VAIN: u32 = 3;

const PREEMPTION: usize = Disturbance::Preemption as usize;

pub(super) fn run(disturbances: &[Disturbance], rounds: u32, armed: bool) -> Trial {
    let _errno = Preserved::new();
    let Some(memory) = Memory::map() else {
        return Trial::default();
    };
    let stage = memory.stage();
    let kinds = disturbances
        .iter()
        .fold(0, |kinds, &one| kinds | 1 << one as u32);
    // Ordering: Relaxed. The threads are not there yet.
    stage.kinds.store(kinds, Ordering::Relaxed);
    stage.rounds.store(rounds.min(1000), Ordering::Relaxed);
    stage.armed.store(u32::from(armed), Ordering::Relaxed);
    let _blocked = Blocked::all();
    let signal = (kinds >> Disturbance::Signal as u32 & 1 == 1)
        .then(|| Borrowed::new(stage))
        .flatten();
    let number = signal.as_ref().map_or(0, Borrowed::number);
    stage.signal.store(number, Ordering::Relaxed);

    if let Some(thread) = memory.start(0, victim) {
        if kinds >> PREEMPTION & 1 == 0 || memory.start(1, rival).is_none() {
            stage.rival.store(FAILED, Ordering::Release);
        }
        direct(&memory, thread, signal.as_ref());
    }
    // Before the memory may go: who is interrupted from here on is no victim.
    drop(signal);
    // Ordering: Relaxed. The kernel has said that the threads have ended, or nobody
    // knows what the numbers are.
    let get = |numbers: &[core::sync::atomic::AtomicU32; KINDS], kind: usize| {
        numbers[kind].load(Ordering::Relaxed)
    };
    Trial {
        tallies: core::array::from_fn(|kind| Tally {
            disturbed: get(&stage.disturbed, kind),
            aborted: get(&stage.aborted, kind),
            committed: get(&stage.survived, kind),
        }),
    }
}

/// The calling thread's part: fences and signals, until the others have ended.
fn direct(memory: &Memory, victim: i32, signal: Option<&Borrowed>) {
    let stage = memory.stage();
    let mut last = 0;
    for _ in 0..MOST_NAPS {
        if !memory.is_alive(0) && !memory.is_alive(1) {
            return;
        }
        // Ordering: Acquire. What the victim has stored before its section, its CPU.
        let now = stage.inside.load(Ordering::Acquire);
        if now != last {
            last = now;
            let fenced = |done: Result<(), _>| stage.let_go(now, done.is_ok());
            match Disturbance::ALL[Stage::kind(now)] {
                Disturbance::Preemption => {}
                Disturbance::FenceOfCpu => {
                    fenced(membarrier::fence_cpu(stage.cpu.load(Ordering::Relaxed)));
                }
                Disturbance::Fence => fenced(membarrier::fence()),
                Disturbance::Signal => {
                    if !signal.is_some_and(|signal| signal.send(victim)) {
                        stage.let_go(now, false);
                    }
                }
            }
        }
        nap(NAP);
    }
}

/// Opens one section after the other.
extern "C" fn victim(stage: *mut c_void) {
    // SAFETY: the stage of the memory that this thread's stack is part of.
    let stage = unsafe { &*stage.cast::<Stage>() };
    be_ordinary();
    let signal = stage.signal.load(Ordering::Relaxed);
    if signal != 0 {
        let_through(signal);
    }
    let area = (&raw const stage.area.area).cast_mut();
    let size = own::size().ok();
    let Some(size) = size.filter(|&size| own::rseq(area, size, 0).is_ok()) else {
        return stage.victim.store(ENDED, Ordering::Release);
    };
    let home = current_cpu().filter(|&cpu| pin(cpu));
    stage.cpu.store(home.unwrap_or(0), Ordering::Relaxed);
    let state = if home.is_some() { READY } else { LOOSE };
    // Ordering: Release pairs with the Acquire of `rival`: the CPU.
    stage.victim.store(state, Ordering::Release);
    let rivalled = home.is_some() && {
        let is_there = || stage.rival.load(Ordering::Acquire) != NOT_YET;
        wait_until(is_there) && stage.rival.load(Ordering::Acquire) == READY
    };
    let mut in_vain = 0;
    for round in 0..stage.rounds.load(Ordering::Relaxed) {
        for kind in 0..KINDS {
            let wanted = stage.kinds.load(Ordering::Relaxed) >> kind & 1 == 1;
            if !wanted || in_vain >= IN_VAIN || kind == PREEMPTION && !rivalled {
                continue;
            }
            let number = Stage::number(round, kind);
            // Ordering: Relaxed. The kernel writes in this very thread's context.
            let cpu = home.unwrap_or_else(|| stage.area.area.cpu_id.load(Ordering::Relaxed));
            stage.cpu.store(cpu, Ordering::Relaxed);
            let wait = Wait {
                armed: stage.armed.load(Ordering::Relaxed) != 0,
                cpu,
                number,
                turns: TURNS,
                inside: &stage.inside,
                flag: &stage.flags[kind],
                committed: &stage.committed,
            };
            // SAFETY: registered above, for this thread.
            match unsafe { arch::wait_inside(area, &wait) } {
                Waited::Aborted => {
                    stage.aborted[kind].fetch_add(1, Ordering::Relaxed);
                }
                // Ordering: Relaxed. The section's load of the flag acquires.
                Waited::Committed if stage.done[kind].load(Ordering::Relaxed) == number => {
                    stage.survived[kind].fetch_add(1, Ordering::Relaxed);
                }
                Waited::Committed => {}
                Waited::InVain => in_vain += 1,
            }
        }
    }
    own::unregister(area, size);
    stage.victim.store(ENDED, Ordering::Release);
}

/// Runs on the victim's CPU whenever its section waits for that.
extern "C" fn rival(stage: *mut c_void) {
    // SAFETY: as in `victim`.
    let stage = unsafe { &*stage.cast::<Stage>() };
    // Ordering: Acquire pairs with the Release of `victim`.
    let state = || stage.victim.load(Ordering::Acquire);
    wait_until(|| state() != NOT_YET);
    let cpu = stage.cpu.load(Ordering::Relaxed);
    if state() != READY || !pin(cpu) {
        return stage.rival.store(FAILED, Ordering::Release);
    }
    ask_for_short_slices();
    stage.rival.store(READY, Ordering::Release);
    let mut last = 0;
    for _ in 0..MOST_NAPS {
        if state() == ENDED {
            return;
        }
        // Ordering: Acquire. The section was open before what follows.
        let now = stage.inside.load(Ordering::Acquire);
        if now != last && now != 0 && Stage::kind(now) == PREEMPTION {
            last = now;
            // Where this thread runs, the other one does not, and its section was open.
            stage.let_go(now, current_cpu() == Some(cpu));
        }
        nap(RIVALS_NAP);
    }
}

/// Waits a bounded time; whether it came.
fn wait_until(come: impl Fn() -> bool) -> bool {
    for _ in 0..NAPS {
        if come() {
            return true;
        }
        nap(NAP);
    }
    false
}

/// Sleeps for as little as there is. Not libc's, where a thread may be cancelled.
fn nap(nanoseconds: i64) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    let none: *mut libc::timespec = core::ptr::null_mut();
    // SAFETY: a valid time.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, none) };
}

/// The CPU, from the kernel: libc would look in the calling thread's area.
fn current_cpu() -> Option<u32> {
    let mut cpu = 0_u32;
    let none: *mut u32 = core::ptr::null_mut();
    // SAFETY: a place for the answer.
    let result = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, none, none) };
    (result == 0).then_some(cpu)
}

/// Pins the thread; whether that worked.
fn pin(cpu: u32) -> bool {
    /// CPUs that there is room for: as many as Linux can have.
    const CPUS: usize = 8192;
    let mut set = [0_u64; CPUS / 64];
    let Some(word) = set.get_mut(cpu as usize / 64) else {
        return false;
    };
    *word = 1 << (cpu % 64);
    // SAFETY: a set of so many bytes.
    let result = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, CPUS / 8, &raw const set) };
    result == 0
}

/// Gives a real-time priority up, which nobody could preempt, and is nicer than
/// the rival.
fn be_ordinary() {
    const NICER: i32 = 10;
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: valid values. Where it is refused the priority stays.
    unsafe {
        if libc::syscall(libc::SYS_sched_getscheduler, 0) != libc::SCHED_OTHER.into() {
            libc::syscall(
                libc::SYS_sched_setscheduler,
                0,
                libc::SCHED_OTHER,
                &raw const none,
            );
        }
        let nice = (nice() + NICER).min(19);
        libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, nice);
    }
}

/// How nice the thread is.
fn nice() -> i32 {
    // SAFETY: no preconditions. The system call, unlike libc's function, answers 20 less
    // that, or an error, which is as good as 1 here.
    20 - unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) }.max(1) as i32
}

/// A thread with shorter slices runs at once when it wakes up (Linux 6.12); before, it
/// does so anyway, or waits for the other's slice to end. A timer is to wake it in time.
fn ask_for_short_slices() {
    /// The kernel's `struct sched_attr`, as of its first version.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    // SAFETY: valid values. What is refused changes nothing.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_TIMERSLACK, 1, 0, 0, 0);
        if libc::syscall(libc::SYS_sched_getscheduler, 0) != libc::SCHED_OTHER.into() {
            return;
        }
        let attributes = Attributes {
            size: size_of::<Attributes>() as u32,
            policy: libc::SCHED_OTHER as u32,
            flags: 0,
            nice: nice(),
            priority: 0,
            runtime: 100_000,
            deadline: 0,
            period: 0,
        };
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}

/// Lets one signal through to the calling thread.
fn let_through(signal: i32) {
    // SAFETY: a set that is filled before its use.
    unsafe {
        let mut set: libc::sigset_t = core::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, core::ptr::null_mut());
    }
}
