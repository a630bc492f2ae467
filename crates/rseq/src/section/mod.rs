//! The operations: one critical section each.
//!
//! Every operation works on *stripes*. The word of id `c` stands `c << SHIFT`
//! bytes after `word`, its address in stripe 0. Which id, and how many stripes may
//! be touched, says the [`Index`]. An operation either commits with one store or
//! returns a [`Refusal`] and has changed nothing that anybody else can reach; it
//! never retries by itself, so a debugger that steps through it cannot hang it.
//! [`retry`] does, a bounded number of times.
//!
//! An id is valid only inside the section that loaded it, so no operation returns
//! one.
//!
//! | index | the id is | for |
//! | --- | --- | --- |
//! | [`MmCid`] | the kernel's concurrency id | the process's own stripes (Linux 6.3) |
//! | [`Placed`] | the same, and where the words are says a word | what moves from place to place |
//! | [`Table`] | what a table holds for the CPU | domains with ids of their own |
//! | [`Cpu`] | the CPU number | memory that several processes share |
//!
//! | operation | in one section |
//! | --- | --- |
//! | [`increment`], [`add`] | `*w += n` |
//! | [`add_within`] | `w[AT] += n`, if the sum of three words stays within a range |
//! | [`add_through`] | `*(*w + distance) += n` |
//! | [`add_if`] | `*w += n` if a flag elsewhere is as expected |
//! | [`load`], [`swap`] | `*w`, and leaves another |
//! | [`claim`] | takes a lock of the stripe, and returns where it is |
//! | [`claim_any`] | the first free one of several |
//! | [`claim_first`] | the same, marked with what a word says |
//! | [`compare_store`], [`compare_compare_store`] | stores if one or two words are as expected |
//! | [`list_push`], [`list_pop`] | an intrusive list with its head in `*w` |
//! | [`gated_list_push`], [`gated_list_pop`] | the same with a stop word in the stripe that others set |
//! | [`array_push`], [`array_pop`], and by batch | a stack of words behind a length |
//! | [`gated_push`], [`gated_pop`], and by batch | the same, with a capacity in the stripe that others change |
//! | [`array_push_pair`] | two words on one of several stacks, which a word chooses |
//! | [`copy_push`], [`copy_pop`] | a stack of bytes behind a length |
//! | [`copy_out`] | a consistent copy of a stripe's bytes |
//!
//! Two more have no stripe and no id: [`load_through`] and [`copy_through`] follow a
//! pointer and copy what it leads to. All that they need of a thread is that it is
//! registered, so that a [`fence`](crate::membarrier::fence) restarts them.
//!
//! # Example
//!
//! ```
//! use core::sync::atomic::{AtomicU32, AtomicU64};
//! use percid_rseq::enter_thread;
//! use percid_rseq::section::{self, MmCid, WordAddress};
//!
//! /// 64 bytes: a length, and room for seven words.
//! #[repr(align(64))]
//! struct Stripe([AtomicU64; 8]);
//! static STRIPES: [Stripe; 8] = [const { Stripe([const { AtomicU64::new(0) }; 8]) }; 8];
//! static LIMIT: AtomicU32 = AtomicU32::new(8);
//!
//! let stack = WordAddress::new(STRIPES[0].0[0].as_ptr());
//! let index = MmCid { limit: &LIMIT };
//! let _ = enter_thread();
//! // SAFETY: eight stripes of 64 bytes, each a length and seven words, for sections only.
//! match section::retry(|| unsafe { section::array_push::<_, 6>(index, stack, 7, 42) }) {
//!     // By now the thread may have another id, whose stack is empty.
//!     Ok(()) => match section::retry(|| unsafe { section::array_pop::<_, 6>(index, stack) }) {
//!         Ok(popped) => assert_eq!(popped, 42),
//!         Err(refusal) => println!("nothing popped: {refusal}"),
//!     },
//!     // No sections here, or an id above the limit: that is for the fallback.
//!     Err(refusal) => println!("nothing pushed: {refusal}"),
//! }
//! ```
//!
//! # Cost
//!
//! An increment is three loads (id, limit, the word) and two plain stores (the section's
//! descriptor and the word); no atomic read-modify-write, no fence. Where the thread's area
//! stands, and whether it is registered, is found out once for all sections of a function:
//! three loads. About twice an increment of a thread-local.
//!
//! # Memory model
//!
//! A committed store is a relaxed atomic store: read it elsewhere with atomics.
//! Sections of one id are ordered after one another, on whatever CPU they run:
//! who hands an id over does it with a full barrier. Words that sections store to
//! must never be changed by anybody else's read-modify-write or store, for a
//! section's load and commit are two steps to any other CPU. For threads that cannot
//! run sections, [`portable`](crate::portable) has the same operations on stripes of
//! their own.
//!
//! # Source
//!
//! Restartable sequences: P. Turner and A. Hunter (2013), M. Desnoyers (Linux
//! 4.18); the operations follow the pseudocode of librseq.

