//! Which process this is, of a line of forks, and which thread: in memory, for a system call
//! would be dear, and the numbers of processes repeat.

#[cfg(all(unix, not(loom)))]
mod unix {
    use core::sync::atomic::{AtomicU32, Ordering};

    /// 0: nobody has asked yet.
    static GENERATION: AtomicU32 = AtomicU32::new(0);

    unsafe extern "C" {
        /// POSIX; the libc crate has it for some targets only.
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> i32;
    }

    /// The thread that forked, in a child.
    static SURVIVOR: AtomicU32 = AtomicU32::new(0);

    unsafe extern "C" fn in_child() {
        // Ordering: Relaxed. The child has one thread.
        SURVIVOR.store(thread(), Ordering::Relaxed);
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    /// A number of the thread, the same in a child that it forks. Two threads of one process
    /// have the same if they are so many times 64 GiB apart.
    #[allow(clippy::unnecessary_cast, reason = "a pointer on some systems")]
    fn thread() -> u32 {
        // SAFETY: no preconditions. Async-signal-safe.
        (unsafe { libc::pthread_self() } as usize >> 4) as u32
    }

    /// A name of the calling thread for words that say who holds them; never 0.
    ///
    /// For percid's own crates; not part of the interface.
    #[doc(hidden)]
    #[must_use]
    pub fn holder() -> u64 {
        u64::from(generation()) << 32 | u64::from(thread())
    }

    /// Whether only an ancestor of this process has the thread of that name. The one that
    /// forked goes on, although the process is another one: a handler that forks may have
    /// interrupted it.
    ///
    /// For percid's own crates; not part of the interface.
    #[doc(hidden)]
    #[must_use]
    pub fn is_gone(holder: u64) -> bool {
        // Ordering: Relaxed. It changes only where there is one thread.
        (holder >> 32) as u32 != generation() && holder as u32 != SURVIVOR.load(Ordering::Relaxed)
    }

    /// A number of this process that a child of `fork` finds changed; never 0.
    ///
    /// For percid's own crates; not part of the interface. The first call allocates, in libc.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn generation() -> u32 {
        // Ordering: Relaxed. It changes only where there is one thread.
        match GENERATION.load(Ordering::Relaxed) {
            0 => generation_slow(),
            known => known,
        }
    }

    #[cold]
    fn generation_slow() -> u32 {
        // First the handler, then the number: whoever has a number holds locks that a child
        // finds to be of another one. Of several that come at the same time each registers
        // it, and a child's number grows by more than one.
        //
        // A fork that another thread makes meanwhile comes before the registration or after
        // it: libcs keep their list of handlers locked from before the fork until after it
        // (glibc, musl). Before: the child has 0 and registers its own. After, but before the
        // number: the handler makes it 1 in the child. In either case nobody had a number to
        // hold a lock by, so there is none that the child could take for its own.
        //
        // Refused for want of memory, it leaves children with their parent's number: then a
        // lock that another thread held when the process forked stays held.
        // SAFETY: a function that is there for as long as this library is, and that does
        // what may be done in a child.
        unsafe { pthread_atfork(None, None, Some(in_child)) };
        // Ordering: Release after the registration; the fork orders the rest.
        let _ = GENERATION.compare_exchange(0, 1, Ordering::Release, Ordering::Relaxed);
        GENERATION.load(Ordering::Relaxed)
    }
}

#[cfg(all(unix, not(loom)))]
pub use unix::{generation, holder, is_gone};

/// There is no `fork` here.
#[cfg(any(not(unix), loom))]
#[doc(hidden)]
#[must_use]
pub fn generation() -> u32 {
    1
}

/// One name for all: none of them goes.
#[cfg(any(not(unix), loom))]
#[doc(hidden)]
#[must_use]
pub fn holder() -> u64 {
    1
}

/// Nobody is.
#[cfg(any(not(unix), loom))]
#[doc(hidden)]
#[must_use]
pub fn is_gone(_: u64) -> bool {
    false
}
