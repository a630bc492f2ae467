//! The contract of the sections, and the bodies that implement it.
//!
//! Every operation has this shape. `area` is the thread's rseq area, or, as long
//! as the thread has not entered, one whose `cpu_id` says so; `word` is an address
//! in stripe 0, divided by 8.
//!
//! ```text
//! area = THREAD_AREA                        // thread-local
//! area.rseq_cs = &descriptor                // arms the section
//! start:
//!   if area.cpu_id < 0                      -> NotRegistered
//!   cid = area.mm_cid
//!   if cid >= *limit (unsigned)             -> BeyondLimit
//!   w = word * 8 + (cid << SHIFT)
//!   increment:      *w = *w + 1             // commit
//!   add:            t = *w + n; *w = t      // commit
//!   load:           value = *w              // "commit" of a section without a store
//!   compare_store:  if *w != expected       -> Mismatch
//!                   *w = new                // commit
//! post_commit:                              -> done
//!
//! signature; abort:                         -> Aborted
//! ```
//!
//! What the bodies must keep:
//!
//! - Between `start` and `post_commit` there is no call, no spill and no stack;
//!   the commit is one instruction and the last of the section.
//! - Registration and limit are checked inside, every time. A thread that is not
//!   registered reads cid 0 and would commit unprotected; an id can exceed what
//!   was mapped.
//! - Every register that a restart needs is an input, and inputs are not
//!   changed. An operation is restarted by its caller, so there is nothing else.
//! - An exit from the section by a jump leaves it armed. That is allowed: the
//!   kernel drops a descriptor whose range does not hold the instruction pointer.
//! - The signature stands directly before `abort`.
//! - Each descriptor is listed in `__rseq_cs_ptr_array`, retained at link time,
//!   so that debuggers find the places where single-stepping must not stop.
//!
//! With `--cfg percid_inject` a body spins at numbered points: 1 after `start`,
//! 2 with the cid loaded, 3 before the commit.
//!
//! With `--cfg percid_portable` a target that has sections is built as if it had
//! none.

#[cfg(all(
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(miri, percid_portable))
))]
#[path = "x86_64.rs"]
mod body;

#[cfg(not(all(
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(miri, percid_portable))
)))]
#[path = "none.rs"]
mod body;

pub(crate) use body::*;
