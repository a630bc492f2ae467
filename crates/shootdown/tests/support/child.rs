//! Something that is done in a child of `fork`.

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Runs `child` in a child, which has one thread; it must return true.
#[track_caller]
pub(crate) fn in_child(child: impl FnOnce() -> bool) {
    // SAFETY: the child calls what the crate promises for children, and ends without
    // returning. It allocates, which glibc and musl allow after a fork.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            // SAFETY: a child that hangs is ended by this.
            unsafe { libc::alarm(60) };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends the child at once, without what the parent has registered.
            unsafe { libc::_exit(i32::from(!outcome.unwrap_or(false))) };
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("the child's end");
            assert_eq!(status, WaitStatus::Exited(child, 0));
        }
    }
}
