//! What a thread takes back before the code of its sections goes.

use crate::{arch, own, registration};

/// Readies the calling thread for the unloading of the library that this copy of
/// the crate is part of: afterwards neither the kernel nor libc looks into that
/// library on behalf of this thread.
///
/// Each thread that has used the library calls this after its last use and before
/// `dlclose`, in whatever function of the library it calls last; a library that
/// cannot know which one that is ends each of its entry points with it, for each use
/// undoes it.
///
/// The section that the thread ran last is forgotten, so that the kernel does not look
/// for its description. Where the area is our own, it is also unregistered, for it lies
/// in the library's thread-locals, and the destructor that would have done so at thread
/// end is not called; the thread enters again where it uses the library again.
///
/// Nobody can do this for another thread. A fence aborts the sections of threads
/// that run, but the kernel looks at the last section of a thread when *that* thread
/// is preempted or signalled; one that has been asleep since before the `dlclose`
/// wakes up with a description that is gone, and is killed (`SIGSEGV`).
///
/// ```
/// // Counts, adds, whatever has sections.
/// percid_rseq::prepare_unload();
/// ```
///
/// # Cost
///
/// A store where libc owns the area. Three system calls where percid does, and another one
/// to enter again.
///
/// # Fork and signals
///
/// May be called from a signal handler. A handler that runs sections afterwards has
/// to call it again.
///
/// # Source
///
/// librseq, `rseq_prepare_unload`.
pub fn prepare_unload() {
    if registration::libc_registers().is_none() {
        return own::leave();
    }
    // SAFETY: libc's area of this thread, mapped for as long as it runs. A section of
    // another library that stands there is over, too, or a signal has aborted it.
    unsafe { (*arch::thread_area()).disarm() };
}
