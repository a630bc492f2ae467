//! A signal that is borrowed for a trial.
//!
//! Its default action is to be ignored, so that whatever happens to its disposition,
//! nobody dies of it. Only one that has the default action is borrowed: who swaps a
//! handler for that owns the signal until it swaps it back.

use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use super::stage::Stage;

/// A signal that may be borrowed, and by whom it is.
struct Lent {
    signal: i32,
    /// The thread that it is meant for; 0: none.
    victim: AtomicI32,
    stage: AtomicPtr<Stage>,
}

static LENT: [Lent; 2] = [Lent::new(libc::SIGURG), Lent::new(libc::SIGWINCH)];

impl Lent {
    const fn new(signal: i32) -> Lent {
        Lent {
            signal,
            victim: AtomicI32::new(0),
            stage: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

/// A signal with a handler that lets a victim's section go on.
pub(super) struct Borrowed(&'static Lent);

impl Borrowed {
    /// Borrows a signal, if there is one.
    pub(super) fn new(stage: &Stage) -> Option<Borrowed> {
        let lent = LENT.iter().find(|lent| {
            has_default(&swap(lent.signal, None)) && {
                let before = swap(lent.signal, Some(&handling()));
                let ours = has_default(&before);
                if !ours && !is_handling(&before) {
                    // Somebody else was faster.
                    swap(lent.signal, Some(&before));
                }
                ours
            }
        })?;
        // Ordering: Release pairs with the Acquire of `heard`.
        lent.stage
            .store(ptr::from_ref(stage).cast_mut(), Ordering::Relaxed);
        lent.victim.store(0, Ordering::Release);
        Some(Borrowed(lent))
    }

    pub(super) fn number(&self) -> i32 {
        self.0.signal
    }

    /// Sends it to the victim; whether the kernel took it.
    pub(super) fn send(&self, victim: i32) -> bool {
        // Ordering: Release pairs with the Acquire of `heard`.
        self.0.victim.store(victim, Ordering::Release);
        // SAFETY: names a thread of this process, whose handler is ours.
        unsafe {
            let process = libc::getpid();
            libc::syscall(libc::SYS_tgkill, process, victim, self.0.signal) == 0
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.0.victim.store(0, Ordering::Release);
        let before = swap(self.0.signal, Some(&default()));
        if !is_handling(&before) {
            // Somebody has taken it meanwhile, and keeps it.
            swap(self.0.signal, Some(&before));
        }
    }
}

/// Lets the section go on that it interrupts, in the victim. Nothing anywhere else.
extern "C" fn heard(signal: i32) {
    // SAFETY: no preconditions; never fails.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
    let lent = LENT.iter().find(|lent| lent.signal == signal);
    if let Some(lent) = lent
        // Ordering: Acquire pairs with the Release of `send`.
        && lent.victim.load(Ordering::Acquire) == thread
    {
        // SAFETY: the victim's own stage, for this is the victim, which stands on it.
        let stage = unsafe { &*lent.stage.load(Ordering::Relaxed) };
        let number = stage.inside.load(Ordering::Relaxed);
        // The signal may come late, in a try of another kind: that one has not waited
        // for it.
        if Stage::kind(number) == super::Disturbance::Signal as usize {
            stage.let_go(number, true);
        }
    }
}

fn default() -> libc::sigaction {
    // SAFETY: zeroed is a valid action: the default, no flags, an empty mask.
    unsafe { core::mem::zeroed() }
}

fn handling() -> libc::sigaction {
    let mut action = default();
    action.sa_sigaction = heard as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    action
}

fn has_default(action: &libc::sigaction) -> bool {
    action.sa_sigaction == libc::SIG_DFL
}

fn is_handling(action: &libc::sigaction) -> bool {
    action.sa_sigaction == heard as *const () as usize
}

/// Sets what a signal does, if something is given; what it did before. Where that is
/// refused it says that it is ignored.
fn swap(signal: i32, action: Option<&libc::sigaction>) -> libc::sigaction {
    let mut before = default();
    before.sa_sigaction = libc::SIG_IGN;
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: a valid action or none, and a place for the former one.
    unsafe { libc::sigaction(signal, action, &raw mut before) };
    before
}
