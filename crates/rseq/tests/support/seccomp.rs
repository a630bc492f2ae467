//! System calls that fail as the test says: old kernels, sandboxes, and worse.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What becomes of a call that is caught.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It fails with this error number.
    Errno(i32),
    /// The process dies.
    Death,
}

/// Has system calls fail with `ENOSYS` in a child, as old kernels and sandboxes do.
pub(crate) fn forbid(command: &mut Command, calls: &'static [libc::c_long]) {
    // SAFETY: prctl may be called between fork and exec, and nothing allocates.
    unsafe { command.pre_exec(move || catch(calls, Fate::Errno(libc::ENOSYS))) };
}

/// Catches system calls of the calling thread, and of those that it starts from now
/// on, for ever. Of several filters that catch a call the most severe one stands, and
/// of errors the last.
pub(crate) fn catch(calls: &[libc::c_long], fate: Fate) -> io::Result<()> {
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
    let caught = match fate {
        Fate::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
        Fate::Death => libc::SECCOMP_RET_KILL_PROCESS,
    };
    program[calls.len() + 2] = step(RETURN, 0, caught);
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
        Err(io::Error::last_os_error())
    }
}
