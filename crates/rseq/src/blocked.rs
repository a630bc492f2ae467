//! No signals for a while.

/// No signals for the calling thread, and for those that it starts, until it is dropped.
pub(crate) struct Blocked {
    before: libc::sigset_t,
    refused: bool,
}

impl Blocked {
    pub(crate) fn all() -> Blocked {
        // SAFETY: sets that are filled before their use.
        unsafe {
            let mut all: libc::sigset_t = core::mem::zeroed();
            let mut before: libc::sigset_t = core::mem::zeroed();
            libc::sigfillset(&raw mut all);
            let error = libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Blocked {
                before,
                refused: error != 0,
            }
        }
    }

    /// Whether no handler runs: a filter may refuse even this.
    pub(crate) fn none_comes(&self) -> bool {
        !self.refused
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if self.refused {
            return;
        }
        let before = &raw const self.before;
        // SAFETY: what there was before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, core::ptr::null_mut()) };
    }
}