mod claims;
mod copies;
mod gated;
mod lists;
mod stacks;
mod words;

use crate::arch;
pub use crate::index::{Cpu, Index, MmCid, Placed, SLOTS, Slot, Slots, Table, WordAddress};
use crate::{Refusal, enter_thread};

pub use claims::{claim, claim_any, claim_first};
pub use copies::{copy_out, copy_pop, copy_push, copy_through, load_through, nowhere};
pub use gated::{gated_pop, gated_pop_batch, gated_push, gated_push_batch};
pub use lists::{gated_list_pop, gated_list_push, list_pop, list_push};
pub use stacks::{array_pop, array_pop_batch, array_push, array_push_batch, array_push_pair};
pub use words::{
    add, add_if, add_through, add_within, compare_compare_store, compare_store, increment, load,
    swap,
};

/// True where this target has sections at all.
pub const SUPPORTED: bool = arch::SUPPORTED;

/// Has the compiler compute here where the thread's area stands, once for all sections
/// that follow.
///
/// Compilers take such a computation out of a loop if every turn of it begins with it. So
/// a function whose section stands behind a condition calls this first. It is no
/// instruction by itself, and forgetting it costs three loads for each section.
///
/// ```
/// # use core::sync::atomic::AtomicU32;
/// # use percid_rseq::Refusal;
/// # use percid_rseq::section::{self, MmCid, WordAddress};
/// /// # Safety
/// ///
/// /// As [`section::increment`], if there is a word.
/// #[inline]
/// unsafe fn count(word: Option<WordAddress>, limit: &AtomicU32) -> Result<(), Refusal> {
///     section::anchor();
///     let Some(word) = word else { return Ok(()) };
///     // SAFETY: the caller's.
///     unsafe { section::increment::<_, 6>(MmCid { limit }, word) }
/// }
/// ```
#[inline(always)]
pub fn anchor() {
    arch::anchor();
}

/// How often [`retry`] tries.
pub const ATTEMPTS: u32 = 8;

/// Repeats an operation that the kernel aborts, or whose thread is not registered yet,
/// at most [`ATTEMPTS`] times.
///
/// # Errors
///
/// What the operation returned last. After [`Refusal::Aborted`] take the slow path
/// of the structure: a debugger, or a scheduler's worst day, may abort a section
/// for as long as anybody cares to try, and on the portable body who holds the claim
/// may be the one that waits for this to end.
#[inline(always)]
pub fn retry<T>(mut operation: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    match operation() {
        Err(refusal @ (Refusal::Aborted | Refusal::NotRegistered)) => {
            // The result of the first attempt never was in memory and stays out of it.
            let mut value = None;
            let refusal = retry_slow(refusal, operation, &mut value);
            value.ok_or(refusal)
        }
        outcome => outcome,
    }
}

/// What it was refused for last, unless there is a value.
#[cold]
#[inline(never)]
fn retry_slow<T>(
    mut refusal: Refusal,
    mut operation: impl FnMut() -> Result<T, Refusal>,
    value: &mut Option<T>,
) -> Refusal {
    for _ in 1..ATTEMPTS {
        if refusal == Refusal::NotRegistered && enter_thread().is_err() {
            break;
        }
        match operation() {
            Ok(done) => {
                *value = Some(done);
                break;
            }
            Err(again @ (Refusal::Aborted | Refusal::NotRegistered)) => refusal = again,
            Err(other) => return other,
        }
    }
    refusal
}
